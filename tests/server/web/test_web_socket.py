"""Converse over a WebSocket, as the client of the package `websockets` sees it."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from edged.audio.pcm import Pcm, to_bytes
from edged.server import converse
from edged.server.web import websocket
from edged.v1 import assistant_pb2, voice_pb2
from tests.server.conversing import QUESTION
from tests.server.scripted import until
from tests.server.web.web_daemon import CHATTER, TOKEN, WebDaemon, phone

PATH = "/edged.v1.AssistantService/Converse"
OPEN = voice_pb2.OpenConversation(mode=voice_pb2.VOICE_MODE_OPEN, encoding=voice_pb2.AUDIO_ENCODING_PCM16)


@asynccontextmanager
async def call(web: WebDaemon, token: str = TOKEN, **options: Any) -> AsyncIterator[ClientConnection]:
    url = f"wss://127.0.0.1:{web.port}{PATH}"
    headers = {"Cookie": f"__Host-edged={token}"} if token else {}
    async with connect(url, ssl=web.trust(), additional_headers=headers, proxy=None, **options) as socket:
        yield socket


async def begin(socket: ClientConnection, **opening: Any) -> voice_pb2.ConversationOpened:
    request = voice_pb2.OpenConversation()
    request.CopyFrom(OPEN)
    request.MergeFrom(voice_pb2.OpenConversation(**opening))
    await socket.send(assistant_pb2.ConverseRequest(open=request).SerializeToString())
    return (await answer(socket)).opened


async def answer(socket: ClientConnection) -> assistant_pb2.ConverseResponse:
    async with asyncio.timeout(10):
        message = await socket.recv()
    assert isinstance(message, bytes)
    return assistant_pb2.ConverseResponse.FromString(message)


async def say(socket: ClientConnection, *sounds: Pcm) -> None:
    for sound in sounds:
        for start in range(0, len(sound), 1600):
            request = assistant_pb2.ConverseRequest()
            request.audio.data = to_bytes(sound[start : start + 1600])
            await socket.send(request.SerializeToString())


async def ended(socket: ClientConnection) -> tuple[int, str]:
    """Its close code and reason, whatever comes before."""
    with pytest.raises(ConnectionClosed):
        while True:
            await answer(socket)
    return socket.close_code or 0, socket.close_reason or ""


async def test_question_by_voice(web: WebDaemon) -> None:
    async with call(web) as socket:
        opened = await begin(socket)
        assert opened.session_id and opened.sample_rate == web.composer.sample_rate
        await say(socket, *QUESTION)
        await socket.send(assistant_pb2.ConverseRequest(end_of_speech=voice_pb2.EndOfSpeech()).SerializeToString())
        events = []
        with pytest.raises(ConnectionClosed):
            while True:
                events.append(await answer(socket))
    kinds = [each.event.WhichOneof("event") for each in events]
    assert "final_transcript" in kinds and "spoken_audio" in kinds
    assert [each.sequence for each in events] == list(range(1, len(events) + 1))
    assert (socket.close_code, socket.close_reason) == (1000, "")
    assert len(web.model.requests) == 1


async def test_conversation_goes_on_in_another_socket(web: WebDaemon) -> None:
    async with call(web) as first:
        opened = await begin(first)
        await say(first, *QUESTION)
        last = (await answer(first)).sequence
        first.transport.abort()
    async with call(web) as second:
        again = await begin(second, session_id=opened.session_id, last_sequence=last)
        assert again.session_id == opened.session_id
        assert (await answer(second)).sequence == last + 1
    async with call(web) as third:
        await third.send(assistant_pb2.ConverseRequest(open=OPEN).SerializeToString())
        assert (await answer(third)).opened.session_id != opened.session_id


@pytest.mark.parametrize(("token", "code"), [("", 4016), ("x" * 43, 4016), (CHATTER, 4007)])
async def test_who_may_not(web: WebDaemon, token: str, code: int) -> None:
    async with call(web, token) as socket:
        found, reason = await ended(socket)
    assert found == code and reason and len(reason.encode()) <= 123
    assert not web.composer.sessions


async def test_pages_of_other_sites(web: WebDaemon) -> None:
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{web.port}"):
        with pytest.raises(InvalidStatus) as refused:
            async with call(web, origin=origin):
                pass
        assert refused.value.response.status_code == 403
        assert "default-src 'none'" in refused.value.response.headers["content-security-policy"]
    async with call(web, origin=f"https://127.0.0.1:{web.port}") as socket:
        assert (await begin(socket)).session_id


@pytest.mark.parametrize("message", [b"\xff\xff", b"", "text", assistant_pb2.ConverseRequest().SerializeToString()])
async def test_what_is_no_opening(web: WebDaemon, message: bytes | str) -> None:
    async with call(web) as socket:
        await socket.send(message)
        code, reason = await ended(socket)
    assert code == 4003 and reason


@pytest.mark.parametrize("message", [b"\xff\xff", "text", assistant_pb2.ConverseRequest(open=OPEN).SerializeToString()])
async def test_what_is_no_request_ends_the_conversation(web: WebDaemon, message: bytes | str) -> None:
    async with call(web) as socket:
        await begin(socket)
        await socket.send(message)
        assert (await ended(socket))[0] == 4003
    assert web.calls.count == 0


async def test_opening_that_does_not_come(web: WebDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converse, "OPENING_SECONDS", 0.1)
    async with call(web) as socket:
        assert (await ended(socket))[0] == 4003


async def test_message_that_is_too_long(web: WebDaemon) -> None:
    async with call(web) as socket:
        await begin(socket)
        await socket.send(bytes(64 * 1024 + 1))
        assert (await ended(socket))[0] == 1009


async def test_caller_that_leaves_keeps_its_session(web: WebDaemon) -> None:
    async with call(web) as socket:
        await begin(socket)
        assert web.border._running
        socket.transport.abort()
        await until(lambda: not web.border._running)
    assert web.calls.count == 1


async def test_caller_that_leaves_while_it_is_not_heard(web: WebDaemon) -> None:
    async with call(web) as socket:
        await begin(socket)
        await socket.close()
    await until(lambda: not web.border._running)


async def test_revoked_device_is_cut_off(web: WebDaemon) -> None:
    async with call(web) as socket:
        await begin(socket)
        web.border.device_changed("all", None)
        code, reason = await ended(socket)
    assert code == 4016 and "paired" in reason


async def test_device_that_loses_its_scope_is_cut_off(web: WebDaemon) -> None:
    async with call(web) as socket:
        await begin(socket)
        web.border.device_changed("all", phone("all"))
        assert (await ended(socket))[0] == 4007


async def test_end_of_the_daemon(web: WebDaemon) -> None:
    async with call(web) as socket:
        await begin(socket)
        ending = asyncio.create_task(web.border.finish(0))
        assert (await ended(socket))[0] == 4014
        await ending


async def test_caller_that_does_not_read(web: WebDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converse, "SEND_SECONDS", 0.2)
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.1)

    async def flood(requests: Any, context: Any) -> None:
        event = voice_pb2.ConversationOpened(session_id="x" * 60_000)
        while True:
            async with asyncio.timeout(converse.SEND_SECONDS):
                await context.write(assistant_pb2.ConverseResponse(opened=event))

    monkeypatch.setattr(web.calls, "converse", flood)
    async with call(web) as socket:
        socket.transport.pause_reading()
        await until(lambda: web.border._running)
        await until(lambda: not web.border._running)
        socket.transport.abort()
    await until(lambda: not web.web._connections)


async def test_caller_that_sends_more_than_is_taken_has_to_wait(
    web: WebDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()
    taken = 0

    async def slow(requests: AsyncIterator[Any], context: Any) -> None:
        nonlocal taken
        await go_on.wait()
        async for _ in requests:
            taken += 1
            if taken == 400:
                return

    monkeypatch.setattr(web.calls, "converse", slow)
    message = assistant_pb2.ConverseRequest()
    message.audio.data = bytes(60_000)
    async with call(web) as socket:

        async def send() -> None:
            for _ in range(400):  # more than the network holds
                await socket.send(message.SerializeToString())

        sending = asyncio.create_task(send())
        await asyncio.wait({sending}, timeout=0.5)
        assert not sending.done()
        go_on.set()
        async with asyncio.timeout(20):
            await sending
            assert (await ended(socket))[0] == 1000
    assert taken == 400


@pytest.mark.parametrize(
    "headers",
    [
        ("Sec-WebSocket-Version: 13",),
        ("Sec-WebSocket-Version: 8", "Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode()),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: <b>hello</b>"),
    ],
)
async def test_what_is_no_handshake(web: WebDaemon, headers: tuple[str, ...]) -> None:
    lines = [f"GET {PATH} HTTP/1.1", "Host: h", "Connection: Upgrade", "Upgrade: websocket", *headers, "", ""]
    response = await web.send("\r\n".join(lines).encode())
    assert response.startswith(b"HTTP/1.1 400 ") and b"hello" not in response
    assert b"default-src 'none'" in response


async def test_no_other_path(web: WebDaemon) -> None:
    for path in ("/", "/edged.v1.AssistantService/Ask", "/edged.v1.AssistantService/Converse/"):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"wss://127.0.0.1:{web.port}{path}", ssl=web.trust(), proxy=None)
        assert refused.value.response.status_code == 404
    assert (await web.get(PATH)).status == 405
