"""A JPEG as the segments that its pixels need (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from edged.vision.colour_profile import is_profile
from edged.vision.exif import EXIF_PREFIX, UPRIGHT, exif_of, orientation_in

JPEG = b"\xff\xd8\xff"
_MARK = 0xFF
_START_OF_SCAN, _END_OF_IMAGE, _COMMENT = 0xDA, 0xD9, 0xFE
_QUANTIZATION, _HUFFMAN, _RESTART_INTERVAL = 0xDB, 0xC4, 0xDD
_FRAMES = frozenset((0xC0, 0xC1, 0xC2))
"""Baseline, extended and progressive, all with Huffman codes."""
_APPLICATION = range(0xE0, 0xF0)
_JFIF, _EXIF, _PROFILE, _ADOBE = 0xE0, 0xE1, 0xE2, 0xEE
_JFIF_BYTES, _ADOBE_BYTES = 12, 12
"""Without the thumbnail's size and the thumbnail; up to how the colours were mixed."""
_PROFILE_PREFIX = b"ICC_PROFILE\0"
_PROFILE_HEAD_BYTES = len(_PROFILE_PREFIX) + 2
_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
"""After a scan, whose own bytes are never one."""
_TABLES = 4
_TABLE_VALUES = 64


class _Segment(NamedTuple):
    marker: int
    body: bytes
    scan: bytes = b""
    """What follows the head of a scan."""

    def written(self) -> bytes:
        return struct.pack(">BBH", _MARK, self.marker, len(self.body) + 2) + self.body + self.scan


def bare_jpeg(data: bytes) -> bytes:
    """Up to the end of the first picture: telephones put others behind it, with metadata of their own.

    Raises ValueError, struct.error or LookupError for what is not written as the standard says.
    """
    segments = list(_segments(data))
    if sum(segment.marker in _FRAMES for segment in segments) != 1:
        raise ValueError("not one picture")
    exif = next((body for marker, body, _ in segments if marker == _EXIF and body.startswith(EXIF_PREFIX)), b"")
    orientation = orientation_in(exif.removeprefix(EXIF_PREFIX))
    kept = [_Segment(_JFIF, body[:_JFIF_BYTES] + bytes(2)) for marker, body, _ in segments if _is_jfif(marker, body)][
        :1
    ]
    if orientation != UPRIGHT:
        kept.append(_Segment(_EXIF, EXIF_PREFIX + exif_of(orientation)))
    kept += _profile(segments)
    kept += (pixels for segment in segments if (pixels := _of_pixels(segment)))
    return b"".join([JPEG[:2], *(segment.written() for segment in kept), bytes((_MARK, _END_OF_IMAGE))])


def _segments(data: bytes) -> Iterator[_Segment]:
    place = 2
    while True:
        if data[place] != _MARK:
            raise ValueError("no marker where there must be one")
        while (marker := data[place + 1]) == _MARK:  # as many before a marker as a writer likes
            place += 1
        if marker == _END_OF_IMAGE:
            return
        (length,) = struct.unpack_from(">H", data, place + 2)
        end = place + 2 + length
        body = data[place + 4 : end]
        if length < 2 or end > len(data):
            raise ValueError("a segment without an end")
        scan_end = end
        if marker == _START_OF_SCAN:
            following = _MARKER.search(data, end)
            if following is None:
                raise ValueError("a scan without an end")
            scan_end = following.start()
        yield _Segment(marker, body, data[end:scan_end])
        place = scan_end


def _is_jfif(marker: int, body: bytes) -> bool:
    return marker == _JFIF and body.startswith(b"JFIF\0") and len(body) >= _JFIF_BYTES


def _profile(segments: list[_Segment]) -> list[_Segment]:
    """The colour profile, which is cut in pieces that are numbered."""
    pieces = [part for part in segments if part.marker == _PROFILE and part.body.startswith(_PROFILE_PREFIX)]
    whole = b"".join(
        part.body[_PROFILE_HEAD_BYTES:] for part in sorted(pieces, key=lambda part: part.body[len(_PROFILE_PREFIX)])
    )
    return pieces if is_profile(whole) else []


def _of_pixels(segment: _Segment) -> _Segment | None:
    """None for what programs and people have added."""
    marker, body, _ = segment
    if marker == _ADOBE and body.startswith(b"Adobe") and len(body) >= _ADOBE_BYTES:
        return _Segment(marker, body[:_ADOBE_BYTES])
    if marker == _COMMENT or marker in _APPLICATION:
        return None
    if not _is_whole(marker, body):
        raise ValueError("a segment that does not hold what it should")
    return segment


def _is_whole(marker: int, body: bytes) -> bool:
    """Whether a segment that decoders read holds that and no more."""
    if marker in _FRAMES:
        return len(body) == 6 + 3 * body[5]
    if marker == _START_OF_SCAN:
        return len(body) == 4 + 2 * body[0]
    if marker == _RESTART_INTERVAL:
        return len(body) == 2
    place = 0
    while place < len(body):
        kind, table = divmod(body[place], 16)
        if kind > 1 or table >= _TABLES:
            return False
        if marker == _QUANTIZATION:
            place += 1 + _TABLE_VALUES * (1 + kind)
        elif marker == _HUFFMAN:
            codes = sum(body[place + 1 : place + 17])
            values = body[place + 17 : place + 17 + codes]
            if len(set(values)) < codes:  # one that is cut, or has two codes for the same
                return False
            place += 17 + codes
        else:
            return False
    return place == len(body) and marker in (_QUANTIZATION, _HUFFMAN)
