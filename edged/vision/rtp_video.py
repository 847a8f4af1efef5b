"""Pictures out of RTP packets (RFC 3550): H.264 (RFC 6184) and H.265 (RFC 7798), as their decoders read them."""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from typing import NamedTuple

from edged.errors import DeviceUnavailable

MAX_UNIT_BYTES = 8 * 1024 * 1024
"""Of one encoded picture."""
START_CODE = b"\0\0\0\1"
"""Before each NAL unit, as annex B of both standards has it."""
_HEAD = struct.Struct(">BBHII")
_VERSION = 2


class VideoCodec(enum.StrEnum):
    """By the name that both SDP and decoders know."""

    H264 = "h264"
    H265 = "hevc"


class _Layout(NamedTuple):
    """How a codec writes NAL units and packs them."""

    head_bytes: int
    aggregation: int
    fragment: int
    beginnings: frozenset[int]
    """Pictures that need no other, and parameter sets, which cameras without such pictures send now and then."""


_LAYOUTS = {
    VideoCodec.H264: _Layout(1, 24, 28, frozenset((5, 7))),
    VideoCodec.H265: _Layout(2, 48, 49, frozenset((*range(16, 22), 33))),
}


class AccessUnit(NamedTuple):
    """All of one picture."""

    data: bytes
    is_beginning: bool
    """Whether a decoder can begin with it."""


class AccessUnits:
    """Fed with one packet after the other, none of which is lost on the way over TCP."""

    def __init__(self, codec: VideoCodec, payload_type: int) -> None:
        """payload_type: 0 to 127, by which the packets of the video are known."""
        self._codec = codec
        self._layout = _LAYOUTS[codec]
        self._payload_type = payload_type
        self._units: list[bytes] = []
        self._bytes = 0
        self._fragment: bytearray | None = None
        self._timestamp = -1

    def push(self, packet: bytes) -> AccessUnit | None:
        """The picture that is complete with that. Raises DeviceUnavailable for what is no RTP, and too much of it."""
        if len(packet) < _HEAD.size or packet[0] >> 6 != _VERSION:
            raise _no_video()
        flags, kind, _, timestamp, _ = _HEAD.unpack_from(packet)
        if kind & 0x7F != self._payload_type:
            return None
        finished = None
        if timestamp != self._timestamp:  # cameras that mark no last packet
            finished, self._timestamp = self._finish(), timestamp
        self._units.extend(self._unpacked(_payload(packet, flags)))
        if self._bytes > MAX_UNIT_BYTES:
            raise DeviceUnavailable(f"the camera sends pictures of more than {MAX_UNIT_BYTES >> 20} MiB")
        if kind & 0x80:
            finished = self._finish() or finished
        return finished

    def _finish(self) -> AccessUnit | None:
        units, self._units = self._units, []
        self._bytes, self._fragment = 0, None
        if not units:
            return None
        is_beginning = any(self._kind(unit) in self._layout.beginnings for unit in units)
        return AccessUnit(b"".join(START_CODE + unit for unit in units), is_beginning)

    def _kind(self, unit: bytes) -> int:
        return unit[0] & 0x1F if self._codec is VideoCodec.H264 else unit[0] >> 1 & 0x3F

    def _unpacked(self, payload: bytes) -> Iterator[bytes]:
        layout = self._layout
        if len(payload) <= layout.head_bytes:
            return
        self._bytes += len(payload)
        kind = self._kind(payload)
        if kind == layout.aggregation:
            yield from _aggregated(payload, layout.head_bytes)
        elif kind == layout.fragment:
            yield from self._joined(payload)
        else:
            yield payload

    def _joined(self, payload: bytes) -> Iterator[bytes]:
        """The unit that ends with this fragment; one whose beginning was not seen is dropped."""
        head_bytes = self._layout.head_bytes
        about, body = payload[head_bytes], payload[head_bytes + 1 :]
        if about & 0x80:
            if self._codec is VideoCodec.H264:
                head = bytes((payload[0] & 0xE0 | about & 0x1F,))
            else:
                head = bytes((payload[0] & 0x81 | (about & 0x3F) << 1, payload[1]))
            self._fragment = bytearray(head)
        if self._fragment is None:
            return
        self._fragment += body
        if about & 0x40:
            unit, self._fragment = bytes(self._fragment), None
            yield unit


def _payload(packet: bytes, flags: int) -> bytes:
    start = _HEAD.size + 4 * (flags & 0x0F)
    if flags & 0x10:
        if len(packet) < start + 4:
            raise _no_video()
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    padding = packet[-1] if flags & 0x20 else 0
    return packet[start : len(packet) - padding]


def _aggregated(payload: bytes, place: int) -> Iterator[bytes]:
    while place + 2 < len(payload):
        length = int.from_bytes(payload[place : place + 2], "big")
        unit = payload[place + 2 : place + 2 + length]
        place += 2 + length
        if not unit or place > len(payload):
            raise _no_video()
        yield unit


def _no_video() -> DeviceUnavailable:
    return DeviceUnavailable("the camera sends something that is no video")
