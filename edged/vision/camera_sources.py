"""Cameras of every kind behind one small interface. Only the process that holds a camera imports this."""

from __future__ import annotations

import base64
import http.client
import os
import time
from collections import deque
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edged.config.camera_source import CameraKind, CameraSource
from edged.errors import DeviceUnavailable, MissingExtra
from edged.vision.camera_device import obstacle_of
from edged.vision.mjpeg import MAX_JPEG_BYTES, MjpegParts
from edged.vision.rtsp_camera import RtspCamera

Bgr = NDArray[np.uint8]
"""(height, width, 3)."""

MAX_PIXELS = 1 << 25
"""Of one picture: 33 megapixels."""
TIMEOUT_SECONDS = 5.0
"""For one answer of a network camera."""
POLL_SECONDS = 0.1
"""Between two pictures of a network camera that gives them one by one."""
FILE_FPS = (1.0, 60.0)
DEFAULT_FPS = 10.0
"""Of pictures that are numbered, which have no speed of their own."""
_READ_BYTES = 1 << 16
_HELD = "the camera does not open: is it plugged in, and does no other program hold it?"
os.environ |= {
    "OPENCV_IO_MAX_IMAGE_PIXELS": str(MAX_PIXELS),
    "OPENCV_FFMPEG_CAPTURE_OPTIONS": "protocol_whitelist;file",  # a play list in a file leads nowhere else
    "OPENCV_LOG_LEVEL": "SILENT",
}
try:
    import cv2
except ImportError as exc:
    raise MissingExtra("the camera needs an extra: `make setup EXTRAS=vision` or pip install 'edged[vision]'") from exc


class FrameSource(Protocol):
    """One open camera. Both raise DeviceUnavailable, in words that name no source."""

    def wait(self) -> None:
        """Until the camera has taken another picture."""

    def picture(self) -> Bgr | None:
        """The last one; None where it is damaged."""


def open_source(source: CameraSource) -> FrameSource:
    """Raises DeviceUnavailable."""
    cv2.setNumThreads(1)
    if source.kind is CameraKind.HTTP:
        return _NetworkCamera(source)
    if source.kind is CameraKind.RTSP:
        return RtspCamera(source, max_pixels=MAX_PIXELS, timeout_seconds=TIMEOUT_SECONDS)
    if source.kind is CameraKind.FILE:
        return _Recording(source)
    return _LocalCamera(source)


class _LocalCamera:
    """By Video4Linux or GStreamer."""

    def __init__(self, source: CameraSource) -> None:
        if source.kind is CameraKind.GSTREAMER:
            if obstacle := obstacle_of(source):
                raise DeviceUnavailable(obstacle)
            pipeline = f"{source.place} ! appsink drop=true max-buffers=1 sync=false"
            self._capture = cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)
        else:
            self._capture = cv2.VideoCapture(source.place, cv2.CAP_V4L2)
            self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if not self._capture.isOpened():
            raise DeviceUnavailable(obstacle_of(source) or _HELD)

    def wait(self) -> None:
        if not self._capture.grab():
            raise DeviceUnavailable("the camera gives no pictures any more; is it still plugged in?")

    def picture(self) -> Bgr | None:
        return _retrieved(self._capture)


class _Recording:
    """A video file, or numbered pictures: at their own speed, from the beginning again after the last."""

    def __init__(self, source: CameraSource) -> None:
        self._path = source.place
        self._capture = self._begin()
        low, high = FILE_FPS
        fps = 0.0 if self._is_sequence else self._capture.get(cv2.CAP_PROP_FPS)
        self._seconds = 1 / (min(max(fps, low), high) if fps > 0 else DEFAULT_FPS)
        self._due = time.monotonic()

    def wait(self) -> None:
        self._due = max(self._due + self._seconds, time.monotonic() - self._seconds)
        time.sleep(max(0.0, self._due - time.monotonic()))
        if not self._capture.grab():
            self._capture.release()
            self._capture = self._begin()
            if not self._capture.grab():
                raise DeviceUnavailable("the file of the camera holds no pictures that can be read")

    def picture(self) -> Bgr | None:
        return _retrieved(self._capture)

    @property
    def _is_sequence(self) -> bool:
        return "%" in self._path

    def _begin(self) -> Any:
        capture = cv2.VideoCapture(self._path, cv2.CAP_IMAGES if self._is_sequence else cv2.CAP_FFMPEG)
        if not capture.isOpened():
            raise DeviceUnavailable("the file of the camera is not there, or holds no pictures that can be read")
        return capture


class _NetworkCamera:
    """HTTP/1.1 to one address in digits; whatever leads elsewhere is not followed."""

    def __init__(self, source: CameraSource) -> None:
        self._target = source.place
        self._headers = {"Accept": "multipart/x-mixed-replace, image/jpeg"}
        if source.credentials:
            secret = base64.b64encode(source.credentials.encode()).decode("ascii")
            self._headers["Authorization"] = f"Basic {secret}"
        self._connection = http.client.HTTPConnection(source.host, source.port, timeout=TIMEOUT_SECONDS)
        self._pictures: deque[bytes] = deque()
        self._last = b""
        self._response = self._ask()
        content_type = self._response.headers.get("Content-Type", "")
        kind = content_type.partition(";")[0].strip().lower()
        self._parts: MjpegParts | None = None
        if kind in ("multipart/x-mixed-replace", "multipart/mixed"):
            self._parts = MjpegParts(content_type)
        elif kind != "image/jpeg":
            raise DeviceUnavailable("the camera's address gives neither MJPEG nor JPEG: is its path right?")

    def wait(self) -> None:
        while not self._pictures:
            try:
                self._pictures.extend(self._next())
            except (OSError, http.client.HTTPException) as exc:
                raise _no_answer(exc) from exc
        self._last = self._pictures.pop()  # those before it are older
        self._pictures.clear()

    def picture(self) -> Bgr | None:
        try:
            decoded = cv2.imdecode(np.frombuffer(self._last, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            return None
        return None if decoded is None else np.asarray(decoded, np.uint8)

    def _next(self) -> list[bytes]:
        if self._parts is None:
            return [self._whole()]
        data = self._response.read1(_READ_BYTES)
        if not data:
            raise DeviceUnavailable("the camera has ended its pictures")
        return self._parts.push(data)

    def _whole(self) -> bytes:
        if self._last:
            time.sleep(POLL_SECONDS)
            self._response = self._ask()
        data = self._response.read(MAX_JPEG_BYTES + 1)
        if len(data) > MAX_JPEG_BYTES:
            raise DeviceUnavailable(f"the camera sends pictures of more than {MAX_JPEG_BYTES >> 20} MiB")
        if not data:
            raise DeviceUnavailable("the camera sends pictures without content")
        return data

    def _ask(self) -> http.client.HTTPResponse:
        try:
            self._connection.request("GET", self._target, headers=self._headers)
            response = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as exc:
            raise _no_answer(exc) from exc
        if response.status in (401, 403):
            raise DeviceUnavailable("the camera wants a name and a password: camera.source = http://NAME:PASSWORD@...")
        if response.status != 200:
            raise DeviceUnavailable(f"the camera answers with HTTP status {response.status}: is its path right?")
        return response


def _retrieved(capture: Any) -> Bgr | None:
    is_there, picture = capture.retrieve()
    if not is_there or picture is None or picture.shape[0] * picture.shape[1] > MAX_PIXELS:
        return None
    return np.asarray(picture, np.uint8)


def _no_answer(exc: Exception) -> DeviceUnavailable:
    """Of an HTTP camera; the exception's own words could quote what it sent."""
    reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else "no answer, or none in HTTP"
    return DeviceUnavailable(f"the camera cannot be reached ({reason}); is it switched on, and on this network?")
