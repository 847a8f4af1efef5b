"""The process that holds one open camera: `python -m edged.vision.camera_process 3`.

Why a process: a driver, or a decoder of what a camera sends, may hang or crash; a process is killed, and what it held
is closed. It talks to the daemon over a socket (descriptor 3 here), whose first line from the daemon is a `Wish` in
JSON. Whatever it says has a HEAD: OPENED once the camera sees well, FAILED with a `Failure` in JSON before it ends, and
FRAME with the next picture for each ASK, taken after it. It ends when the daemon does, when it is killed, or when the
camera is gone.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from edged.config.camera_source import CameraKind, CameraSource
from edged.errors import DeviceUnavailable, EdgedError

if TYPE_CHECKING:
    from edged.vision.camera_sources import Bgr, FrameSource

HEAD = struct.Struct("<cdI")
"""Kind, CLOCK_MONOTONIC in seconds when the picture was taken, bytes that follow."""
OPENED, FRAME, FAILED = b"O", b"F", b"E"
ASK = b"?"
MAX_FRAME_BYTES = 3 * 1024 * 1024
FIRST_SECONDS = 10.0
"""For a camera to give its first picture; some take their time to wake up."""
SILENT_SECONDS = 2.0
"""A camera that has given nothing for so long is lost."""
MAX_DAMAGED = 20
"""Pictures in a row that cannot be decoded; a bad radio link damages one now and then."""
_JPEG_QUALITY = 90
_MAX_WISH_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to open."""

    source: CameraSource
    warm_up_frames: int

    @classmethod
    def of(cls, line: bytes) -> Wish:
        """From JSON as `line` gives it."""
        fields = json.loads(line)
        source = fields["source"]
        source["kind"] = CameraKind(source["kind"])
        return cls(source=CameraSource(**source), warm_up_frames=fields["warm_up_frames"])

    def line(self) -> bytes:
        """Over the socket, as a command line could be read by everybody on this machine."""
        return json.dumps(asdict(self)).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why the camera is not, or no longer, open."""

    error: str
    """Name of the class in `edged.errors`."""
    message: str


def main() -> None:
    """Until the daemon or the camera is gone."""
    daemon = socket.socket(fileno=int(sys.argv[1]))
    wish = Wish.of(daemon.makefile("rb", buffering=0).readline(_MAX_WISH_BYTES))
    camera = _Camera(daemon, wish)
    threading.Thread(target=camera.run, name="camera", daemon=True).start()
    while not camera.is_silent:
        said, _, _ = select.select([daemon], [], [], SILENT_SECONDS / 4)
        if said:
            if not daemon.recv(1):
                os._exit(0)  # closing in good order may hang
            camera.asked.set()
    camera.fail(DeviceUnavailable("the camera gives no pictures; is it still plugged in, and switched on?"))


class _Camera:
    """The camera, and the thread that reads it: what drains it must not wait for anybody who looks."""

    def __init__(self, daemon: socket.socket, wish: Wish) -> None:
        self.asked = threading.Event()
        self._daemon = daemon
        self._wish = wish
        self._speaking = threading.Lock()
        self._deadline = time.monotonic() + FIRST_SECONDS
        self._damaged = 0

    @property
    def is_silent(self) -> bool:
        """No picture has come for too long."""
        return time.monotonic() > self._deadline

    def run(self) -> None:
        """The thread: until the camera is gone."""
        try:
            from edged.vision.camera_sources import open_source

            source = open_source(self._wish.source)
            if self._wish.source.kind is not CameraKind.FILE:
                self._settle(source)
            self._say(OPENED, 0.0, b"")
            while True:
                taken = self._wait(source)
                if self.asked.is_set() and (picture := self._picture(source)) is not None:
                    self.asked.clear()
                    self._say(FRAME, taken, jpeg_of(picture))
        except EdgedError as exc:
            self.fail(exc)
        except OSError:
            os._exit(0)

    def fail(self, error: EdgedError) -> None:
        """Say why, and end the process."""
        failure = Failure(error=type(error).__name__, message=error.message)
        try:
            self._say(FAILED, 0.0, json.dumps(asdict(failure)).encode())
        finally:
            os._exit(1)

    def _settle(self, source: FrameSource) -> None:
        from edged.vision.exposure import ExposureSettling

        settling = ExposureSettling(warm_up_frames=self._wish.warm_up_frames)
        before = time.monotonic()
        is_settled = False
        while not is_settled:
            taken = self._wait(source)
            picture = self._picture(source)
            if picture is not None:
                is_settled = settling.push(brightness=float(picture.mean()), seconds=taken - before)
                before = taken

    def _picture(self, source: FrameSource) -> Bgr | None:
        """The last one; None where it is damaged. Raises DeviceUnavailable where too many are."""
        picture = source.picture()
        self._damaged = self._damaged + 1 if picture is None else 0
        if self._damaged == MAX_DAMAGED:
            raise DeviceUnavailable("the camera sends pictures that cannot be decoded")
        return picture

    def _wait(self, source: FrameSource) -> float:
        """Until the next picture; CLOCK_MONOTONIC when it had come."""
        source.wait()
        taken = time.monotonic()
        self._deadline = taken + SILENT_SECONDS
        return taken

    def _say(self, kind: bytes, taken: float, payload: bytes) -> None:
        with self._speaking:
            self._daemon.sendall(HEAD.pack(kind, taken, len(payload)) + payload)


def jpeg_of(picture: Bgr) -> bytes:
    """Of at most MAX_FRAME_BYTES: halved in width and height until it is."""
    import cv2

    while True:
        _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        if len(jpeg) <= MAX_FRAME_BYTES:
            return jpeg.tobytes()
        picture = picture[::2, ::2]


if __name__ == "__main__":
    main()
