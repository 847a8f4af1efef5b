"""A camera's video over one TCP connection: RTSP (RFC 2326), its packets between the answers (10.12).

One connection to one address, which the caller has made: whatever leads elsewhere is refused. So no library's client
is used; FFmpeg's follows a redirection to any host, and no layer below can tell a camera's port from another's.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping
from typing import NamedTuple

from edged.errors import DeviceUnavailable
from edged.vision.rtsp_authorization import authorization
from edged.vision.rtsp_description import Video, described_video

MAX_ANSWER_BYTES = 64 * 1024
_READ_BYTES = 1 << 16
_PACKET_MARK = 0x24
_PACKET_HEAD_BYTES = 4
_STATUS = re.compile(r"RTSP/1\.[0-9] ([0-9]{3})(?: |$)")
_SESSION = re.compile(r"([!-:<-~]{1,256})(?:;\s*timeout=([0-9]{1,5}))?")
_CHANNEL = re.compile(r"interleaved=([0-9]{1,3})")
_SESSION_SECONDS = 60
"""Without a sign of life, where the camera does not say."""


class _Answer(NamedTuple):
    status: int
    headers: dict[str, list[str]]
    body: bytes

    def first(self, name: str) -> str:
        return self.headers.get(name, [""])[0]


class RtspSession:
    """Playing once it is made. All methods raise DeviceUnavailable, in words that name no source, and OSError."""

    def __init__(self, connection: socket.socket, url: str, credentials: str) -> None:
        """connection: with a timeout. url: rtsp://ADDRESS:PORT/PATH. credentials: NAME:PASSWORD, or empty."""
        self._connection = connection
        self._credentials = credentials
        self._buffer = bytearray()
        self._number = 0
        self._challenges: list[str] = []
        self._session = ""
        described = self._ask("DESCRIBE", url, {"Accept": "application/sdp"})
        self.video: Video = described_video(described.body.decode(errors="replace"))
        self._url = described.first("content-base").strip() or url
        setup = self._ask("SETUP", self._stream_url(), {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"})
        session, channel = _SESSION.match(setup.first("session")), _CHANNEL.search(setup.first("transport"))
        if session is None or channel is None:
            raise _no_rtsp()
        self._session, self._channel = session[1], int(channel[1])
        self._pause = max(1, int(session[2] or _SESSION_SECONDS) // 2)
        self._ask("PLAY", self._url, {"Range": "npt=0.000-"})
        self._alive_at = time.monotonic()

    def packet(self) -> bytes:
        """The next one of the video, which may be of the past as long as there are more."""
        while True:
            if time.monotonic() - self._alive_at > self._pause:
                self._send("OPTIONS", self._url, {})
                self._alive_at = time.monotonic()
            while not self._buffer:
                self._read()
            if self._buffer[0] != _PACKET_MARK:
                self._answer()  # to a sign of life
            elif (found := self._packet()) and found[0] == self._channel:
                return found[1]

    def _stream_url(self) -> str:
        control = self.video.control
        if control == "*":
            return self._url
        return control if "://" in control else f"{self._url.rstrip('/')}/{control}"

    def _ask(self, method: str, url: str, headers: Mapping[str, str]) -> _Answer:
        self._send(method, url, headers)
        answer = self._answer_after_packets()
        if answer.status == 401 and self._credentials and answer.headers.get("www-authenticate"):
            self._challenges = answer.headers["www-authenticate"]
            self._send(method, url, headers)
            answer = self._answer_after_packets()
        if answer.status in (401, 403):
            raise DeviceUnavailable("the camera wants a name and a password: camera.source = rtsp://NAME:PASSWORD@...")
        if answer.status // 100 == 3:
            raise DeviceUnavailable("the camera leads to another address, which is not followed: name that one")
        if answer.status != 200:
            raise DeviceUnavailable(f"the camera answers with RTSP status {answer.status}: is its path right?")
        return answer

    def _send(self, method: str, url: str, headers: Mapping[str, str]) -> None:
        self._number += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self._number}", *(f"{key}: {headers[key]}" for key in headers)]
        if self._session:
            lines.append(f"Session: {self._session}")
        if self._challenges and (proof := authorization(self._challenges, self._credentials, method=method, url=url)):
            lines.append(f"Authorization: {proof}")
        self._connection.sendall("\r\n".join([*lines, "", ""]).encode())

    def _answer_after_packets(self) -> _Answer:
        while True:
            while not self._buffer:
                self._read()
            if self._buffer[0] != _PACKET_MARK:
                return self._answer()
            self._packet()

    def _packet(self) -> tuple[int, bytes]:
        """Its channel, and what it holds."""
        self._need(_PACKET_HEAD_BYTES)
        length = _PACKET_HEAD_BYTES + int.from_bytes(self._buffer[2:4], "big")
        self._need(length)
        channel, packet = self._buffer[1], bytes(self._buffer[_PACKET_HEAD_BYTES:length])
        del self._buffer[:length]
        return channel, packet

    def _answer(self) -> _Answer:
        while (end := self._buffer.find(b"\r\n\r\n", 0, MAX_ANSWER_BYTES)) < 0:
            if len(self._buffer) >= MAX_ANSWER_BYTES:
                raise _no_rtsp()
            self._read()
        status, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        match = _STATUS.match(status)
        if match is None:
            raise _no_rtsp()
        headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers.setdefault(name.strip().lower(), []).append(value.strip())
        length = headers.get("content-length", ["0"])[0]
        if not re.fullmatch("[0-9]{1,5}", length):
            raise _no_rtsp()
        self._need(int(length))
        body = bytes(self._buffer[: int(length)])
        del self._buffer[: int(length)]
        return _Answer(int(match[1]), headers, body)

    def _need(self, length: int) -> None:
        while len(self._buffer) < length:
            self._read()

    def _read(self) -> None:
        data = self._connection.recv(_READ_BYTES)
        if not data:
            raise DeviceUnavailable("the camera has ended its pictures")
        self._buffer += data


def _no_rtsp() -> DeviceUnavailable:
    return DeviceUnavailable("the camera's address answers with something that is no RTSP: is it right?")
