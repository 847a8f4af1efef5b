"""Tools, calls and results as chat templates take them, or as words where a template knows nothing of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from edged.engine.chat_template import Content, TemplateMessage
from edged.engine.tool_form import ToolForm
from edged.engine.tool_grammar import MAX_DEPTH, parameters_of
from edged.events import Message, Part, Role, Text, Tool, ToolCall, ToolResult, ToolUse

Disarm = Callable[[str], str]
"""Keeps a text from being read as control tokens."""

_EXPLAINED = """You can call these tools, one on each line:
<tools>
{tools}
</tools>
To call one, write its name and its arguments as JSON, like this, and nothing after it:
<tool_call>
{{"name": "NAME", "arguments": {{"ARGUMENT": "VALUE"}}}}
</tool_call>
You are then told between <tool_response> and </tool_response> what it returned."""


def described(use: ToolUse, disarm: Disarm) -> list[dict[str, Any]]:
    """The tools as templates take them."""
    return [{"type": "function", "function": _function(tool, disarm)} for tool in use.tools]


def explained(messages: Sequence[TemplateMessage], tools: Sequence[Mapping[str, Any]]) -> list[TemplateMessage]:
    """The messages with the tools told in the system message, for a template that has no place for them."""
    words = _EXPLAINED.format(tools="\n".join(_json(tool) for tool in tools))
    first = messages[0]
    if first["role"] != Role.SYSTEM:
        return [{"role": "system", "content": words}, *messages]
    return [{"role": "system", "content": f"{first['content']}\n\n{words}".lstrip()}, *messages[1:]]


def template_messages(
    messages: Sequence[Message], form: ToolForm, content: Callable[[Message], Content], disarm: Disarm
) -> list[TemplateMessage]:
    """All of them in order; `content` is what a message says without its calls and results.

    Calls are numbered, whatever their ids: these may come from anywhere, and some templates insist on nine digits.
    """
    written: list[TemplateMessage] = []
    called: dict[str, tuple[str, str]] = {}
    for message in rounds(messages):
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        said = replace(message, parts=tuple(part for part in message.parts if not isinstance(part, ToolCall)))
        called |= {call.id: (f"{number:09}", disarm(call.name)) for number, call in enumerate(calls, len(called) + 1)}
        if results:
            written += _returned(results, called, form, disarm)
        elif not calls:
            written.append({"role": str(message.role), "content": content(said)})
        elif form.is_native:
            native = [_native_call(call, *called[call.id], disarm) for call in calls]
            written.append({"role": "assistant", "content": content(said), "tool_calls": native})
        else:
            words = [str(content(said))] if said.text else []
            words += [_worded(call, called[call.id][1], form, disarm) for call in calls]
            written.append({"role": "assistant", "content": "\n".join(words)})
    return written


def rounds(messages: Sequence[Message]) -> Iterator[Message]:
    """The same messages, where an assistant's is cut around the results of tools that stand in it."""
    for message in messages:
        if not message.parts:
            yield message
        for is_result, parts in groupby(message.parts, key=lambda part: isinstance(part, ToolResult)):
            yield replace(message, role=Role.TOOL if is_result else message.role, parts=tuple(parts))


def texts_of(parts: Sequence[Part]) -> Iterator[str]:
    """All that is written in them."""
    for part in parts:
        match part:
            case Text(text=text) | ToolResult(content=text):
                yield text
            case ToolCall(name=name, arguments=arguments):
                yield from (name, arguments)


def _function(tool: Tool, disarm: Disarm) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": disarm(tool.description),
        "parameters": _disarmed(parameters_of(tool), disarm),
    }


def _native_call(call: ToolCall, number: str, name: str, disarm: Disarm) -> dict[str, Any]:
    function = {"name": name, "arguments": _arguments(call, disarm)}
    return {"id": number, "type": "function", "function": function}


def _worded(call: ToolCall, name: str, form: ToolForm, disarm: Disarm) -> str:
    return form.open + form.lead + _json(name)[1:-1] + form.between + _json(_arguments(call, disarm)) + form.tail


def _returned(
    results: Sequence[ToolResult], called: Mapping[str, tuple[str, str]], form: ToolForm, disarm: Disarm
) -> list[TemplateMessage]:
    known = [(*called.get(result.call_id, ("000000000", "tool")), result) for result in results]
    if form.is_native:
        return [
            {"role": "tool", "tool_call_id": number, "name": name, "content": disarm(result.content)}
            for number, name, result in known
        ]
    words = [_response(name, disarm(result.content)) for _, name, result in known]
    return [{"role": "user", "content": "\n".join(words)}]


def _response(name: str, content: str) -> str:
    """What it returned cannot end the response, as there is no bracket in it."""
    returned = _json({"name": name, "content": content}).replace("<", "\\u003c")
    return f"<tool_response>\n{returned}\n</tool_response>"


def _arguments(call: ToolCall, disarm: Disarm) -> Any:
    try:
        return _disarmed(json.loads(call.arguments), disarm)
    except (ValueError, RecursionError):
        return {}


def _disarmed(value: Any, disarm: Disarm, depth: int = 0) -> Any:
    """A JSON value all of whose texts are disarmed. Raises RecursionError where it is too deep."""
    if depth > MAX_DEPTH:
        raise RecursionError("nested too deeply")
    match value:
        case str():
            return disarm(_encodable(value))
        case list():
            return [_disarmed(one, disarm, depth + 1) for one in value]
        case dict():
            return {disarm(_encodable(name)): _disarmed(one, disarm, depth + 1) for name, one in value.items()}
    return value


def _encodable(text: str) -> str:
    """JSON can spell halves of a character, which no tokenizer takes."""
    return text.encode(errors="replace").decode()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
