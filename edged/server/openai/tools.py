"""Tools over HTTP: declared in a request, called in an answer, and answered in the next request."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from edged.errors import InvalidInput
from edged.events import (
    Image,
    Message,
    Role,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolChoice,
    ToolResult,
    ToolUse,
)
from edged.server.openai.schema import ChatRequest
from edged.server.openai.tool_schema import AssistantCall, NamedTool

_NO_CALL = "tool_call_id must name a call of the assistant's message before, each once"
_TOOL_FIELD = re.compile(r"tools\[(\d+)\]")


def tool_use_of(request: ChatRequest) -> ToolUse | None:
    """None where the request says nothing of tools. Raises InvalidInput for those of long ago."""
    if request.functions or request.function_call:
        field = "functions" if request.functions else "function_call"
        raise InvalidInput("functions are declared as tools, and chosen by tool_choice", field=field)
    if request.tools is None and request.tool_choice is None:
        return None
    tools = tuple(
        Tool(
            name=tool.function.name,
            description=tool.function.description or "",
            parameters=json.dumps(parameters, ensure_ascii=False) if (parameters := tool.function.parameters) else "",
        )
        for tool in request.tools or ()
    )
    parallel = request.parallel_tool_calls is not False
    if isinstance(request.tool_choice, NamedTool):
        name = request.tool_choice.function.name
        return ToolUse(tools=tools, choice=ToolChoice.NAMED, name=name, parallel=parallel)
    return ToolUse(tools=tools, choice=ToolChoice(request.tool_choice or "auto"), parallel=parallel)


def request_field(field: str) -> str:
    """The engine's name of a field of a tool or a message as the request has it."""
    return "messages" if field.startswith("parts") else _TOOL_FIELD.sub(r"tools.\1.function", field)


def calls_of(calls: Sequence[AssistantCall], place: str) -> tuple[ToolCall, ...]:
    """What the model called earlier. Raises InvalidInput for arguments that are no JSON object."""
    return tuple(
        ToolCall(
            id=call.id,
            name=call.function.name,
            arguments=_checked(call.function.arguments or "{}", f"{place}.{index}.function.arguments"),
        )
        for index, call in enumerate(calls)
    )


def with_results_joined(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Results that follow each other in one message.

    Raises InvalidInput unless after each message with calls come the results of just these.
    """
    joined: list[Message] = []
    waiting: set[str] = set()
    for number, message in enumerate(messages):
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        if waiting and not results:
            raise InvalidInput(_waiting(waiting), field=f"messages.{number}")
        for result in results:
            if result.call_id not in waiting:
                raise InvalidInput(_NO_CALL, field=f"messages.{number}.tool_call_id")
            waiting.remove(result.call_id)
        if results and joined[-1].role is Role.TOOL:
            joined[-1] = Message(role=Role.TOOL, parts=(*joined[-1].parts, *message.parts))
        else:
            joined.append(message)
        waiting |= {part.id for part in message.parts if isinstance(part, ToolCall)}
    if waiting:
        raise InvalidInput(_waiting(waiting), field="messages")
    return tuple(joined)


def with_pictures_told(message: Message) -> tuple[Message, ...]:
    """A message of results as models read one: pictures, each after the result that it is of, are part of its text.

    Those without a description are for a model that sees, which no template shows them in a result: they come after.
    """
    if message.role is not Role.TOOL:
        return (message,)
    results: list[ToolResult] = []
    unseen = tuple(part for part in message.parts if isinstance(part, Image) and not part.description)
    for part in message.parts:
        if isinstance(part, ToolResult):
            results.append(part)
        elif isinstance(part, Image) and part.description:
            words = f"{results[-1].content}\n{part.description}".strip()
            results[-1] = replace(results[-1], content=words)
    told = replace(message, parts=tuple(results))
    return (told, Message(role=Role.USER, parts=unseen)) if unseen else (told,)


def call_delta(event: ToolCallStarted | ToolCallDelta) -> dict[str, Any]:
    """Of a stream: id and name once, then the arguments in pieces."""
    if isinstance(event, ToolCallDelta):
        return {"tool_calls": [{"index": event.index, "function": {"arguments": event.text}}]}
    function = {"name": event.name, "arguments": ""}
    return {"tool_calls": [{"index": event.index, "id": event.id, "type": "function", "function": function}]}


def add_call_delta(message: dict[str, Any], deltas: Sequence[dict[str, Any]]) -> None:
    """Put a piece of a stream where it belongs in a whole message."""
    calls = message.setdefault("tool_calls", [])
    for delta in deltas:
        if "id" in delta:
            calls.append({key: value for key, value in delta.items() if key != "index"})
        else:
            calls[delta["index"]]["function"]["arguments"] += delta["function"]["arguments"]


def _checked(arguments: str, field: str) -> str:
    try:
        value = json.loads(arguments)
        json.dumps(value, ensure_ascii=False).encode()  # it can spell halves of a character
        is_object = isinstance(value, dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise InvalidInput("arguments must be a JSON object, as text", field=field)
    return arguments


def _waiting(calls: set[str]) -> str:
    return f"the assistant's calls wait for tool messages, {len(calls)} of them"
