"""The daemon's own tools, those that the configuration switches on."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Mapping
from datetime import datetime

from edged.config import Config
from edged.daemon.machine import available_memory
from edged.engine.worker import EngineWorker
from edged.pipeline.timers import Timers
from edged.pipeline.tools.camera import look_tool
from edged.pipeline.tools.clock import clock_tool
from edged.pipeline.tools.conversations import conversations_tool
from edged.pipeline.tools.device import device_tool
from edged.pipeline.tools.local_tool import LocalTool
from edged.pipeline.tools.ocr import read_picture_tool
from edged.pipeline.tools.timers import timers_tool
from edged.pipeline.tools.toolbox import Toolbox
from edged.records import ToolStatus
from edged.store import AsyncStore
from edged.vision.camera import Camera
from edged.vision.sight import Sight

_GIB = 1024**3


def toolbox(
    config: Config, worker: EngineWorker, store: AsyncStore, camera: Camera | None, eyes: Sight, timers: Timers
) -> Toolbox:
    """timers: those of the room."""
    tools = _tools(config, worker, store, camera, eyes, timers)
    return Toolbox([tool for key, tool in tools.items() if getattr(config.tools, key)])


def tool_statuses(config: Config) -> tuple[ToolStatus, ...]:
    """All there are, and whether they are switched on, by their keys in the configuration."""
    switches = dataclasses.asdict(config.tools)
    return tuple(ToolStatus(name=name, is_on=is_on) for name, is_on in switches.items())


def _tools(
    config: Config, worker: EngineWorker, store: AsyncStore, camera: Camera | None, eyes: Sight, timers: Timers
) -> Mapping[str, LocalTool]:
    """By key of the configuration."""
    return {
        "clock": clock_tool(lambda: datetime.now().astimezone()),
        "timers": timers_tool(timers, lambda: time.clock_gettime(time.CLOCK_BOOTTIME)),
        "conversations": conversations_tool(store),
        "camera": look_tool(camera, eyes),
        "ocr": read_picture_tool(eyes),
        "device": device_tool(lambda: _report(config, worker)),
    }


def _report(config: Config, worker: EngineWorker) -> Mapping[str, str]:
    engine = worker.status()
    hours = time.clock_gettime(time.CLOCK_BOOTTIME) / 3600
    return {
        "model": f"{engine.model} on {engine.device}",
        "answers": f"{engine.active_requests} being generated, {engine.queued_requests} waiting",
        "free memory": f"{available_memory() / _GIB:.1f} GiB",
        "free disk": f"{shutil.disk_usage(config.paths.state).free / _GIB:.1f} GiB",
        "load": f"{os.getloadavg()[0]:.2f} on {os.cpu_count()} cores",
        "machine running for": f"{hours:.1f} hours",
    }
