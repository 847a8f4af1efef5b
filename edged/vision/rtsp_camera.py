"""A camera that sends video by RTSP: decoded by FFmpeg (PyAV), which is given bytes and no address."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edged.config.camera_source import CameraSource
from edged.errors import DeviceUnavailable, MissingExtra
from edged.vision.rtp_video import AccessUnit, AccessUnits
from edged.vision.rtsp import RtspSession

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


class RtspCamera:
    """What comes before a picture that a decoder can begin with is skipped."""

    def __init__(self, source: CameraSource, *, max_pixels: int, timeout_seconds: float) -> None:
        """max_pixels: of one picture. timeout_seconds: for one answer. Raises DeviceUnavailable, MissingExtra."""
        try:
            import av
            from av.codec.context import Flags
            from av.video.codeccontext import VideoCodecContext
        except ImportError as exc:
            raise MissingExtra(
                "RTSP cameras need an extra: `make setup EXTRAS=vision` or pip install 'edged[vision]'"
            ) from exc
        self._av = av
        try:
            connection = socket.create_connection((source.host, source.port), timeout_seconds)
            self._session = RtspSession(connection, f"{source.origin}{source.place}", source.credentials)
        except OSError as exc:
            raise _no_answer(exc) from exc
        video = self._session.video
        self._units = AccessUnits(video.codec, video.payload_type)
        self._before: bytes | None = video.parameter_sets
        """What the first picture needs before it; None once that has come."""
        self._decoder = VideoCodecContext.create(video.codec.value, "r")
        self._decoder.thread_count = 1
        self._decoder.flags |= Flags.low_delay
        self._decoder.options = {"max_pixels": str(max_pixels)}
        self._frame: VideoFrame | None = None

    def wait(self) -> None:
        """Until a picture has come."""
        while True:
            unit = self._next()
            if self._before is not None and not unit.is_beginning:
                continue
            frames = self._decoded((self._before or b"") + unit.data)
            self._before = None
            if frames is None or frames:
                self._frame = frames[-1] if frames else None
                return

    def picture(self) -> NDArray[np.uint8] | None:
        """The last one; None where it is damaged."""
        return None if self._frame is None else np.asarray(self._frame.to_ndarray(format="bgr24"), np.uint8)

    def _next(self) -> AccessUnit:
        while True:
            try:
                packet = self._session.packet()
            except OSError as exc:
                raise _no_answer(exc) from exc
            if unit := self._units.push(packet):
                return unit

    def _decoded(self, data: bytes) -> list[VideoFrame] | None:
        try:
            return self._decoder.decode(self._av.Packet(data))
        except self._av.FFmpegError:
            return None


def _no_answer(exc: OSError) -> DeviceUnavailable:
    reason = exc.strerror or "no answer"
    return DeviceUnavailable(f"the camera cannot be reached ({reason}); is it switched on, and on this network?")
