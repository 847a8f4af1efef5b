"""What the numbers of a picture mean as colours (ICC.1:2022, 7.2): kept, where it is that and no more."""

from __future__ import annotations

import zlib

MAX_PROFILE_BYTES = 4 * 1024 * 1024
_SIGNATURE = slice(36, 40)


def is_profile(data: bytes) -> bool:
    """Whether it is one profile, to its end."""
    return data[:4] == len(data).to_bytes(4, "big") and data[_SIGNATURE] == b"acsp"


def is_packed_profile(data: bytes) -> bool:
    """The same of one that zlib has packed."""
    unpacking = zlib.decompressobj()
    try:
        profile = unpacking.decompress(data, MAX_PROFILE_BYTES)
    except zlib.error:
        return False
    return unpacking.eof and not unpacking.unused_data and is_profile(profile)
