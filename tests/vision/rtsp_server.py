"""An RTSP camera on loopback: the pictures of `MjpegCamera` as H.264 or H.265, over the connection that asked."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import av

from tests.vision.mjpeg_camera import FPS, MjpegCamera, blocks

ENCODERS = {"H264": "libx264", "H265": "libx265"}
AGGREGATION, FRAGMENT = {"H264": 24, "H265": 48}, {"H264": 28, "H265": 49}
MAX_PAYLOAD = 150
"""So small that pictures come in pieces."""
PAYLOAD_TYPE = 96
Answer = Callable[[str, str], bytes | None]


class RtspServer(MjpegCamera):
    """Plays to everybody who asks as RFC 2326 says."""

    def __init__(self, codec: str = "H264", answer: Answer | None = None, *, control: str = "track1") -> None:
        """answer: to a method and its whole request, instead of what is right, where it is not None."""
        self.codec = codec
        self.answer = answer or (lambda method, request: None)
        self.control = control
        super().__init__()

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/user=anna_password=secret/live?key=secret"

    def _serve(self, client: socket.socket) -> None:
        self._sockets.add(client)
        speaking = threading.Lock()
        with client, client.makefile("rb") as requests, contextlib.suppress(OSError):
            while request := "\r\n".join(iter(lambda: requests.readline().decode().strip(), "")):
                self.requests.append(request.encode())
                method = request.partition(" ")[0]
                answer = self.answer(method, request)
                with speaking:
                    client.sendall(self._right(method, request) if answer is None else answer)
                if method == "PLAY" and answer is None:
                    threading.Thread(target=self._play, args=[client, speaking], daemon=True).start()
        self._sockets.discard(client)

    def _right(self, method: str, request: str) -> bytes:
        if method == "DESCRIBE":
            return reply(request, ["Content-Type: application/sdp"], sdp(self.codec, self.control))
        if method == "SETUP":
            return reply(request, ["Session: 12345678;timeout=2", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"])
        return reply(request, ["Session: 12345678"])

    def _play(self, client: socket.socket, speaking: threading.Lock) -> None:
        with contextlib.suppress(OSError):
            for packet in packets(self.codec, self.pictures_of(client)):
                with speaking:
                    client.sendall(b"$\0" + struct.pack(">H", len(packet)) + packet)
                    client.sendall(b"$\1\0\x1c\x80\xc8\0\6" + bytes(24))  # RTCP's sender report, of nothing

    def pictures_of(self, client: socket.socket) -> Iterator[int]:
        """Numbers of the pictures as they are taken, for as long as that one is there."""
        for _ in self.pictures():
            if client not in self._sockets:
                return
            yield self.number


def reply(request: str, headers: list[str], body: str = "", status: str = "200 OK") -> bytes:
    number = re.search(r"CSeq: ([0-9]+)", request)
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"RTSP/1.0 {status}", f"CSeq: {number and number[1]}", *headers, *length, "", body]).encode()


def sdp(codec: str, control: str, parameters: bytes = b"") -> str:
    sets = f";sprop-parameter-sets={base64.b64encode(parameters).decode()}" if parameters else ""
    lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=camera", "t=0 0", "m=audio 0 RTP/AVP 0", "a=control:track0"]
    lines += [f"m=video 0 RTP/AVP {PAYLOAD_TYPE}", f"a=rtpmap:{PAYLOAD_TYPE} {codec}/90000"]
    return "\r\n".join([*lines, f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1{sets}", f"a=control:{control}", ""])


def encoder(codec: str) -> Any:
    made = av.CodecContext.create(ENCODERS[codec], "w")
    made.width, made.height, made.pix_fmt, made.time_base, made.gop_size = 512, 64, "yuv420p", Fraction(1, FPS), 10
    made.options = {"tune": "zerolatency", "preset": "ultrafast", "x265-params": "log-level=none"}
    return made


def packets(codec: str, numbers: Iterator[int]) -> Iterator[bytes]:
    made, sequence = encoder(codec), 0
    for place, number in enumerate(numbers):
        frame = av.VideoFrame.from_ndarray(blocks(number), format="bgr24")
        frame.pts = place
        for encoded in made.encode(frame):
            payloads = list(packed(codec, units_of(bytes(encoded))))
            for index, payload in enumerate(payloads):
                is_last = index == len(payloads) - 1
                yield rtp(payload, sequence=sequence, timestamp=place * 4500, is_last=is_last)
                sequence += 1


def units_of(stream: bytes) -> list[bytes]:
    return [unit for unit in re.split(b"\0\0\0?\1", stream) if unit]


def rtp(payload: bytes, *, sequence: int, timestamp: int, is_last: bool) -> bytes:
    kind = PAYLOAD_TYPE | (0x80 if is_last else 0)
    return struct.pack(">BBHII", 0x80, kind, sequence & 0xFFFF, timestamp, 7) + payload


def packed(codec: str, units: list[bytes], max_bytes: int = MAX_PAYLOAD) -> Iterator[bytes]:
    """Those that fit together in one packet, one that does not fit in several."""
    head = 1 if codec == "H264" else 2
    small = [unit for unit in units if len(unit) < max_bytes // 4]
    if len(small) > 1:
        joined = b"".join(struct.pack(">H", len(unit)) + unit for unit in small)
        yield _head(codec, small[0], AGGREGATION[codec]) + joined
    for unit in units if len(small) < 2 else [unit for unit in units if unit not in small]:
        if len(unit) <= max_bytes:
            yield unit
            continue
        kind = unit[0] & 0x1F if codec == "H264" else unit[0] >> 1 & 0x3F
        body = [unit[place : place + max_bytes] for place in range(head, len(unit), max_bytes)]
        for index, piece in enumerate(body):
            about = kind | (0x80 if index == 0 else 0) | (0x40 if index == len(body) - 1 else 0)
            yield _head(codec, unit, FRAGMENT[codec]) + bytes((about,)) + piece


def _head(codec: str, like: bytes, kind: int) -> bytes:
    return bytes((like[0] & 0xE0 | kind,)) if codec == "H264" else bytes((like[0] & 0x81 | kind << 1, like[1]))
