"""A GIF as the blocks that its pixels need (GIF89a specification)."""

from __future__ import annotations

from collections.abc import Iterator

GIF = (b"GIF87a", b"GIF89a")
_SCREEN_BYTES, _IMAGE_BYTES, _CONTROL_BYTES = 13, 10, 8
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_PLAIN_TEXT, _CONTROL, _APPLICATION = 0x01, 0xF9, 0xFF
_LOOP = b"\x21\xff\x0bNETSCAPE2.0\x03\x01"
_FULL_BYTES = 254
"""At least, of the blocks of every writer; most have 255."""
_HAS_TABLE, _TABLE_SIZE = 0x80, 0x07


def bare_gif(data: bytes) -> bytes:
    """Raises ValueError or LookupError for what is not written as the standard says."""
    return b"".join(_bare(data))


def _bare(data: bytes) -> Iterator[bytes]:
    place = _SCREEN_BYTES + _table_bytes(data[10])
    yield data[:place]
    control = b""
    while (kind := data[place]) != _TRAILER:
        if kind == _IMAGE:
            pixels = place + _IMAGE_BYTES + _table_bytes(data[place + 9]) + 1
            end = _end_of_blocks(data, pixels, are_pixels=True)
            yield control + data[place:end]
            control = b""
        elif kind == _EXTENSION:
            label, end = data[place + 1], _end_of_blocks(data, place + 2)
            if label == _CONTROL and end - place == _CONTROL_BYTES:
                control = data[place:end]
            elif label == _PLAIN_TEXT:
                control = b""  # that was for the text
            elif data.startswith(_LOOP, place) and end == place + len(_LOOP) + 3:
                yield data[place:end]
        else:
            raise ValueError("no block where there must be one")
        place = end
    yield bytes((_TRAILER,))


def _table_bytes(flags: int) -> int:
    return 3 << ((flags & _TABLE_SIZE) + 1) if flags & _HAS_TABLE else 0


def _end_of_blocks(data: bytes, place: int, *, are_pixels: bool = False) -> int:
    """Of pixels, all but the last are full: others may be what damage has made a part of them."""
    full = data[place]
    while size := data[place]:
        place += 1 + size
        if are_pixels and (size > full or (data[place] and size < max(full, _FULL_BYTES))):
            raise ValueError("a block of a length that no writer gives it")
    return place + 1
