"""How this machine is doing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edged.pipeline.tools.local_tool import LocalTool, Occasion


def device_tool(report: Callable[[], Mapping[str, str]]) -> LocalTool:
    """report: what there is to tell, each under its name; blocks no longer than it takes to look at a few counters."""

    async def tell(arguments: Mapping[str, Any], occasion: Occasion) -> str:
        return "\n".join(f"{name}: {value}" for name, value in report().items())

    return LocalTool(
        name="device_status",
        description="Tells which model runs on what, and how much memory and disk this machine has left.",
        run=tell,
    )
