"""The camera of this machine, as the configuration names it."""

from __future__ import annotations

from edged.config import Config
from edged.config.schema import absolute
from edged.vision.camera import Camera


def camera_of(config: Config) -> Camera | None:
    """Closed until somebody looks; None where no camera is configured."""
    source = config.camera_source
    if source is None:
        return None
    return Camera(
        source,
        max_fps=config.camera.max_fps,
        warm_up_frames=config.camera.warm_up_frames,
        led=absolute(config.camera.led) if config.camera.led else None,
    )
