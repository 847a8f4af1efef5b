"""Errors keep their code and details on the way, and tell nothing they should not."""

from __future__ import annotations

import gc
import logging
import types
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from edged.client import Client
from edged.errors import Code, EdgedError, NotFound, RemoteError
from edged.events import Text, TextDelta
from edged.server.status_details import DETAILS_KEY, shortened, status_message, status_trailer
from edged.v1 import assistant_pb2, conversation_pb2
from tests.server.conftest import Daemon
from tests.server.scripted import says

SECRET = "the cake is under the bed"


async def ask(client: Client, text: str = SECRET) -> None:
    async with aclosing(client.ask([Text(text=text)])) as turn:
        async for _ in turn:
            pass


def error_with(code: Code) -> EdgedError:
    return RemoteError(
        f"this is what {code.name} looks like: é, 🗼 and %",
        code=code,
        reason=f"REASON_{code.name}",
        field="parts[0].text",
        resource=("conversation", "c 9"),
        retry_seconds=1.25,
    )


@pytest.mark.parametrize("code", Code)
async def test_every_code_arrives_with_all_its_details(daemon: Daemon, client: Client, code: Code) -> None:
    error = error_with(code)
    daemon.model.script = [error]
    with pytest.raises(RemoteError) as raised:
        await ask(client)
    for name in ("message", "code", "reason", "field", "resource", "retry_seconds"):
        assert getattr(raised.value, name) == getattr(error, name)


async def test_what_an_error_does_not_say_stays_unsaid(daemon: Daemon, client: Client) -> None:
    daemon.model.script = [NotFound("gone")]
    with pytest.raises(RemoteError) as raised:
        await ask(client)
    error = raised.value
    assert (error.code, error.reason, error.message) == (Code.NOT_FOUND, "NOT_FOUND", "gone")
    assert (error.field, error.resource, error.retry_seconds) == ("", None, None)


async def test_a_stranger_reads_the_details_as_google_rpc(daemon: Daemon) -> None:
    daemon.memory.messages.clear()
    async with grpc.aio.insecure_channel(daemon.address) as channel:
        get = channel.unary_unary("/edged.v1.ConversationService/GetConversation")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await get(conversation_pb2.GetConversationRequest(conversation_id="c9").SerializeToString())
    trailer = dict(raised.value.trailing_metadata())
    status = status_pb2.Status.FromString(trailer[DETAILS_KEY])
    info, resource = error_details_pb2.ErrorInfo(), error_details_pb2.ResourceInfo()
    assert status.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("NOT_FOUND", "edged")
    assert status.details[1].Unpack(resource)
    assert (resource.resource_type, resource.resource_name) == ("conversation", "c9")


async def test_a_bug_is_an_opaque_number_to_the_caller_and_a_traceback_to_the_log(
    daemon: Daemon, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.model.script = [TextDelta(text="a"), ValueError(f"cannot say {SECRET}")]
    with caplog.at_level(logging.DEBUG), pytest.raises(RemoteError) as raised:
        await ask(client)
    assert raised.value.code is Code.INTERNAL
    number = raised.value.message.split()[2].rstrip(";")
    (report,) = [record.getMessage() for record in caplog.records if "internal error" in record.getMessage()]
    assert number in report
    assert "scripted.py" in report
    assert "ValueError" in report
    assert SECRET not in raised.value.message


@pytest.mark.parametrize("text", [SECRET, " "])
async def test_a_refused_request_is_forgotten_at_once(daemon: Daemon, text: str) -> None:
    """Kept until the garbage collector comes by, large ones would fill the memory."""
    daemon.model.script = [NotFound("gone")]
    body = assistant_pb2.AskRequest(parts=[{"text": text}]).SerializeToString()
    async with grpc.aio.insecure_channel(daemon.address) as channel:
        ask = channel.unary_stream("/edged.v1.AssistantService/Ask")
        with only_the_collector_frees() as freed:
            for _ in range(3):  # grpc keeps a call until the next one comes
                with pytest.raises(grpc.aio.AioRpcError):
                    _ = [response async for response in ask(body)]
    files = {Path(thing.f_code.co_filename).name for thing in freed if isinstance(thing, types.FrameType)}
    assert files.isdisjoint({"interceptors.py", "call_border.py", "assistant.py", "turn.py"})


@contextmanager
def only_the_collector_frees() -> Iterator[list[object]]:
    """What the block left behind in reference cycles."""
    freed: list[object] = []
    gc.collect()
    gc.disable()
    try:
        yield freed
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        freed += gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def test_the_log_has_a_line_a_call_and_nothing_that_was_said(
    daemon: Daemon, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.model.script = says(SECRET)
    with caplog.at_level(logging.DEBUG):
        await ask(client)
        daemon.model.script = [NotFound(SECRET)]
        with pytest.raises(RemoteError):
            await ask(client)
    lines = [record.getMessage() for record in caplog.records if record.name == "edged.server"]
    assert [line.split()[:2] for line in lines] == [
        ["/edged.v1.AssistantService/Ask", "OK"],
        ["/edged.v1.AssistantService/Ask", "NOT_FOUND"],
    ]
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("method", "request_bytes"),
    [
        ("AssistantService/Ask", b"\x12\x04\x0a\x02\xff\xfe"),  # parts[0].text is not UTF-8
        ("AssistantService/Ask", b"\x0a\x01\xff"),
        ("AssistantService/Ask", b"\x0a\x7f"),  # cut off
        ("ConversationService/RenameConversation", b"\x12\x01\xff"),
    ],
)
async def test_bytes_that_are_no_request(
    daemon: Daemon, caplog: pytest.LogCaptureFixture, method: str, request_bytes: bytes
) -> None:
    async with grpc.aio.insecure_channel(daemon.address) as channel:
        call = channel.unary_stream(f"/edged.v1.{method}")(request_bytes, timeout=10)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            _ = [response async for response in call]
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "Traceback" not in caplog.text
    assert daemon.memory.opened == 0


@pytest.mark.parametrize("method", ["/edged.v1.AssistantService/Answer", "/edged.v2.AssistantService/Ask", "/a/b"])
async def test_an_unknown_method(daemon: Daemon, method: str) -> None:
    async with grpc.aio.insecure_channel(daemon.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary(method)(b"", timeout=10)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_message_that_quotes_much_still_arrives(daemon: Daemon, client: Client) -> None:
    daemon.model.script = [
        NotFound("no " + "🗼" * 10_000, field="é" * 10_000, resource=("model" * 10_000, "\n" * 10_000))
    ]
    with pytest.raises(RemoteError) as raised:
        await ask(client)
    assert raised.value.code is Code.NOT_FOUND
    assert raised.value.message.endswith("🗼…")


@given(
    message=st.text(alphabet=st.characters(), max_size=2000),
    field=st.text(alphabet=st.characters(), max_size=500),
    name=st.text(alphabet=st.characters(), max_size=500),
)
def test_any_error_fits_a_trailer(message: str, field: str, name: str) -> None:
    error = NotFound(message, field=field, resource=("model", name), retry_seconds=1)
    ((_, trailer),) = status_trailer(error)
    percent_encoded = 3 * len(status_message(error).encode())
    assert percent_encoded + len(trailer) * 4 / 3 < 8000
    assert "\n" not in status_message(error)


@given(st.text(max_size=30), st.integers(3, 40))
def test_shortened(text: str, max_bytes: int) -> None:
    short = shortened(text, max_bytes)
    assert len(short.encode()) <= max_bytes
    assert short == text or text.startswith(short.removesuffix("…"))
