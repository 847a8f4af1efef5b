"""What day and time it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from edged.pipeline.prompt import time_line
from edged.pipeline.tools.local_tool import LocalTool, Occasion


def clock_tool(now: Callable[[], datetime]) -> LocalTool:
    """now: the local time."""

    async def tell(arguments: Mapping[str, Any], occasion: Occasion) -> str:
        return time_line(now())

    return LocalTool(name="clock", description="Tells the current date, weekday, time and time zone.", run=tell)
