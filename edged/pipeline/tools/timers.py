"""Timers that the model sets, sees and cancels; each person has their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edged.pipeline.timers import MAX_NAME_CHARACTERS, MAX_SECONDS, MIN_SECONDS, Timer, Timers
from edged.pipeline.tools.local_tool import LocalTool, Occasion

MAX_OWNERS = 100
"""Whose timers are kept; those of who set one first are forgotten before others'."""
_SECONDS = {
    "type": "integer",
    "minimum": int(MIN_SECONDS),
    "maximum": int(MAX_SECONDS),
    "description": "How long it runs.",
}
_NAME = {"type": "string", "maxLength": MAX_NAME_CHARACTERS, "default": "", "description": "What it is for."}
_USES = (
    {"action": {"const": "set"}, "seconds": _SECONDS, "name": _NAME},
    {"action": {"const": "cancel"}, "name": _NAME},
    {"action": {"const": "list"}},
)


def timers_tool(room: Timers, clock: Callable[[], float]) -> LocalTool:
    """room: the operator's, which are announced in the room. clock: seconds that go on while the machine sleeps."""
    owned: dict[str, Timers] = {"": room}

    async def act(arguments: Mapping[str, Any], occasion: Occasion) -> str:
        timers = owned.setdefault(occasion.reader.owner, Timers())
        if len(owned) > MAX_OWNERS:
            del owned[next(name for name in owned if name not in ("", occasion.reader.owner))]
        return _act(timers, arguments, clock())

    return LocalTool(name="timers", description="Sets, lists or cancels timers.", uses=_USES, run=act)


def _act(timers: Timers, arguments: Mapping[str, Any], now: float) -> str:
    name = arguments.get("name", "")
    match arguments["action"]:
        case "set":
            return f"set: {_described(timers.set(now, arguments['seconds'], name), now)}"
        case "cancel":
            cancelled = timers.cancel(name)
            return f"cancelled: {_described(cancelled[0], now)}" if cancelled else "error: no timer, or several, fit"
    return "\n".join(_described(timer, now) for timer, _ in timers.left(now)) or "no timers"


def _described(timer: Timer, now: float) -> str:
    left = round(timer.left(now))
    state = f"{left} seconds left of {timer.seconds:g}" if left else f"done, it was set to {timer.seconds:g} seconds"
    return f"{timer.name or 'timer'}: {state}"
