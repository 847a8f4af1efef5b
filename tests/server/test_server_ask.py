"""Asking over gRPC: what arrives, what is stored, and how a call ends early."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import grpc
import pytest

from edged.client import Client
from edged.errors import Code, InvalidInput, NotFound, QueueFull, RemoteError, UnsupportedPart
from edged.events import Image, MessageState, Sampling, Started, Text, TextDelta, TurnEvent
from edged.pipeline.turn import MAX_PARTS
from edged.server import sending
from edged.server.call_border import STORE_SECONDS
from edged.v1 import assistant_pb2
from tests.server.conftest import MAX_MESSAGE_BYTES, MAX_TEXT_BYTES, Daemon
from tests.server.scripted import END, WAIT, says, until

HELLO = (Text(text="Hello"),)


async def everything(client: Client, **arguments: object) -> list[TurnEvent]:
    async with aclosing(client.ask(**{"parts": HELLO, **arguments})) as turn:  # type: ignore[arg-type]
        return [event async for event in turn]


async def test_the_events_arrive_as_the_engine_made_them(daemon: Daemon, client: Client) -> None:
    daemon.model.script = says("Par", "", "is\u2002🗼")
    started, *rest = await everything(client)
    assert started == Started(
        conversation_id="c1", user_message_id="c1/user0", answer_message_id="c1/assistant1", model="tiny"
    )
    assert "".join(event.text for event in rest if isinstance(event, TextDelta)) == "Paris\u2002🗼"
    assert rest[0] == TextDelta(text="Par")
    assert tuple(rest[-2:]) == END
    assert daemon.memory.closings[0].text == "Paris\u2002🗼"


async def test_the_conversation_goes_on(daemon: Daemon, client: Client) -> None:
    await everything(client, system_prompt="Be brief")
    await everything(client, conversation_id="c1", enable_thinking=True, model="tiny")
    request = daemon.model.requests[1]
    assert [message.text for message in request.messages] == ["Be brief", "Hello", "Paris.", "Hello"]
    assert request.enable_thinking


async def test_options_replace_the_daemons_defaults_one_by_one(daemon: Daemon, client: Client) -> None:
    await everything(client, sampling={"temperature": 0, "stop": ("\n",), "seed": 2**64 - 1})
    sampling = daemon.model.requests[0].sampling
    assert (sampling.temperature, sampling.stop, sampling.seed) == (0, ("\n",), 2**64 - 1)
    assert (sampling.top_k, sampling.top_p) == (40, Sampling().top_p)


async def test_two_at_once_do_not_mix(daemon: Daemon, client: Client) -> None:
    daemon.model.script = [TextDelta(text="a"), WAIT, TextDelta(text="b"), *END]
    both = [asyncio.create_task(everything(client)) for _ in range(2)]
    await until(lambda: daemon.model.running == 2)
    daemon.model.release.set()
    first, second = await asyncio.gather(*both)
    assert first[1:] == second[1:] == [TextDelta(text="a"), TextDelta(text="b"), *END]
    assert first[0] != second[0]
    assert [closing.text for closing in daemon.memory.closings] == ["ab", "ab"]


async def test_leaving_stops_the_engine_within_a_token(daemon: Daemon, client: Client) -> None:
    daemon.model.script = [TextDelta(text="a"), WAIT, *says("b")]
    async with aclosing(client.ask(HELLO)) as turn:
        async for event in turn:
            if isinstance(event, TextDelta):
                break
    await until(lambda: daemon.memory.closings)
    assert daemon.model.emitted == 1
    assert daemon.memory.closings[0].state is MessageState.CANCELLED
    assert daemon.memory.closings[0].text == "a"


async def test_a_cancelled_caller_stops_the_engine(daemon: Daemon, client: Client) -> None:
    daemon.model.script = [TextDelta(text="a"), WAIT]
    task = asyncio.create_task(everything(client))
    await until(lambda: daemon.model.emitted)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: daemon.memory.closings)
    assert daemon.memory.closings[0].state is MessageState.CANCELLED
    assert daemon.model.stopped_early == 1


async def test_ask_again_right_after_leaving(daemon: Daemon, client: Client) -> None:
    daemon.model.script = [TextDelta(text="a"), WAIT]
    async with aclosing(client.ask(HELLO)) as turn:
        async for event in turn:
            if isinstance(event, TextDelta):
                break
    daemon.model.script = [TextDelta(text="b"), *END]
    await everything(client, conversation_id="c1")
    states = [closing.state for closing in daemon.memory.closings]
    assert states == [MessageState.CANCELLED, MessageState.COMPLETE]


async def test_a_deadline_stops_the_engine(daemon: Daemon, client: Client) -> None:
    daemon.model.script = [TextDelta(text="a"), WAIT]
    with pytest.raises(RemoteError) as raised:
        await everything(client, timeout_seconds=1.0)
    assert raised.value.code is Code.DEADLINE_EXCEEDED
    await until(lambda: daemon.memory.closings)
    assert daemon.memory.closings[0].state is MessageState.CANCELLED
    assert daemon.model.running == 0


async def test_a_client_that_vanishes_stops_the_engine(daemon: Daemon) -> None:
    """A process that is killed closes its socket and says no word of HTTP/2."""
    daemon.model.script = [TextDelta(text="a"), WAIT]
    reader, writer = await asyncio.open_unix_connection(daemon.socket)
    body = assistant_pb2.AskRequest(parts=[{"text": "Hello"}]).SerializeToString()
    writer.write(_bare_ask(body))
    await until(lambda: daemon.model.emitted)
    writer.transport.abort()
    await until(lambda: daemon.memory.closings)
    assert daemon.memory.closings[0].state is MessageState.CANCELLED
    assert (daemon.model.running, daemon.model.emitted) == (0, 1)
    del reader


async def test_a_client_that_stops_reading_is_given_up(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays connected and takes no byte: its window is zero."""
    monkeypatch.setattr(sending, "SEND_SECONDS", 0.1)
    reader, writer = await asyncio.open_unix_connection(daemon.socket)
    body = assistant_pb2.AskRequest(parts=[{"text": "Hello"}]).SerializeToString()
    writer.write(_bare_ask(body, settings=b"\x00\x04" + bytes(4)))
    await until(lambda: daemon.memory.closings)
    assert daemon.memory.closings[0].state is MessageState.CANCELLED
    assert daemon.model.running == 0
    assert not reader.at_eof()
    async with Client(daemon.address) as client:
        await everything(client)
    writer.transport.abort()


async def test_a_client_that_stops_reading_does_not_hold_up_the_end(daemon: Daemon) -> None:
    reader, writer = await asyncio.open_unix_connection(daemon.socket)
    body = assistant_pb2.AskRequest(parts=[{"text": "Hello"}]).SerializeToString()
    writer.write(_bare_ask(body, settings=b"\x00\x04" + bytes(4)))
    await until(lambda: daemon.memory.opened)
    async with asyncio.timeout(STORE_SECONDS / 2):
        await daemon.server.drain(0)
    assert daemon.memory.closings[0].state is MessageState.CANCELLED
    assert not reader.at_eof()
    writer.transport.abort()


def _bare_ask(body: bytes, settings: bytes = b"") -> bytes:
    """The bytes of an HTTP/2 connection that calls Ask (RFC 9113; headers as literals, RFC 7541, 6.2.2)."""

    def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload

    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/edged.v1.AssistantService/Ask",
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    literals = b"".join(
        b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in headers.items()
    )
    message = b"\x00" + len(body).to_bytes(4) + body
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    return preface + frame(4, 0, 0, settings) + frame(1, 4, 1, literals) + frame(0, 1, 1, message)


async def test_a_closed_channel_stops_the_engine(daemon: Daemon) -> None:
    daemon.model.script = [TextDelta(text="a"), WAIT]
    async with Client(daemon.address) as client:
        task = asyncio.create_task(everything(client))
        await until(lambda: daemon.model.emitted)
    await until(lambda: daemon.memory.closings)
    assert daemon.memory.closings[0].state is MessageState.CANCELLED
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("arguments", "code", "field"),
    [
        ({"parts": ()}, Code.INVALID_ARGUMENT, "parts"),
        ({"parts": (Text(text="  "),)}, Code.INVALID_ARGUMENT, "parts"),
        ({"parts": (Text(text="x" * (MAX_TEXT_BYTES + 1)),)}, Code.INVALID_ARGUMENT, "parts"),
        ({"parts": HELLO + (Text(text=""),) * MAX_PARTS}, Code.INVALID_ARGUMENT, "parts"),
        ({"sampling": {"temperature": 9}}, Code.INVALID_ARGUMENT, "sampling.temperature"),
        ({"conversation_id": "c9"}, Code.NOT_FOUND, ""),
        ({"model": "huge"}, Code.NOT_FOUND, ""),
        ({"parts": (Image(data=b"x" * MAX_MESSAGE_BYTES, media_type="image/png"),)}, Code.RESOURCE_EXHAUSTED, ""),
    ],
)
async def test_what_is_refused(
    daemon: Daemon, client: Client, arguments: dict[str, object], code: Code, field: str
) -> None:
    with pytest.raises(RemoteError) as raised:
        await everything(client, **arguments)
    assert (raised.value.code, raised.value.field) == (code, field)
    assert "\n" not in raised.value.message
    assert daemon.memory.opened == 0
    await everything(client)


@pytest.mark.parametrize(
    "arguments",
    [
        {"parts": (Text(text="caf\udce9"),)},
        {"conversation_id": "\udce9"},
        {"sampling": {"seed": -1}},
        {"sampling": {"top_k": 2**40}},
        {"sampling": {"temperatur": 1.0}},
    ],
)
async def test_what_no_request_can_hold(client: Client, arguments: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        await everything(client, **arguments)


@pytest.mark.parametrize("error", [QueueFull("full", retry_seconds=2), UnsupportedPart("no pictures")])
async def test_refusals_of_the_engine_store_nothing(daemon: Daemon, client: Client, error: QueueFull) -> None:
    daemon.model.refusal = error
    with pytest.raises(RemoteError) as raised:
        await everything(client)
    assert (raised.value.code, raised.value.retry_seconds) == (error.code, error.retry_seconds)
    assert daemon.memory.opened == 0


async def test_a_part_of_no_kind_is_named(daemon: Daemon) -> None:
    async with grpc.aio.insecure_channel(daemon.address) as channel:
        ask = channel.unary_stream("/edged.v1.AssistantService/Ask")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            request = assistant_pb2.AskRequest(parts=[{"text": "a"}, {}])
            _ = [response async for response in ask(request.SerializeToString())]
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "parts[1]" in raised.value.details()


async def test_an_error_halfway_comes_after_what_was_said(daemon: Daemon, client: Client) -> None:
    daemon.model.script = [TextDelta(text="a"), NotFound("the engine was removed", resource=("model", "tiny"))]
    async with aclosing(client.ask(HELLO)) as turn:
        assert isinstance(await anext(turn), Started)
        assert await anext(turn) == TextDelta(text="a")
        with pytest.raises(RemoteError, match="the engine was removed"):
            await anext(turn)
    assert daemon.memory.closings[0].state is MessageState.FAILED
