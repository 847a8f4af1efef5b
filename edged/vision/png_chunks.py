"""A PNG as the chunks that its pixels need (PNG specification, third edition, 11)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from edged.vision.colour_profile import is_packed_profile
from edged.vision.exif import UPRIGHT, exif_of, orientation_in

PNG = b"\x89PNG\r\n\x1a\n"
_KEPT: Mapping[bytes, int | None] = MappingProxyType(
    {b"IHDR": 13, b"PLTE": 768, b"IDAT": None, b"IEND": 0, b"tRNS": 256, b"acTL": 8, b"fcTL": 26, b"fdAT": None}
    | {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4, b"sBIT": 4, b"bKGD": 6, b"pHYs": 9}
)
"""What is about pixels, and the most bytes that it takes."""


def bare_png(data: bytes) -> bytes:
    """Raises ValueError, struct.error or LookupError for what is not written as the standard says."""
    return b"".join(_bare(data))


def _bare(data: bytes) -> Iterator[bytes]:
    yield PNG
    place, name = len(PNG), b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, place + 8 + length)
        place += 12 + length
        if name == b"eXIf":
            if (orientation := orientation_in(body)) != UPRIGHT:
                yield _chunk(name, exif_of(orientation))
        elif name == b"iCCP":
            profile = body.partition(b"\0")[2]  # behind a name that anybody may choose
            if profile[:1] == b"\0" and is_packed_profile(profile[1:]):
                yield _chunk(name, b"ICC\0" + profile)
        elif name in _KEPT:
            longest = _KEPT[name]
            if checksum != zlib.crc32(name + body) or (longest is not None and length > longest):
                raise ValueError("a chunk that does not hold what it should")
            yield _chunk(name, body)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
