"""Who may call what over the web port, and when a caller's calls end."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from google.protobuf.descriptor_pool import Default

from edged.records import Scope
from edged.server.caller import NEEDED, Caller
from edged.server.web import http_call
from edged.v1 import assistant_pb2, message_pb2
from tests.server.scripted import says, until
from tests.server.web.web_daemon import CHATTER, TOKEN, WebDaemon, envelope, phone, stock_client

QUESTION = assistant_pb2.AskRequest(parts=[message_pb2.Part(text="What is the capital of France?")])
STATUS = {"16": "unauthenticated", "7": "permission_denied"}
"""Of gRPC, as Connect spells it."""


def methods(web: WebDaemon) -> list[tuple[str, bool]]:
    """All there are, and whether they stream."""
    return [
        (f"{service.removeprefix('edged.v1.')}/{method.name}", method.server_streaming)
        for service in web.servicers
        for method in Default().FindServiceByName(service).methods
    ]


async def refusals(web: WebDaemon, method: str, is_stream: bool, token: str, *headers: str) -> list[str]:
    """What it says instead of an answer, over Connect and over gRPC-Web."""
    form, body = ("application/connect+proto", envelope(b"")) if is_stream else ("application/proto", b"")
    connect = await web.post(method, body, form, *headers, token=token)
    grpc_web = await web.post(method, envelope(b""), "application/grpc-web+proto", *headers, token=token)
    if connect.headers["content-type"].startswith("text/plain"):
        assert connect.body == grpc_web.body
        return [str(connect.status), str(grpc_web.status)]
    said = json.loads(connect.envelopes()[-1][1])["error"] if is_stream else json.loads(connect.body)
    trailers = dict(line.split(": ") for line in grpc_web.envelopes()[-1][1].decode().splitlines())
    return [said["code"], STATUS[trailers["grpc-status"]]]


@pytest.mark.parametrize("token", ["", "x" * 43])
async def test_strangers_may_pair_and_nothing_else(web: WebDaemon, token: str) -> None:
    for method, is_stream in methods(web):
        if method.startswith("Pairing"):
            assert (await web.post(method, b"", "application/proto", token=token)).status == 200
        else:
            assert await refusals(web, method, is_stream, token) == ["unauthenticated"] * 2, method
    assert not web.model.requests


@pytest.mark.parametrize("token", ["short", "t" * 44, "t" * 42, "T" * 43, "t" * 43 + '"'])
async def test_token_must_be_right(web: WebDaemon, token: str) -> None:
    assert (await web.post("ModelService/ListModels", b"", "application/proto", token=token)).status == 401


async def test_devices_may_do_what_their_scopes_say(web: WebDaemon) -> None:
    for method, is_stream in methods(web):
        if NEEDED.get(f"/edged.v1.{method}") not in (None, Scope.CHAT):
            assert await refusals(web, method, is_stream, CHATTER) == ["permission_denied"] * 2, method


async def test_large_request_of_somebody_unknown_is_refused_unread(web: WebDaemon) -> None:
    reader, writer = await web.connect()
    head = (
        "POST /edged.v1.ModelService/GetModel HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: __Host-edged=revoked\r\n"
        "Content-Type: application/proto\r\nContent-Length: 10000000\r\n\r\n"
    )
    writer.write(head.encode() + bytes(10_000_000))
    writer.write(b"GET /icon.png HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(20):
        answers = await reader.read()
    writer.transport.abort()
    assert answers.startswith(b"HTTP/1.1 401 ") and answers.endswith(b"\x89PNG")
    assert (await web.post("PairingService/ClaimPairing", bytes(20_000), "application/proto")).status == 429


def test_stranger_reads_nothing() -> None:
    with pytest.raises(Exception, match="not paired"):
        _ = Caller(is_stranger=True).reader


async def test_pages_of_other_sites(web: WebDaemon) -> None:
    for method, is_stream in methods(web):
        assert await refusals(web, method, is_stream, TOKEN, "Origin: https://evil.example") == ["403"] * 2
    for origin in ("null", "http://127.0.0.1", "https://127.0.0.1:1", ""):
        assert await refusals(web, "ModelService/ListModels", False, TOKEN, f"Origin: {origin}") == ["403"] * 2


async def test_own_page(web: WebDaemon) -> None:
    answer = await web.post("ModelService/ListModels", b"", "application/proto", "Origin: https://127.0.0.1")
    assert answer.status == 200
    two = ("Origin: https://127.0.0.1", "Origin: https://evil.example")
    assert (await web.post("ModelService/ListModels", b"", "application/proto", *two)).status == 403


async def test_post_alone(web: WebDaemon) -> None:
    for method in ("GET", "HEAD", "PUT", "OPTIONS", "DELETE"):
        answer = await web.get("/edged.v1.ModelService/ListModels?encoding=json&message={}", method=method)
        assert answer.status == 405 and answer.headers["allow"] == "POST"


async def test_caller_that_leaves_stops_the_work(web: WebDaemon) -> None:
    web.model.script = [*says("one")[:1], "wait"]
    body = envelope(QUESTION.SerializeToString())
    head = (
        "POST /edged.v1.AssistantService/Ask HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Cookie: __Host-edged={TOKEN}\r\nContent-Type: application/connect+proto\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    reader, writer = await web.connect()
    writer.write(head.encode() + body)
    while b"one" not in await reader.read(10_000):
        pass
    assert web.model.running == 1
    writer.transport.abort()
    await until(lambda: web.memory.closings)
    assert web.model.stopped_early == 1 and web.memory.closings[-1].text == "one"


async def test_stock_client_that_breaks_off_stops_the_work(web: WebDaemon) -> None:
    web.model.script = [*says("one")[:1], "wait"]
    async with stock_client(web) as client:
        answers = client.stream("AssistantService/Ask", QUESTION)
        await anext(answers)
        await until(lambda: web.model.running == 1)
        await answers.aclose()  # type: ignore[attr-defined]
        await until(lambda: web.model.stopped_early == 1)


async def test_caller_that_leaves_a_unary_call(web: WebDaemon) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def report() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    web.report = report
    _, writer = await web.connect()
    head = (
        "POST /edged.v1.StatusService/GetStatus HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Cookie: __Host-edged={TOKEN}\r\nContent-Type: application/proto\r\nContent-Length: 0\r\n\r\n"
    )
    writer.write(head.encode())
    async with asyncio.timeout(10):
        await began.wait()
        writer.transport.abort()
        await ended.wait()


async def test_revoked_device_loses_its_calls(web: WebDaemon) -> None:
    web.model.script = [*says("one")[:1], "wait"]
    async with stock_client(web) as client:
        answers = client.stream("AssistantService/Ask", QUESTION)
        await anext(answers)
        web.border.device_changed("all", replace(phone("all"), scopes=frozenset({Scope.VOICE})))
        with pytest.raises(ConnectError) as refused:
            async for _ in answers:
                pass
    assert refused.value.code == Code.PERMISSION_DENIED
    assert web.model.stopped_early == 1


async def test_drain_ends_calls_with_a_word(web: WebDaemon) -> None:
    web.model.script = [*says("one")[:1], "wait"]
    async with stock_client(web) as client:
        answers = client.stream("AssistantService/Ask", QUESTION)
        await anext(answers)
        await until(lambda: web.model.running == 1)
        ending = asyncio.gather(web.border.finish(0), web.web.close(5))
        with pytest.raises(ConnectError) as over:
            async for _ in answers:
                pass
    await ending
    assert over.value.code == Code.UNAVAILABLE and "shutting down" in over.value.message


async def test_caller_that_does_not_read(web: WebDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_call, "SEND_SECONDS", 0.3)
    web.model.script = says(*["x" * 100_000] * 300)
    body = envelope(QUESTION.SerializeToString())
    _, writer = await web.connect()
    writer.write(
        "POST /edged.v1.AssistantService/Ask HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Cookie: __Host-edged={TOKEN}\r\nContent-Type: application/connect+proto\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await until(lambda: web.model.stopped_early == 1)
    assert web.model.emitted < 200
    writer.transport.abort()


async def test_slow_request_is_dropped(web: WebDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_call, "BODY_SECONDS", 0.2)
    head = "POST /edged.v1.{} HTTP/1.1\r\nHost: h\r\n{}Content-Type: application/proto\r\nContent-Length: 50\r\n"
    cookie = f"Cookie: __Host-edged={TOKEN}\r\n"
    for method, header in (("ModelService/GetModel", cookie), ("PairingService/StartPairing", "")):
        answer = await web.send((head.format(method, header) + "Connection: close\r\n\r\nfew").encode())
        assert answer.startswith(b"HTTP/1.1 503 ") and b"too slowly" in answer


async def test_many_large_requests_at_once_are_refused(web: WebDaemon) -> None:
    head = (
        "POST /edged.v1.ModelService/GetModel HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
        f"Cookie: __Host-edged={TOKEN}\r\nContent-Type: application/proto\r\nContent-Length: 200000\r\n\r\n"
    ).encode()
    held = [await web.connect() for _ in range(4)]
    for _, writer in held:
        writer.write(head + bytes(199_999))
        await writer.drain()
    await asyncio.sleep(0.3)
    answer = await web.send(head + bytes(199_999))
    assert answer.startswith(b"HTTP/1.1 429 ")
    for _, writer in held:
        writer.transport.abort()
    await until(lambda: not web.web._state.tasks)
    assert (await web.post("ModelService/GetModel", b'{"name":"tiny"}', "application/json")).status == 200
