"""The HTTP API at the web port: for who shows a key of its own, over TLS, and for nobody else."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from edged.client import Client
from edged.errors import InvalidInput, RemoteError
from edged.records import ApiKey, DeviceKind, Scope
from edged.server.caller import NEEDED
from edged.server.openai.app import make_app
from edged.server.openai.bearer import KeyHolders
from edged.server.openai.door import Door
from tests.audio.recordings import wav
from tests.server.api.described import require_described
from tests.server.api.http_daemon import MAX_BYTES, RATE, Answer, answer_of, scripted_parts
from tests.server.lan_server import LanServer
from tests.server.scripted import WAIT, says, until
from tests.trust.desk import Guest

HELLO: Any = [{"role": "user", "content": "Hello"}]
CHAT = {"messages": HELLO}


@pytest.fixture
async def lan(run_dir: Path) -> AsyncIterator[LanServer]:
    server = LanServer(run_dir)
    parts = scripted_parts(server.model, server.server.lifecycle, server.server.border)
    server.api = Door(make_app(parts), KeyHolders(server.registry), max_bytes=MAX_BYTES)
    async with server.serving():
        yield server


async def key_for(lan: LanServer, *scopes: Scope, **more: Any) -> ApiKey:
    """As `edged devices key` gets it."""
    async with Client(f"unix:{lan.socket}") as operator:
        return await operator.devices.create_api_key("robot", scopes, **more)


def program(lan: LanServer, key: str) -> openai.AsyncOpenAI:
    """OpenAI's client with nothing but an address, a key and the daemon's certificate."""
    over_tls = httpx2.AsyncClient(verify=lan.trust())
    base = f"https://127.0.0.1:{lan.web_port}/v1"
    return openai.AsyncOpenAI(base_url=base, api_key=key, max_retries=0, timeout=20, http_client=over_tls)


async def call(lan: LanServer, path: str, content: object, *headers: str, method: str = "POST") -> Answer:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    kind = "application/json" if not isinstance(content, bytes) else "multipart/form-data; boundary=x"
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{lan.web_port}", "Connection: close"]
    lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers, "", ""]
    reader, writer = await asyncio.open_connection("127.0.0.1", lan.web_port, ssl=lan.trust())
    writer.write("\r\n".join(lines).encode() + body)
    try:
        async with asyncio.timeout(10):
            return answer_of(await reader.read())
    finally:
        writer.transport.abort()


async def test_a_program_with_a_key_asks_listens_and_speaks(lan: LanServer) -> None:
    made = await key_for(lan)
    assert made.device.kind is DeviceKind.API_KEY and made.device.scopes == {Scope.CHAT, Scope.VOICE}
    assert made.addresses == (f"127.0.0.1:{lan.web_port}",) and made.key not in repr(made)
    async with program(lan, made.key) as client:
        assert (await client.models.list()).data[0].id == "tiny"
        answer = await client.chat.completions.create(model="tiny", messages=HELLO)
        assert answer.choices[0].message.content == "Paris."
        stream = await client.chat.completions.create(model="tiny", messages=HELLO, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "Paris."
        heard = await client.audio.transcriptions.create(model="x", file=("x.wav", wav(bytes(RATE))))
        assert heard.text == "0.5 seconds of sound"
        said = await client.audio.speech.create(model="x", voice="x", input="one", response_format="wav")
        assert said.content.startswith(b"RIFF")


async def test_without_a_key_there_is_nothing(lan: LanServer) -> None:
    cookie_id, cookie = await lan.browser(*Scope)
    gone = await key_for(lan)
    await lan.registry.revoke(gone.device.id)
    shown = ["", "Authorization: Bearer EMPTY", f"Authorization: Bearer {gone.key}", f"Authorization: Basic {gone.key}"]
    shown += [f"Authorization: Bearer {cookie}", f"Cookie: __Host-edged={cookie}", f"Authorization: Bearer {cookie_id}"]
    paths = ("/v1/models", "/v1/models/tiny", "/v1/chat/completions", "/v1/audio/speech", "/v1/x")
    described = make_app(scripted_parts(lan.model, lan.server.lifecycle, lan.server.border)).openapi()
    for header, path, method in itertools.product(shown, paths, ("GET", "POST")):
        answer = await call(lan, path, CHAT, *([header] if header else []), method=method)
        assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["code"] == "invalid_api_key"
        if path == "/v1/chat/completions" and method == "POST":
            require_described(described, method, path, answer)
    assert not lan.model.requests


async def test_a_key_is_worth_nothing_as_a_cookie(lan: LanServer) -> None:
    made = await key_for(lan, *Scope)
    for method in (method for method in NEEDED if method.startswith("/edged.v1.StatusService/")):
        assert await lan.web_outcome(method, made.key, is_stream=False) == "UNAUTHENTICATED"


async def test_who_shows_no_key_is_refused_before_its_request_is_read(lan: LanServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", lan.web_port, ssl=lan.trust())
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
    async with asyncio.timeout(10):
        assert answer_of(await reader.read()).status == 401
    writer.transport.abort()


async def test_what_is_the_operators_stays_on_the_machine(lan: LanServer) -> None:
    made = await key_for(lan, *Scope)
    for path in ("/docs", "/openapi.json", "/metrics", "/health"):
        assert (await call(lan, path, b"", f"Authorization: Bearer {made.key}", method="GET")).status == 404


async def test_a_key_does_what_its_scopes_say(lan: LanServer) -> None:
    recording = b'--x\r\nContent-Disposition: form-data; name="file"; filename="x.wav"\r\n\r\n%s\r\n--x--'
    contents: dict[str, tuple[object, Scope]] = {
        "/v1/chat/completions": (CHAT, Scope.CHAT),
        "/v1/chat/completions?": ({**CHAT, "stream": True}, Scope.CHAT),
        "/v1/completions": ({"prompt": "Hello"}, Scope.CHAT),
        "/v1/embeddings": ({"input": "Hello"}, Scope.CHAT),
        "/v1/audio/speech": ({"input": "one"}, Scope.VOICE),
        "/v1/audio/transcriptions": (recording % wav(bytes(RATE)), Scope.VOICE),
        "/v1/audio/translations": (recording % wav(bytes(RATE)), Scope.VOICE),
    }
    for path, (content, needed) in contents.items():
        poor, rich = await key_for(lan, *(set(Scope) - {needed})), await key_for(lan, needed)
        refused = await call(lan, path, content, f"Authorization: Bearer {poor.key}")
        assert refused.status == 403 and f"lacks the scope {needed}" in refused.json()["error"]["message"]
        assert (await call(lan, path, content, f"Authorization: bearer {rich.key}")).status == 200, path


async def test_every_path_has_its_scope(lan: LanServer) -> None:
    """One that somebody adds and forgets is the operator's alone."""
    app = make_app(scripted_parts(lan.model, lan.server.lifecycle, lan.server.border))
    paths = {path for path in app.openapi()["paths"] if path.startswith("/v1/")}
    declared = {path.replace(":path", "") for path in NEEDED if path.startswith("/v1/")}
    assert paths - declared == {"/v1/models"}, "whoever has a key may see which models there are"


@pytest.mark.parametrize("stream", [True, False])
async def test_revoking_a_key_breaks_off_what_runs(lan: LanServer, stream: bool) -> None:
    lan.model.script = [*says("a", "b")[:2], WAIT]
    made = await key_for(lan)
    header = f"Authorization: Bearer {made.key}"
    asking = asyncio.create_task(call(lan, "/v1/chat/completions", {**CHAT, "stream": stream}, header))
    await until(lambda: lan.model.running and lan.model.emitted == 2)
    await lan.registry.revoke(made.device.id)
    answer = await asking
    await until(lambda: not lan.model.running)
    assert (b"invalid_api_key" in answer.body) and answer.status == (200 if stream else 401)
    assert (await call(lan, "/v1/models", b"", header, method="GET")).status == 401


async def test_a_key_ends_with_its_time(lan: LanServer) -> None:
    made = await key_for(lan, expires_at=datetime.now(UTC) + timedelta(seconds=0.5))
    header = f"Authorization: Bearer {made.key}"
    assert (await call(lan, "/v1/models", b"", header, method="GET")).status == 200
    await asyncio.sleep(0.6)
    assert (await call(lan, "/v1/models", b"", header, method="GET")).status == 401
    with pytest.raises(RemoteError, match="expires_at"):
        await key_for(lan, expires_at=datetime.now(UTC))


async def test_pages_of_other_sites_are_refused_and_told_nothing(lan: LanServer) -> None:
    made = await key_for(lan)
    for origin in ("https://evil.example", "null"):
        answer = await call(lan, "/v1/chat/completions", CHAT, f"Authorization: Bearer {made.key}", f"Origin: {origin}")
        assert answer.status == 403 and not any(name.startswith("access-control") for name in answer.headers)
    assert not lan.model.requests


async def test_it_speaks_no_http_without_tls(lan: LanServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", lan.web_port)
    writer.write(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer EMPTY\r\n\r\n")
    heard = b""
    with suppress(ConnectionError):
        heard = await reader.read()
    assert b"HTTP" not in heard
    writer.transport.abort()
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode, old.maximum_version = False, ssl.CERT_NONE, ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", lan.web_port, ssl=old)


async def test_the_daemon_keeps_a_hash_and_logs_nothing_of_a_key(
    lan: LanServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    made = await key_for(lan)
    await call(lan, "/v1/chat/completions", CHAT, f"Authorization: Bearer {made.key}")
    await call(lan, "/v1/chat/completions", CHAT, f"Authorization: Bearer {made.key[:-1]}")
    kept = repr((lan.store.known, lan.store.events)).encode() + caplog.text.encode()
    assert made.key.removeprefix("edged-").encode() not in kept and made.key[6:30].encode() not in kept


async def test_who_may_make_keys(lan: LanServer) -> None:
    for scopes, is_let in (((Scope.CHAT, Scope.VOICE), False), ((Scope.ADMIN,), True)):
        device = await lan.program(*scopes)
        async with lan.channel(device) as channel:
            outcome = await lan.grpc_outcome(channel, "/edged.v1.DeviceService/CreateApiKey", b"\x0a\x01x")
            assert outcome == ("OK" if is_let else "PERMISSION_DENIED")


async def test_no_device_pairs_as_a_key(lan: LanServer) -> None:
    async with Client(f"unix:{lan.socket}") as operator:
        offer = await operator.devices.open_pairing()
    guest = Guest(lan.desk, offer.code, name="robot", kind=DeviceKind.API_KEY)
    await guest.start()
    with pytest.raises(InvalidInput, match="edged devices key"):
        await guest.prove(bytes(32))
