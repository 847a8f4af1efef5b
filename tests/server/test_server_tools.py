"""Tools over the wire, with the real engine and the real store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from edged.client import Client
from edged.errors import Code, RemoteError
from edged.events import (
    MAX_TOOLS,
    Finished,
    FinishReason,
    Measured,
    OutputFormat,
    OutputKind,
    Part,
    Role,
    Started,
    Text,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolChoice,
    ToolResult,
    ToolReturned,
    ToolUse,
    TurnEvent,
)
from edged.pipeline.tools.camera import look_tool
from edged.pipeline.tools.clock import clock_tool
from edged.pipeline.tools.conversations import conversations_tool
from edged.pipeline.tools.device import device_tool
from edged.pipeline.tools.toolbox import Toolbox
from edged.records import PictureDescription, Reader, Scope, SearchHit
from edged.v1 import assistant_pb2
from tests.server.lan_server import LanServer
from tests.server.real import everything_real
from tests.tiny_artefact import tiny_artefact

SCHEMA = {
    "type": "object",
    "properties": {"city": {"enum": ["Rome", "Oslo"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
GO = Tool(name="go", description="Travels.", parameters=json.dumps(SCHEMA))
MUST = ToolUse(tools=(GO,), choice=ToolChoice.NAMED, name="go")
ANSWERED = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    tiny_artefact(tmp_path, context_length=4096)
    async with everything_real(tmp_path, toolbox=Toolbox([clock_tool(lambda: ANSWERED)])) as client:
        yield client


async def asked(
    client: Client,
    use: ToolUse | None,
    parts: Sequence[Part] = (Text(text="Where?"),),
    max_tokens: int = 200,
    **more: object,
) -> list[TurnEvent]:
    turn = client.ask(parts, tool_use=use, sampling={"max_tokens": max_tokens}, **more)  # type: ignore[arg-type]
    async with aclosing(turn):
        return [event async for event in turn]


def calls_of(events: Sequence[TurnEvent]) -> list[ToolCall]:
    return [
        ToolCall(
            id=started.id,
            name=started.name,
            arguments="".join(
                delta.text for delta in events if isinstance(delta, ToolCallDelta) and delta.index == started.index
            ),
        )
        for started in events
        if isinstance(started, ToolCallStarted)
    ]


async def test_a_client_is_called_answers_and_is_answered(client: Client) -> None:
    events = await asked(client, MUST)
    started, finished = events[0], events[-1]
    assert isinstance(started, Started) and finished == Finished(finish_reason=FinishReason.TOOL_CALLS)
    calls = calls_of(events)
    for call in calls:
        jsonschema.validate(json.loads(call.arguments), SCHEMA)
    results = [ToolResult(call_id=call.id, content="It rains.") for call in calls]
    after = await asked(client, ToolUse(tools=(GO,)), results, 8, conversation_id=started.conversation_id)
    assert isinstance(after[-1], Finished)
    messages = (await client.get_conversation(started.conversation_id)).messages
    assert [message.role for message in messages] == [Role.USER, Role.ASSISTANT, Role.TOOL, Role.ASSISTANT]
    assert messages[1].parts == tuple(calls) and messages[2].parts == tuple(results)
    (exported,) = [one async for one in client.export([started.conversation_id])]
    assert exported.messages == messages


async def test_results_go_where_calls_wait_for_them(client: Client) -> None:
    events = await asked(client, MUST)
    conversation_id = events[0].conversation_id  # type: ignore[union-attr]
    for parts, name in (
        ([ToolResult(call_id="unknown", content="x")], conversation_id),
        ([ToolResult(call_id=calls_of(events)[0].id, content="x")], ""),
        ([calls_of(events)[0]], conversation_id),
    ):
        with pytest.raises(RemoteError) as raised:
            await asked(client, MUST, parts, conversation_id=name)
        assert raised.value.code is Code.INVALID_ARGUMENT and raised.value.field.startswith("parts")
    assert len((await client.get_conversation(conversation_id)).messages) == 2


async def test_a_tool_of_the_daemon_is_run_by_it(client: Client) -> None:
    events = await asked(client, ToolUse(tools=(), choice=ToolChoice.NAMED, name="clock"), max_tokens=60)
    (call,) = calls_of(events)[:1]
    returned = next(event for event in events if isinstance(event, ToolReturned))
    assert (call.name, json.loads(call.arguments)) == ("clock", {})
    assert returned == ToolReturned(call_id=call.id, content="It is Friday, January 2, 2026, 03:04 (UTC+00:00).")
    assert sum(isinstance(event, Measured) for event in events) == 1 and isinstance(events[-1], Finished)
    conversation_id = events[0].conversation_id  # type: ignore[union-attr]
    _, answer = (await client.get_conversation(conversation_id)).messages
    assert answer.parts[:2] == (call, ToolResult(call_id=call.id, content=returned.content))
    assert isinstance((await asked(client, None, max_tokens=4, conversation_id=conversation_id))[-1], Finished)


@pytest.mark.parametrize(
    ("use", "more", "field"),
    [
        (ToolUse(tools=(GO, GO)), {}, "tools[1].name"),
        (ToolUse(tools=(replace(GO, name="go there"),)), {}, "tools[0].name"),
        (ToolUse(tools=(replace(GO, parameters='{"type": "string"}'),)), {}, "tools[0].parameters"),
        (ToolUse(tools=(GO, replace(GO, name="b", parameters='{"not": {}}'))), {}, "tools[1].parameters"),
        (ToolUse(tools=(GO,) * (MAX_TOOLS + 5)), {}, "tools"),
        (ToolUse(tools=(GO,), choice=ToolChoice.NAMED, name="fly"), {}, "tool_choice"),
        (MUST, {"output": OutputFormat(kind=OutputKind.JSON)}, "output"),
    ],
)
async def test_contradictions_are_named_and_leave_nothing_behind(
    client: Client, use: ToolUse, more: dict[str, object], field: str
) -> None:
    with pytest.raises(RemoteError) as raised:
        await asked(client, use, **more)
    assert (raised.value.code, raised.value.field) == (Code.INVALID_ARGUMENT, field)
    assert "\n" not in raised.value.message
    assert (await client.list_conversations()).conversations == ()


@pytest.mark.parametrize(
    ("scopes", "names"),
    [
        ([Scope.CHAT], ["device_status"]),
        ([Scope.CHAT, Scope.CAMERA], ["look", "device_status"]),
        ([Scope.CHAT, Scope.HISTORY], ["search_conversations", "device_status"]),
    ],
)
async def test_a_devices_scopes_are_those_of_its_tools(run_dir: Path, scopes: list[Scope], names: list[str]) -> None:
    tools = (look_tool(None, Blind()), conversations_tool(Forgetful()), device_tool(dict))
    async with LanServer(run_dir, toolbox=Toolbox(tools)).serving() as server:
        program = await server.program(*scopes)
        ask = assistant_pb2.AskRequest(parts=[{"text": "Look."}]).SerializeToString()
        async with server.channel(program) as channel:
            assert await server.grpc_outcome(channel, "/edged.v1.AssistantService/Ask", ask) == "OK"
        use = server.model.requests[0].tool_use
    assert use and [tool.name for tool in use.tools] == names


class Blind:
    async def describe(self, data: bytes, *, field: str) -> PictureDescription:
        raise NotImplementedError


class Forgetful:
    async def search(
        self, query: str, *, reader: Reader, page_size: int = 0, page_token: str = ""
    ) -> tuple[tuple[SearchHit, ...], str]:
        raise NotImplementedError
