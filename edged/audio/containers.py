"""What a file of sound is, judged by its first bytes, and whether it is all there."""

from __future__ import annotations

import enum

from edged.errors import InvalidInput


class Container(enum.Enum):
    """Kinds of files that are read: the media type of each."""

    WAV = "audio/wav"
    FLAC = "audio/flac"
    OGG = "audio/ogg"
    MP3 = "audio/mpeg"


_STREAMED_BYTES = 0x7FFF_0000
"""From this on the length in a WAV header means that whoever wrote it did not know yet."""
_OGG_PAGE = b"OggS"
_OGG_HEADER_BYTES = 27


def container_of(data: bytes) -> Container | None:
    """By content, never by name; None for everything else."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return Container.WAV
    if data[:4] == b"fLaC":
        return Container.FLAC
    if data[:4] == _OGG_PAGE:
        return Container.OGG
    if data[:3] == b"ID3" or _is_mpeg_frame(data[:4]):
        return Container.MP3
    return None


def require_whole(data: bytes, container: Container) -> None:
    """Raises InvalidInput for a file that breaks off where its decoder would not say so."""
    is_cut = {Container.WAV: _is_cut_wav, Container.OGG: _is_cut_ogg}.get(container)
    if is_cut and is_cut(data):
        raise broken_off()


def broken_off() -> InvalidInput:
    """Of a file that ends before its recording does."""
    return InvalidInput("the recording is damaged: the file breaks off", field="parts")


def _is_mpeg_frame(head: bytes) -> bool:
    """Eleven bits of synchronization, then a version, layer, bit rate and sample rate that exist."""
    return (
        len(head) == 4
        and head[0] == 0xFF
        and head[1] & 0xE0 == 0xE0
        and head[1] & 0x18 != 0x08
        and head[1] & 0x06 != 0
        and head[2] & 0xF0 not in (0x00, 0xF0)
        and head[2] & 0x0C != 0x0C
    )


def _is_cut_wav(data: bytes) -> bool:
    """Whether the chunk of samples says that it is longer than the file."""
    place = 12
    while place + 8 <= len(data):
        name, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        if name == b"data":
            return size < _STREAMED_BYTES and place + 8 + size > len(data)
        place += 8 + size + size % 2
    return True


def _is_cut_ogg(data: bytes) -> bool:
    """Whether the last page ends anywhere but at the end of the file."""
    page = data.rfind(_OGG_PAGE)
    if page + _OGG_HEADER_BYTES > len(data):
        return True
    segments = data[page + _OGG_HEADER_BYTES - 1]
    sizes = data[page + _OGG_HEADER_BYTES : page + _OGG_HEADER_BYTES + segments]
    return page + _OGG_HEADER_BYTES + segments + sum(sizes) > len(data) or len(sizes) < segments
