"""Tools over HTTP as OpenAI's own client has them: declared, called whole and in pieces, answered; and refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from edged.errors import InvalidInput
from edged.events import (
    Finished,
    FinishReason,
    Image,
    Measured,
    Role,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolChoice,
    ToolResult,
    ToolUse,
)
from tests.pipeline.phone_screen import png
from tests.server.api.http_daemon import Eyes, HttpDaemon
from tests.server.scripted import METRICS, USAGE, Step

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
GO: dict[str, Any] = {"type": "function", "function": {"name": "go", "description": "Travels.", "parameters": SCHEMA}}
DECLARED = Tool(name="go", description="Travels.", parameters=json.dumps(SCHEMA))
NAMED: dict[str, Any] = {"type": "function", "function": {"name": "go"}}
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
CALLED: list[Step] = [
    ToolCallStarted(index=0, id="aaaaaaaaa", name="go"),
    ToolCallDelta(index=0, text='{"city": '),
    ToolCallDelta(index=0, text='"Rome"}'),
    ToolCallStarted(index=1, id="bbbbbbbbb", name="go"),
    ToolCallDelta(index=1, text='{"city": "Oslo"}'),
    Measured(usage=USAGE, metrics=METRICS),
    Finished(finish_reason=FinishReason.TOOL_CALLS),
]
CALLS = [("aaaaaaaaa", "go", '{"city": "Rome"}'), ("bbbbbbbbb", "go", '{"city": "Oslo"}')]


def call(call_id: str = "aaaaaaaaa", arguments: str = '{"city": "Rome"}') -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "go", "arguments": arguments}}


def result(call_id: str = "aaaaaaaaa", content: Any = "It rains.") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


async def test_a_call_at_once(daemon: HttpDaemon) -> None:
    daemon.model.script = list(CALLED)
    async with daemon.client() as client:
        answer = await client.chat.completions.create(model="tiny", messages=HELLO, tools=[GO])  # type: ignore[list-item]
    (choice,) = answer.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    calls = choice.message.tool_calls or []
    assert [(one.id, one.function.name, one.function.arguments) for one in calls] == CALLS  # type: ignore[union-attr]
    assert [request.tool_use for request in daemon.model.checked] == [ToolUse(tools=(DECLARED,))]


async def test_words_before_a_call_are_its_content(daemon: HttpDaemon) -> None:
    daemon.model.script = [TextDelta(text="I look."), *CALLED]
    message = (await daemon.chat(tools=[GO])).json()["choices"][0]["message"]
    assert message["content"] == "I look." and len(message["tool_calls"]) == 2


async def test_a_call_as_it_comes(daemon: HttpDaemon) -> None:
    daemon.model.script = list(CALLED)
    async with daemon.client() as client:
        stream = await client.chat.completions.create(model="", messages=HELLO, tools=[GO], stream=True)  # type: ignore[list-item]
        choices = [chunk.choices[0] async for chunk in stream]
    deltas = [delta for choice in choices for delta in choice.delta.tool_calls or []]
    assert [(one.index, one.id, one.type) for one in deltas if one.id] == [
        (0, "aaaaaaaaa", "function"),
        (1, "bbbbbbbbb", "function"),
    ]
    for index, (_, _, arguments) in enumerate(CALLS):
        pieces = [one.function.arguments or "" for one in deltas if one.index == index and one.function]
        assert "".join(pieces) == arguments
    assert [one.function.name for one in deltas if one.function and one.function.name] == ["go", "go"]
    assert choices[-1].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolUse(tools=(DECLARED,))),
        ("none", ToolUse(tools=(DECLARED,), choice=ToolChoice.NONE)),
        ("required", ToolUse(tools=(DECLARED,), choice=ToolChoice.REQUIRED)),
        (NAMED, ToolUse(tools=(DECLARED,), choice=ToolChoice.NAMED, name="go")),
    ],
)
async def test_every_choice(daemon: HttpDaemon, choice: object, expected: ToolUse) -> None:
    assert (await daemon.chat(tools=[GO], tool_choice=choice)).status == 200
    assert daemon.model.requests[0].tool_use == expected
    await daemon.chat(tools=[GO], tool_choice=choice, parallel_tool_calls=False)
    use = daemon.model.requests[1].tool_use
    assert use and not use.parallel


async def test_a_conversation_with_calls_goes_on(daemon: HttpDaemon) -> None:
    said = {"role": "assistant", "content": "I look.", "tool_calls": [call(), call("bbbbbbbbb")]}
    silent = {"role": "assistant", "content": None, "tool_calls": [call("ccccccccc", "")]}
    parts = [{"type": "text", "text": "It"}, {"type": "text", "text": "snows."}]
    messages = [*HELLO, said, result(), result("bbbbbbbbb", parts), silent, result("ccccccccc", "")]
    async with daemon.client() as client:
        await client.chat.completions.create(model="tiny", messages=messages, tools=[GO])  # type: ignore[list-item, arg-type]
    rome = ToolCall(id="aaaaaaaaa", name="go", arguments='{"city": "Rome"}')
    others = [
        ToolCall(id="bbbbbbbbb", name="go", arguments=rome.arguments),
        ToolCall(id="ccccccccc", name="go", arguments="{}"),
    ]
    assert [(one.role, one.parts) for one in daemon.model.requests[0].messages] == [
        (Role.USER, (Text(text="Hello"),)),
        (Role.ASSISTANT, (Text(text="I look."), rome, others[0])),
        (
            Role.TOOL,
            (
                ToolResult(call_id="aaaaaaaaa", content="It rains."),
                ToolResult(call_id="bbbbbbbbb", content="It\nsnows."),
            ),
        ),
        (Role.ASSISTANT, (others[1],)),
        (Role.TOOL, (ToolResult(call_id="ccccccccc", content=""),)),
    ]


PIXELS = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(png()).decode()}}
SEEN = f"a picture of {len(png())} bytes"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_returns_a_picture(daemon: HttpDaemon, stream: bool) -> None:
    """Put in words for a model that reads text alone, beside the right result."""
    said = {"role": "assistant", "tool_calls": [call(), call("bbbbbbbbb")]}
    both = [{"type": "text", "text": "Here:"}, PIXELS]
    answer = await daemon.post(
        "/v1/chat/completions",
        {"messages": [*HELLO, said, result(content=both), result("bbbbbbbbb", [PIXELS, PIXELS])], "stream": stream},
    )
    assert answer.status == 200
    (returned,) = [one for one in daemon.model.requests[0].messages if one.role is Role.TOOL]
    assert returned.parts == (
        ToolResult(call_id="aaaaaaaaa", content=f"Here:\n{SEEN}"),
        ToolResult(call_id="bbbbbbbbb", content=f"{SEEN}\n{SEEN}"),
    )


async def test_a_model_that_sees_is_shown_what_a_tool_returned(daemon: HttpDaemon) -> None:
    daemon.model.can_see = True
    said = {"role": "assistant", "tool_calls": [call()]}
    answer = await daemon.post("/v1/chat/completions", {"messages": [*HELLO, said, result(content=[PIXELS])]})
    assert answer.status == 200
    *_, returned, shown = daemon.model.requests[0].messages
    assert (returned.role, returned.parts) == (Role.TOOL, (ToolResult(call_id="aaaaaaaaa", content=""),))
    assert shown.role is Role.USER and [type(part) for part in shown.parts] == [Image]


async def test_pictures_that_are_out_of_place_or_none(daemon: HttpDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = await daemon.post("/v1/chat/completions", {"messages": [{"role": "system", "content": [PIXELS]}, *HELLO]})
    assert (answer.status, answer.json()["error"]["param"]) == (400, "messages.0.content")

    async def refuse(eyes: Eyes, data: bytes, *, field: str) -> None:
        raise InvalidInput("this is no picture", field=field)

    monkeypatch.setattr(Eyes, "describe", refuse)
    answer = await daemon.chat(content=[PIXELS])
    assert (answer.status, answer.json()["error"]["param"]) == (400, "messages")


def asking(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [*HELLO, *messages]}


CALLING = {"role": "assistant", "tool_calls": [call()]}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (asking(CALLING), "messages"),
        (asking(CALLING, HELLO[0]), "messages.2"),
        (asking(CALLING, result("b")), "messages.2.tool_call_id"),
        (asking(CALLING, result(), result()), "messages.3.tool_call_id"),
        (asking(result()), "messages.1.tool_call_id"),
        (asking(CALLING, {"role": "tool", "content": "x"}), "messages.2.tool_call_id"),
        (asking(CALLING, {"role": "tool", "tool_call_id": "aaaaaaaaa"}), "messages.2.content"),
        (
            asking({"role": "assistant", "tool_calls": [call(arguments="[]")]}),
            "messages.1.tool_calls.0.function.arguments",
        ),
        (
            asking({"role": "assistant", "tool_calls": [call(arguments="[" * 9999)]}),
            "messages.1.tool_calls.0.function.arguments",
        ),
        (asking({"role": "assistant", "tool_calls": [{"id": "a"}]}), "messages.1.tool_calls.0.function"),
        (asking({"role": "user", "content": "x", "tool_calls": [call()]}), "messages.1.tool_calls"),
        ({"tools": [GO] * 129}, "tools"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools.0.type"),
        ({"tools": [GO], "tool_choice": "maybe"}, "tool_choice"),
        ({"functions": [GO["function"]]}, "functions"),
        ({"function_call": "auto"}, "function_call"),
    ],
)
async def test_what_makes_no_sense_is_named(daemon: HttpDaemon, options: dict[str, Any], field: str) -> None:
    answer = await daemon.chat(**options)
    error = answer.json()["error"]
    assert (answer.status, error["type"]) == (400, "invalid_request_error")
    assert error["param"] == field and len(error["message"].splitlines()) == 1
    assert daemon.model.requests == []


@pytest.mark.parametrize(
    ("field", "param"),
    [
        ("tools[3].parameters", "tools.3.function.parameters"),
        ("tool_choice", "tool_choice"),
        ("output", "response_format"),
    ],
)
async def test_what_the_engine_refuses_has_the_requests_name(daemon: HttpDaemon, field: str, param: str) -> None:
    daemon.model.refusal = InvalidInput("no", field=field)
    answer = await daemon.chat(tools=[GO], response_format={"type": "json_object"})
    assert (answer.status, answer.json()["error"]["param"]) == (400, param)
