"""What keeps a camera of this machine from being opened, as far as that shows without opening it."""

from __future__ import annotations

import os

from edged.config.camera_source import CameraKind, CameraSource

_NO_GSTREAMER = (
    "the installed OpenCV knows no GStreamer: systemd/README.md says how to have one that does, or name the camera as "
    "/dev/video0"
)


def obstacle_of(source: CameraSource) -> str:
    """And what to do about it; empty where nothing shows."""
    if source.kind is CameraKind.FILE and "%" not in source.place and not os.access(source.place, os.R_OK):
        return "the file of the camera is not there, or may not be read by this user"
    if source.kind is CameraKind.GSTREAMER and not _knows_gstreamer():
        return _NO_GSTREAMER
    if source.kind is not CameraKind.DEVICE:
        return ""
    if not os.path.exists(source.place):  # noqa: PTH110  # Path.exists raises for what is too long to be a name
        return "the camera is not there: is it plugged in? (`ls /dev/video*`)"
    if not os.access(source.place, os.R_OK | os.W_OK):
        return "the camera may not be opened by this user: the group video may (`usermod -aG video USER`)"
    return ""


def _knows_gstreamer() -> bool:
    """Also where there is no OpenCV, whose absence is told elsewhere."""
    try:
        import cv2
    except ImportError:
        return True
    return bool(cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER))
