"""Tools that a request declares, and how they may be called."""

from __future__ import annotations

from typing import Any

from edged import events
from edged.errors import InvalidInput
from edged.v1 import assistant_pb2, message_pb2
from edged.wire.values import copy_from_wire, copy_to_wire, schema_to_wire

_MODES = {
    events.ToolChoice.AUTO: message_pb2.TOOL_MODE_AUTO,
    events.ToolChoice.NONE: message_pb2.TOOL_MODE_NONE,
    events.ToolChoice.REQUIRED: message_pb2.TOOL_MODE_REQUIRED,
}
_CHOICE_OF = {
    message_pb2.TOOL_MODE_UNSPECIFIED: events.ToolChoice.AUTO,
    **{mode: choice for choice, mode in _MODES.items()},
}


def tool_use_to_wire(use: events.ToolUse) -> dict[str, Any]:
    """The fields of AskRequest."""
    is_named = use.choice is events.ToolChoice.NAMED
    return {
        "tools": [
            copy_to_wire(tool, message_pb2.Tool, parameters=schema_to_wire(tool.parameters, f"tools[{i}].parameters"))
            for i, tool in enumerate(use.tools)
        ],
        "tool_choice": message_pb2.ToolChoice(name=use.name)
        if is_named
        else message_pb2.ToolChoice(mode=_MODES[use.choice]),
        "parallel_tool_calls": use.parallel,
    }


def tool_use_from_wire(request: assistant_pb2.AskRequest, *, most: int) -> events.ToolUse | None:
    """None where the request says nothing of tools. Reads one tool more than `most`, which is to be refused."""
    if not (request.tools or request.HasField("tool_choice") or request.HasField("parallel_tool_calls")):
        return None
    choice, name = _choice_from_wire(request.tool_choice)
    return events.ToolUse(
        tools=tuple(copy_from_wire(tool, events.Tool) for tool in request.tools[: most + 1]),
        choice=choice,
        name=name,
        parallel=request.parallel_tool_calls if request.HasField("parallel_tool_calls") else True,
    )


def _choice_from_wire(choice: message_pb2.ToolChoice) -> tuple[events.ToolChoice, str]:
    if choice.WhichOneof("choice") == "name":
        return events.ToolChoice.NAMED, choice.name
    known = _CHOICE_OF.get(choice.mode)
    if known is None:
        raise InvalidInput(f"tool_choice has no known value ({choice.mode})", field="tool_choice")
    return known, ""
