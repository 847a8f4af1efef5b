"""The HTTP API below its requests: what is no HTTP, too much, too slow, several at once, and other sites' pages."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest

from edged.server.web import connection
from tests.server.api.http_daemon import HttpDaemon
from tests.server.scripted import WAIT, says, until

BODY = json.dumps({"messages": [{"role": "user", "content": "Hello"}]}).encode()
POST = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
WELL = f"{POST}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY


async def exchanged(daemon: HttpDaemon, sent: bytes) -> bytes:
    """All that comes back until the connection is closed, from either side."""
    reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
    heard = b""
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(5):
            writer.write(sent)
            heard = await reader.read()
    writer.transport.abort()
    return heard


@pytest.mark.parametrize(
    "lines",
    [
        "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5;" + "x" * 100_000,
        "Transfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\nhello\r\n",
        "Transfer-Encoding: gzip\r\n\r\nhello",
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "Content-Length: -5\r\n\r\n",
        "Content-Length: 0x5\r\n\r\nhello",
        "Content-Length: " + "9" * 500 + "\r\n\r\n",
        "Connection: close\r\nX: " + "x" * 20_000 + "\r\n\r\n",
        "".join(f"X-{number}: y\r\n" for number in range(5000)) + "Connection: close\r\n\r\n",
        "X: a\x00b\r\n\r\n",
        " folded: x\r\nConnection: close\r\n\r\n",
        "Connection: close\r\n\r\n" + "\x00" * 100,
    ],
    ids=range(14),
)
async def test_what_is_no_request_is_refused_and_the_connection_closed(daemon: HttpDaemon, lines: str) -> None:
    heard = await exchanged(daemon, (POST + lines).encode("latin-1"))
    assert not heard or heard.split()[1] in (b"400", b"413", b"431", b"501")
    assert not daemon.model.requests
    await until(lambda: not daemon.server._connections)
    assert (await daemon.chat()).status == 200


@pytest.mark.parametrize("line", ["GET http://evil.example/v1/models HTTP/1.1", "CONNECT evil.example:443 HTTP/1.1"])
async def test_it_is_no_proxy(daemon: HttpDaemon, line: str) -> None:
    heard = await exchanged(daemon, f"{line}\r\nHost: evil.example\r\n\r\n".encode())
    assert not heard or heard.split()[1] in (b"400", b"403", b"404", b"405")


async def test_requests_in_a_row_are_answered_in_their_order(daemon: HttpDaemon) -> None:
    rows = [f"GET /v1/models/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n" for name in ("tiny", "none") * 40]
    rows[-1] = rows[-1].replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
    heard = await exchanged(daemon, "".join(rows).encode())
    statuses = [part.split()[0] for part in heard.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"404"] * 40


async def test_another_request_behind_one_does_not_pass_the_door_with_it(daemon: HttpDaemon) -> None:
    hidden = b"POST /v1/chat/completions HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n"
    heard = await exchanged(daemon, WELL + hidden)
    assert [part.split()[0] for part in heard.split(b"HTTP/1.1 ")[1:]] == [b"200", b"403"]


async def test_slow_heads_are_cut_off_and_keep_nobody_out(daemon: HttpDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.5)
    slow = [await asyncio.open_connection("127.0.0.1", daemon.port) for _ in range(50)]

    async def drip(writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            for letter in b"GET /v1/models HTTP/1.1\r\nX: " + b"x" * 1000:
                writer.write(bytes([letter]))
                await writer.drain()
                await asyncio.sleep(0.05)

    dripping = [asyncio.create_task(drip(writer)) for _, writer in slow]
    assert (await daemon.chat()).status == 200
    async with asyncio.timeout(10):
        with suppress(ConnectionError):
            await asyncio.gather(*(reader.read() for reader, _ in slow), return_exceptions=True)
    for task in dripping:
        task.cancel()
    for _, writer in slow:
        writer.transport.abort()
    await until(lambda: not daemon.server._connections)


async def test_who_waits_for_a_stream_and_leaves_frees_everything(daemon: HttpDaemon) -> None:
    daemon.model.script = [*says("a")[:1], WAIT]
    body = BODY[:-1] + b', "stream": true}'
    request = f"{POST}Content-Length: {len(body)}\r\n\r\n".encode() + body
    waiting = [await asyncio.open_connection("127.0.0.1", daemon.port) for _ in range(60)]
    for _, writer in waiting:
        writer.write(request)
    await until(lambda: daemon.model.running == 60)
    for _, writer in waiting:
        writer.transport.abort()
    await until(lambda: not daemon.model.running and not daemon.server._connections)
    assert daemon.model.stopped_early == 60


async def test_pages_are_not_told_that_they_may_call(daemon: HttpDaemon) -> None:
    asked = "Access-Control-Request-Method: POST\nAccess-Control-Request-Headers: content-type\n"
    for origin, statuses in (("https://evil.example", {403}), ("http://localhost:3000", {405})):
        head = f"OPTIONS /v1/chat/completions HTTP/1.1\nHost: localhost\nOrigin: {origin}\nConnection: close\n"
        answer = await daemon.raw(f"{head}{asked}\n")
        assert answer.status in statuses
        assert not any(name.startswith("access-control") for name in answer.headers)
    answer = await daemon.post("/v1/chat/completions", json.loads(BODY), "Origin: http://localhost:3000")
    assert answer.status == 200 and not any(name.startswith("access-control") for name in answer.headers)
