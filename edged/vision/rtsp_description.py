"""Which video a camera offers: its answer to DESCRIBE, in SDP (RFC 8866)."""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple

from edged.errors import DeviceUnavailable
from edged.vision.rtp_video import START_CODE, VideoCodec

_MEDIA = re.compile(r"^m=", re.MULTILINE)
_VIDEO = re.compile(r"video [0-9/]+ RTP/AVP ([0-9]{1,3})\b")
_CODECS = {"H264": VideoCodec.H264, "H265": VideoCodec.H265}
_PARAMETER_SETS = re.compile(r"sprop-(?:parameter-sets|vps|sps|pps)=([A-Za-z0-9+/=,]{1,4000})")
_CONTROL = re.compile(r"^a=control:([!-~]{1,1000})\s*$", re.MULTILINE)


class Video(NamedTuple):
    """One stream."""

    codec: VideoCodec
    payload_type: int
    parameter_sets: bytes
    """What its decoder has to know first, with start codes; empty where the camera sends that with its pictures."""
    control: str
    """The URL, or the end of it, by which the stream is asked for."""


def described_video(text: str) -> Video:
    """The first that can be decoded. Raises DeviceUnavailable where there is none."""
    _, *media = _MEDIA.split(text)
    for part in media:
        video = _VIDEO.match(part)
        if video is None:
            continue
        mapped = re.search(rf"^a=rtpmap:{video[1]} ([A-Za-z0-9-]+)/", part, re.MULTILINE)
        codec = _CODECS.get(mapped[1].upper()) if mapped else None
        if codec is None:
            continue
        control = _CONTROL.search(part)
        return Video(codec, int(video[1]), _parameter_sets(part), control[1] if control else "*")
    raise DeviceUnavailable("the camera offers neither H.264 nor H.265: set it so, or use its http:// address")


def _parameter_sets(part: str) -> bytes:
    encoded = [piece for found in _PARAMETER_SETS.findall(part) for piece in found.split(",") if piece]
    try:
        return b"".join(START_CODE + base64.b64decode(piece) for piece in encoded)
    except binascii.Error:
        return b""
