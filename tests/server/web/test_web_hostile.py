"""Bytes that nobody sends by accident: no answer is an internal error, and nothing of them is kept, said or logged."""

from __future__ import annotations

import asyncio
import gzip
import tempfile
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.scripted import until
from tests.server.web.web_daemon import MAX_MESSAGE_BYTES, TOKEN, Answer, WebDaemon, envelope

MARK = b"Xq7-what-was-said"
FORMS = st.sampled_from(
    [
        "application/proto",
        "application/json",
        "application/connect+proto",
        "application/connect+json",
        "application/grpc-web",
        "application/grpc-web+json",
    ]
)
METHODS = st.sampled_from(
    [
        "ModelService/GetModel",
        "AssistantService/Ask",
        "AssistantService/Converse",
        "ConversationService/RenameConversation",
        "ConversationService/ExportConversations",
        "SpeakerService/EnrolSpeaker",
        "PairingService/StartPairing",
    ]
)
BODIES = st.one_of(
    st.binary(max_size=300),
    st.builds(envelope, st.binary(max_size=300), st.integers(0, 255)),
    st.builds(lambda body: envelope(gzip.compress(body), 1), st.binary(max_size=300)),
    st.text(max_size=100).map(str.encode),
    st.recursive(st.none() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
    .map(repr)
    .map(lambda text: text.replace("'", '"').encode()),
)
HEADER = st.binary(max_size=20).map(lambda value: bytes(byte for byte in value if byte > 31 and byte != 127).strip())


@pytest.fixture(scope="module")
def loop_and_web() -> Iterator[tuple[asyncio.Runner, WebDaemon]]:
    """One daemon for all examples, in a loop of its own."""
    with tempfile.TemporaryDirectory() as name, asyncio.Runner() as runner:
        opened = _opened(Path(name))
        web = runner.run(opened.__aenter__())
        yield runner, web
        runner.run(opened.__aexit__(None, None, None))


@asynccontextmanager
async def _opened(directory: Path) -> AsyncIterator[WebDaemon]:
    web = WebDaemon(directory)
    web.port = int(web.web.listen("127.0.0.1", 0).rpartition(":")[2])
    running = asyncio.create_task(web.web.run())
    yield web
    await web.web.close(1)
    await running


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(method=METHODS, form=FORMS, body=BODIES, is_packed=st.booleans())
def test_bodies(
    loop_and_web: tuple[asyncio.Runner, WebDaemon], method: str, form: str, body: bytes, is_packed: bool
) -> None:
    runner, web = loop_and_web
    encoding = "Connect-Content-Encoding" if "connect" in form else "Grpc-Encoding"
    headers = [f"{encoding if '+' in form or 'web' in form else 'Content-Encoding'}: gzip"] if is_packed else []
    answer = runner.run(web.post(method, body, form, *headers))
    assert answer.status < 500 or answer.status == 501, answer
    if "grpc" in form and answer.status == 200:
        assert answer.envelopes()[-1][0] == 0x80
        assert b"grpc-status: 13" not in answer.body and b"grpc-status: 2\r" not in answer.body
    if "connect" in form and answer.status == 200:
        assert answer.envelopes()[-1][0] == 2
        assert b'"internal"' not in answer.body and b'"unknown"' not in answer.body


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    names=st.lists(
        st.sampled_from(
            [
                "Cookie",
                "Origin",
                "Content-Encoding",
                "Accept-Encoding",
                "Connect-Timeout-Ms",
                "Connect-Protocol-Version",
                "Grpc-Timeout",
                "If-None-Match",
                "Upgrade",
                "Connection",
                "Sec-WebSocket-Key",
                "Accept",
                "X-Forwarded-For",
            ]
        ),
        max_size=4,
    ),
    value=HEADER,
    target=st.sampled_from(
        ["/", "/ca.crt", "/edged.v1.ModelService/ListModels", "/edged.v1.AssistantService/Converse"]
    ),
    method=st.sampled_from(["GET", "POST", "HEAD"]),
)
def test_headers(
    loop_and_web: tuple[asyncio.Runner, WebDaemon], names: list[str], value: bytes, target: str, method: str
) -> None:
    runner, web = loop_and_web
    lines = [f"{method} {target} HTTP/1.1", "Host: h", "Content-Type: application/proto", "Content-Length: 0"]
    head = "\r\n".join(lines).encode()
    for name in names:
        head += f"\r\n{name}: ".encode() + value
    answer = Answer.of(runner.run(web.send(head + b"\r\nConnection: close\r\n\r\n")))
    assert answer.status < 500
    assert answer.headers["x-content-type-options"] == "nosniff"


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(min_size=1, max_size=400))
def test_what_is_no_http_at_all(loop_and_web: tuple[asyncio.Runner, WebDaemon], data: bytes) -> None:
    runner, web = loop_and_web
    answer = runner.run(web.send(data + b"\r\n\r\n\r\n\r\n"))
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 40"))


async def test_nothing_of_it_is_said_or_logged(web: WebDaemon, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    mark = MARK.decode()
    for method in ("ModelService/GetModel", "PairingService/StartPairing", "ConversationService/SearchConversations"):
        for form in ("application/json", "application/proto", "application/connect+json", "application/" + mark):
            answer = await web.post(method, b'{"' + MARK + b": }", form, f"User-Agent: {mark}", f"X-Note: {mark}")
            assert answer.status >= 400 and MARK not in answer.body
    for request in (f"GET /{mark} HTTP/1.1\r\nHost: {mark}\r\nConnection: close\r\n\r\n", f"{mark} {mark}\r\n\r\n"):
        assert MARK not in await web.send(request.encode())
    answer = await web.post("ModelService/ListModels", b"", "application/proto", token=mark * 3)
    assert answer.status == 401
    assert mark not in caplog.text and TOKEN not in caplog.text


async def test_bombs_are_not_unpacked(web: WebDaemon) -> None:
    bomb = gzip.compress(bytes(100_000_000))
    tracemalloc.start()
    try:
        for method, token in (("ModelService/GetModel", TOKEN), ("PairingService/StartPairing", "")):
            answer = await web.post(method, bomb[:15_000], "application/proto", "Content-Encoding: gzip", token=token)
            assert answer.status == 429
            body = envelope(bomb[:15_000], flags=1)
            answer = await web.post(method, body, "application/grpc-web", "Grpc-Encoding: gzip", token=token)
            assert b"grpc-status: 8\r\n" in answer.body
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 10_000_000


async def test_refused_requests_leave_nothing_behind(web: WebDaemon) -> None:
    async def refuse(times: int) -> None:
        for number in range(times):
            body = b"\xff" * MAX_MESSAGE_BYTES if number % 2 else b'{"name":"' + b"x" * (MAX_MESSAGE_BYTES - 11) + b'"}'
            form = "application/proto" if number % 2 else "application/json"
            assert (await web.post("ModelService/GetModel", body, form)).status in (400, 404)

    await refuse(4)
    tracemalloc.start()
    try:
        await refuse(40)
        await until(lambda: not web.web._connections)
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left < 10 * MAX_MESSAGE_BYTES
