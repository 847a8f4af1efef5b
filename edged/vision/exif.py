"""The one thing that is kept of what a camera writes into a picture (EXIF 3.0, 4.6.5): how it was held."""

from __future__ import annotations

import struct

EXIF_PREFIX = b"Exif\0\0"
"""Stands before it in a JPEG, and in the WebP files of some programs."""
UPRIGHT = 1
_ORIENTATION_TAG = 0x0112
_SHORT = 3
_MAX_TAGS = 1000


def orientation_in(exif: bytes) -> int:
    """1 to 8, from a TIFF header on; UPRIGHT where that cannot be read."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return UPRIGHT
    try:
        (directory,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, directory)
        for index in range(min(count, _MAX_TAGS)):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, directory + 2 + 12 * index)
            if (tag, kind) == (_ORIENTATION_TAG, _SHORT):
                return value if value in range(1, 9) else UPRIGHT
    except struct.error:
        pass
    return UPRIGHT


def exif_of(orientation: int) -> bytes:
    """That and nothing else."""
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, _ORIENTATION_TAG, _SHORT, 1, orientation, 0, 0)
