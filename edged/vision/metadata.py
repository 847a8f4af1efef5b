"""What a picture's file says beyond the picture: where and when it was taken, with which camera, and by whom.

It is taken out of the file, and no pixel is touched. How the camera was held stays, and so do colour profiles.
What cannot be followed, being damaged, is left as it is: whoever decodes it will refuse it.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset(
    (b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"sBIT", b"bKGD", b"pHYs", b"acTL", b"fcTL", b"fdAT")
)
"""Of the chunks that a reader may leave out, those that are about pixels."""
_ORIENTATION = 0x0112
_SHORT = 3
_MAX_TAGS = 1000
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""After a scan, whose own bytes are never one."""
_START_OF_SCAN, _END_OF_IMAGE, _COMMENT = 0xDA, 0xD9, 0xFE
_APPLICATION = range(0xE0, 0xF0)
_EXIF_SEGMENT, _PROFILE_SEGMENT = 0xE1, 0xE2
_MARK = 0xFF
_LENGTH_BYTES = 2
_EXIF = b"Exif\0\0"
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04
"""Flags of the chunk VP8X."""


def without_metadata(data: bytes) -> bytes:
    """The same picture; the same bytes where there is nothing to take out, or no picture."""
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return b"".join(_jpeg(data))
        if data.startswith(_PNG):
            return b"".join(_png(data))
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp(data)
    except (struct.error, LookupError, ValueError):
        pass
    return data


def _jpeg(data: bytes) -> Iterator[bytes]:
    """Up to the end of the first picture: telephones put others behind it, with metadata of their own."""
    yield data[:2]
    place = 2
    while True:
        first, marker, length = struct.unpack_from(">BBH", data, place)
        if first != _MARK or length < _LENGTH_BYTES:
            raise ValueError("no segment")
        end = place + 2 + length
        body = data[place + 4 : end]
        if marker == _EXIF_SEGMENT and body.startswith(_EXIF):
            yield from _jpeg_orientation(body)
        elif _belongs_to_picture(marker, body):
            yield data[place:end]
        if marker == _START_OF_SCAN:
            following = _MARKER.search(data, end)
            if following is None:
                raise ValueError("no end")
            yield data[end : following.start()]
            end = following.start()
            if data[end + 1] == _END_OF_IMAGE:
                yield data[end : end + 2]
                return
        place = end


def _jpeg_orientation(body: bytes) -> Iterator[bytes]:
    orientation = _orientation(body[len(_EXIF) :])
    if orientation != 1:
        kept = _EXIF + _exif(orientation)
        yield struct.pack(">BBH", _MARK, _EXIF_SEGMENT, len(kept) + _LENGTH_BYTES) + kept


def _belongs_to_picture(marker: int, body: bytes) -> bool:
    """Of segments for applications: JFIF's, colour profiles, and how Adobe mixed the colours."""
    if marker == _COMMENT:
        return False
    if marker not in _APPLICATION:
        return True
    return marker in (0xE0, 0xEE) or (marker == _PROFILE_SEGMENT and body.startswith(b"ICC_PROFILE\0"))


def _png(data: bytes) -> Iterator[bytes]:
    yield data[: len(_PNG)]
    place = len(_PNG)
    while True:
        length, name = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        if end > len(data):
            raise ValueError("no end")
        if name == b"eXIf":
            orientation = _orientation(data[place + 8 : end - 4])
            if orientation != 1:
                yield _png_chunk(name, _exif(orientation))
        elif name[:1].isupper() or name in _PNG_KEPT:
            yield data[place:end]
        if name == b"IEND":
            return
        place = end


def _png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _webp(data: bytes) -> bytes:
    stop = 8 + struct.unpack_from("<I", data, 4)[0]
    if stop > len(data):
        raise ValueError("no end")
    chunks: dict[int, bytes] = {}
    place, orientation = 12, 1
    while place < stop:
        name, length = struct.unpack_from("<4sI", data, place)
        end = place + 8 + length + length % 2
        if name == b"EXIF":
            orientation = _orientation(data[place + 8 : place + 8 + length].removeprefix(_EXIF))
        elif name != b"XMP ":
            chunks[place] = data[place:end]
        place = end
    first = chunks[12]
    if first[:4] != b"VP8X":
        return data[:stop]  # the simple kind, which has no room for metadata
    flags = first[8] & ~(_WEBP_EXIF | _WEBP_XMP) | (_WEBP_EXIF if orientation != 1 else 0)
    chunks[12] = first[:8] + bytes((flags,)) + first[9:]
    if orientation != 1:
        exif = _exif(orientation)
        chunks[stop] = struct.pack("<4sI", b"EXIF", len(exif)) + exif
    body = b"WEBP" + b"".join(chunks.values())
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def _orientation(exif: bytes) -> int:
    """How the camera was held; 1, upright, where that cannot be read."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, directory)
        for index in range(min(count, _MAX_TAGS)):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, directory + 2 + 12 * index)
            if (tag, kind) == (_ORIENTATION, _SHORT):
                return value if value in range(1, 9) else 1
    except struct.error:
        pass
    return 1


def _exif(orientation: int) -> bytes:
    """That and nothing else."""
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, _ORIENTATION, _SHORT, 1, orientation, 0, 0)
