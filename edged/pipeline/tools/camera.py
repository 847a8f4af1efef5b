"""What the daemon's camera sees now, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from edged.errors import CameraOff
from edged.events import Image
from edged.pipeline.ports import Sight
from edged.pipeline.tools.local_tool import LocalTool, Occasion
from edged.records import CameraFrame, Scope


class Camera(Protocol):
    """The eye of this machine."""

    async def snapshot(self) -> CameraFrame:
        """The newest picture. Raises CameraOff, DeviceUnavailable, MissingExtra."""
        ...


def look_tool(camera: Camera | None, sight: Sight) -> LocalTool:
    """camera: None where none is configured."""

    async def look(arguments: Mapping[str, Any], occasion: Occasion) -> str:
        if camera is None:
            raise CameraOff("this machine has no camera")
        frame = await camera.snapshot()
        occasion.pictures.append(Image(data=frame.jpeg, media_type="image/jpeg"))
        return (await sight.describe(frame.jpeg, field="camera")).text

    return LocalTool(
        name="look",
        description="Takes a picture with the camera and tells what can be seen and read in it.",
        scope=Scope.CAMERA,
        run=look,
    )
