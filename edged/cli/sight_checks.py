"""The rows of `edged doctor` about eyes: what reads pictures, and the camera of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from edged.cli.check import Check, Verdict, judged
from edged.cli.see import HOW_TO_LOOK_FOR_THINGS
from edged.config import Config
from edged.config.camera_source import CameraSource
from edged.errors import EdgedError
from edged.launch import listens
from edged.records import CameraState, CameraStatus
from edged.vision.camera_device import obstacle_of


def sight_checks(config: Config) -> Iterator[Check]:
    """Text is served without either. No camera is opened: that is for who wants to look."""
    yield _pictures()
    if source := config.camera_source:
        yield _camera(config, source)


def _pictures() -> Check:
    from edged.vision.weights import objects_folder, text_folder

    try:
        text_folder()
        objects = "objects" if objects_folder() else f"no objects, which takes {HOW_TO_LOOK_FOR_THINGS}"
    except EdgedError as exc:
        return Check(name="pictures", verdict=Verdict.WARN, detail=exc.message)
    return judged("pictures", f"text in Chinese and English, codes, colours; {objects}")


def _camera(config: Config, source: CameraSource) -> Check:
    if not listens(config.socket_path):
        obstacle = obstacle_of(source)
        detail = source.name if obstacle else f"{source.name}, opened when somebody looks"
        return judged("camera", detail, not obstacle, advice=obstacle, otherwise=Verdict.WARN)
    status = asyncio.run(_status(config))
    if status is None:
        detail = f"{source.name} is not known to the running daemon: start it again"
        return Check(name="camera", verdict=Verdict.WARN, detail=detail)
    advice = status.obstacle or "`edged camera on` allows it to open"
    is_well = status.state in (CameraState.CLOSED, CameraState.OPEN)
    return judged("camera", f"{status.source} is {status.state}", is_well, advice=advice, otherwise=Verdict.WARN)


async def _status(config: Config) -> CameraStatus | None:
    from edged.client import Client

    async with Client(f"unix:{config.socket_path}") as client:
        return (await client.status()).camera
