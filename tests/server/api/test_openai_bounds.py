"""The HTTP API and what must not pass it: into memory, onto a disk, into a log, or for ever."""

from __future__ import annotations

import asyncio
import logging
import socket
import tempfile

import pytest

from edged.events import TextDelta
from edged.server.openai import door
from edged.server.web import connection
from tests.audio.recordings import wav
from tests.server.api.http_daemon import RATE, HttpDaemon
from tests.server.scripted import END, until

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


@pytest.mark.parametrize("part", ["content", "text", "stop"])
async def test_half_of_a_surrogate_pair_is_a_bad_request(daemon: HttpDaemon, part: str) -> None:
    half = "\ud800"
    options = {"content": half, "text": [{"type": "text", "text": half}], "stop": [half]}
    field = "stop" if part == "stop" else "content"
    assert (await daemon.chat(**{field: options[part]})).status == 400
    assert not daemon.model.requests


@pytest.mark.parametrize("host", ["evil.example@127.0.0.1", "127.0.0.1#evil.example", "127.0.0.1/evil.example"])
async def test_a_host_is_a_host_alone(daemon: HttpDaemon, host: str) -> None:
    assert (await daemon.post("/v1/chat/completions", HELLO, host=host)).status == 403


async def test_every_origin_counts(daemon: HttpDaemon) -> None:
    origins = ("Origin: http://localhost", "Origin: https://evil.example")
    assert (await daemon.post("/v1/chat/completions", HELLO, *origins)).status == 403


async def test_there_are_no_websockets(daemon: HttpDaemon) -> None:
    head = "GET /v1/models HTTP/1.1\nHost: localhost\nConnection: Upgrade\nUpgrade: websocket\n"
    key = "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\n"
    assert (await daemon.raw(head + key)).status == 403


async def test_what_a_client_puts_into_a_path_is_not_logged(
    daemon: HttpDaemon, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = await daemon.raw("GET /v1/models/secret%1b[31m HTTP/1.1\nHost: localhost\nConnection: close\n\n")
    assert answer.status == 404 and "/v1/models/{name" in caplog.text and "secret" not in caplog.text


@pytest.mark.parametrize("content", [b"[" + b"[]," * 200_000 + b"1]", b"{" + b'"a":1,' * 200_000 + b'"a":1}'])
async def test_more_values_than_any_conversation_has_are_refused_before_they_are_read(content: bytes) -> None:
    async with HttpDaemon(max_bytes=2**22).serving() as daemon:
        body = b'{"messages": [{"role": "user", "content": "x"}], "metadata": ' + content + b"}"
        assert (await daemon.post("/v1/chat/completions", body)).status == 413
        words = b"well, " * (door.MAX_VALUES // 2)
        body = b'{"messages": [{"role": "user", "content": "' + words + b'"}]}'
        assert (await daemon.post("/v1/chat/completions", body)).status == 200


async def test_a_recording_never_reaches_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[object] = []
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", lambda file: written.append(file))
    async with HttpDaemon(max_bytes=2**22).serving() as daemon, daemon.client() as client:
        recording = ("x.wav", wav(bytes(40 * 2 * RATE)))
        heard = await client.audio.transcriptions.create(model="whisper-1", file=recording)
    assert heard.text == "40.0 seconds of sound" and not written


async def test_who_reads_nothing_is_cut_off(daemon: HttpDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "UNREAD_SECONDS", 0.2)
    daemon.model.script = [*[TextDelta(text="a" * 100_000)] * 200, *END]
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", daemon.port))
        body = b'{"stream": true, "messages": [{"role": "user", "content": "Hello"}]}'
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        await loop.sock_sendall(client, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await until(lambda: daemon.model.running)
        await until(lambda: not daemon.model.running and not daemon.server._connections)
    assert daemon.model.stopped_early == 1
