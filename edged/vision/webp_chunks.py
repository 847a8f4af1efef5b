"""A WebP as the chunks that its pixels need (RFC 9649)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from edged.vision.colour_profile import is_profile
from edged.vision.exif import EXIF_PREFIX, UPRIGHT, exif_of, orientation_in

_PROFILE_FLAG, _EXIF_FLAG, _XMP_FLAG = 0x20, 0x08, 0x04
_EXTENDED_BYTES, _ANIMATION_BYTES, _FRAME_BYTES = 10, 6, 16
_PICTURES = frozenset((b"ALPH", b"VP8 ", b"VP8L"))


def is_webp(data: bytes) -> bool:
    """By its first bytes."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def bare_webp(data: bytes) -> bytes:
    """Raises ValueError, struct.error or LookupError for what is not written as the standard says."""
    stop = 8 + struct.unpack_from("<I", data, 4)[0]
    chunks = list(_chunks(data[:stop], 12, stop))
    name, head = chunks[0]
    if name != b"VP8X":
        return _file(_picture(name, head))  # the simple kind, which has no room for more
    if len(head) != _EXTENDED_BYTES:
        raise ValueError("a header of another length")
    exif = next((body for name, body in chunks if name == b"EXIF"), b"")
    orientation = orientation_in(exif.removeprefix(EXIF_PREFIX))
    profiles = [_chunk(name, body) for name, body in chunks if name == b"ICCP" and is_profile(body)][:1]
    flags = head[0] & ~(_PROFILE_FLAG | _EXIF_FLAG | _XMP_FLAG)
    flags |= (_PROFILE_FLAG if profiles else 0) | (_EXIF_FLAG if orientation != UPRIGHT else 0)
    return _file(
        _chunk(name, bytes((flags, 0, 0, 0)) + head[4:]),
        *profiles,
        *(_picture(name, body) for name, body in chunks if name in _PICTURES),
        *_animation(chunks),
        *([_chunk(b"EXIF", exif_of(orientation))] if orientation != UPRIGHT else []),
    )


def _animation(chunks: list[tuple[bytes, bytes]]) -> Iterator[bytes]:
    for name, body in chunks:
        if name == b"ANIM":
            yield _chunk(name, body[:_ANIMATION_BYTES])
        elif name == b"ANMF":
            parts = _chunks(body, _FRAME_BYTES, len(body))
            yield _chunk(
                name, body[:_FRAME_BYTES] + b"".join(_picture(*part) for part in parts if part[0] in _PICTURES)
            )


def _chunks(data: bytes, place: int, stop: int) -> Iterator[tuple[bytes, bytes]]:
    if stop > len(data):
        raise ValueError("no end")
    while place < stop:
        name, length = struct.unpack_from("<4sI", data, place)
        body = data[place + 8 : place + 8 + length]
        place += 8 + length + length % 2
        if place > stop:
            raise ValueError("a chunk without an end")
        yield name, body


def _picture(name: bytes, body: bytes) -> bytes:
    """One chunk of pixels, which begins as it should."""
    begins = {b"VP8 ": body[3:6] == b"\x9d\x01\x2a", b"VP8L": body[:1] == b"\x2f", b"ALPH": True}
    if not begins.get(name):
        raise ValueError("a chunk that does not hold what it should")
    return _chunk(name, body)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", name, len(body)) + body + bytes(len(body) % 2)


def _file(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return struct.pack("<4sI", b"RIFF", len(body)) + body
