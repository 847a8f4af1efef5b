"""The HTTP API and what comes from outside: other pages, too much, too slowly, and nonsense."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.server.openai import door
from tests.server.api.http_daemon import MAX_BYTES, HttpDaemon

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["messages", "model", "n", "stop", "logit_bias", "response_format", "seed", "thinking", "stream", "tools"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.1.7", "", "[::1", "0.0.0.0"])
async def test_a_page_whose_name_was_made_to_mean_this_machine_is_refused(daemon: HttpDaemon, host: str) -> None:
    answer = await daemon.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}, host=host)
    assert answer.status in (400, 403) and not daemon.model.requests


async def test_who_is_refused_is_told_what_to_do(daemon: HttpDaemon) -> None:
    refused = await daemon.post("/v1/models", {}, host="edged:8000")
    assert refused.status == 403
    message = refused.json()["error"]["message"]
    assert "Host" in message and "127.0.0.1" in message and "http.hosts" in message and "edged:8000" not in message
    refused = await daemon.post("/v1/models", {}, "Origin: https://evil.example")
    assert "Origin" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("edged:8000", "", 200),
        ("EDGED", "", 200),
        ("localhost", "", 200),
        ("edged.evil.example", "", 403),
        ("evil.example", "", 403),
        ("edged@evil.example", "", 403),
        ("edged:8000", "https://evil.example", 403),
        ("edged:8000", "http://edged:8000", 403),
    ],
)
async def test_a_container_is_asked_by_the_names_that_it_was_given(host: str, origin: str, status: int) -> None:
    """By programs: a page has no business there, whatever its name."""
    async with HttpDaemon(hosts=frozenset({"edged"})).serving() as daemon:
        body = {"messages": [{"role": "user", "content": "x"}]}
        headers = [f"Origin: {origin}"] if origin else []
        assert (await daemon.post("/v1/chat/completions", body, *headers, host=host)).status == status


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example"])
async def test_a_page_from_elsewhere_is_refused(daemon: HttpDaemon, origin: str) -> None:
    body = {"messages": [{"role": "user", "content": "x"}]}
    assert (await daemon.post("/v1/chat/completions", body, f"Origin: {origin}")).status == 403
    assert (await daemon.post("/v1/chat/completions", body, "Origin: http://localhost:3000")).status == 200


async def test_too_much_is_refused_before_it_is_held(daemon: HttpDaemon) -> None:
    head = "POST /v1/chat/completions HTTP/1.1\nHost: localhost\nContent-Type: application/json\nConnection: close\n"
    assert (await daemon.raw(f"{head}Content-Length: 200000000\n\n")).status == 413
    piece = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    assert (await daemon.raw(f"{head}Transfer-Encoding: chunked\n\n", piece * (MAX_BYTES // 0x10000 + 1))).status == 413


async def test_too_slow_is_refused(daemon: HttpDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "BODY_SECONDS", 0.1)
    head = "POST /v1/chat/completions HTTP/1.1\nHost: localhost\nContent-Type: application/json\nContent-Length: 9\n\n"
    assert (await daemon.raw(head, b"{")).status == 408


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.tool_call_id"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages.0.role"),
        ({"content": [{"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}]}, "image_url.url"),
        ({"content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,%%%"}}]}, "image_url.url"),
        ({"content": [{"type": "input_audio", "input_audio": {"data": "x", "format": "midi"}}]}, "input_audio.format"),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"store": True, "n": 2}, "store"),
        ({"n": 9}, "n"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"response_format": {"type": "json_schema"}}, "json_schema"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
async def test_what_is_wrong_is_named(daemon: HttpDaemon, options: dict[str, object], field: str) -> None:
    answer = await daemon.chat(**options)
    error = answer.json()["error"]
    assert answer.status == 400 and error["type"] == "invalid_request_error"
    assert error["param"].endswith(field) and len(error["message"].splitlines()) == 1
    assert not daemon.model.requests


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null", b"[" * 50_000, b'{"messages":' + b"[" * 50_000])
async def test_no_json_is_a_bad_request(daemon: HttpDaemon, body: bytes) -> None:
    assert (await daemon.post("/v1/chat/completions", body)).status == 400


async def test_other_paths_and_methods_have_errors_of_the_same_kind(daemon: HttpDaemon) -> None:
    for path, status in (("/v1/fine_tuning/jobs", 404), ("/v1/models", 405), ("/../../etc/passwd", 404)):
        answer = await daemon.post(path, {})
        assert answer.status == status and set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.fixture(scope="module")
def loop_and_daemon() -> Iterator[tuple[asyncio.Runner, HttpDaemon]]:
    """One daemon for all examples, in a loop of its own."""
    with asyncio.Runner() as runner:
        serving = HttpDaemon().serving()
        yield runner, runner.run(serving.__aenter__())
        runner.run(serving.__aexit__(None, None, None))


@settings(max_examples=60, deadline=None)
@given(body=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4) | JSON)
def test_no_request_breaks_it(loop_and_daemon: tuple[asyncio.Runner, HttpDaemon], body: object) -> None:
    runner, daemon = loop_and_daemon
    assert runner.run(daemon.post("/v1/chat/completions", body)).status in (200, 400, 404)


async def test_the_description_is_of_what_is_there(daemon: HttpDaemon) -> None:
    described = (await daemon.raw("GET /openapi.json HTTP/1.1\nHost: localhost\nConnection: close\n\n")).json()
    assert {"/v1/chat/completions", "/v1/models", "/v1/audio/transcriptions", "/v1/audio/speech"} <= set(
        described["paths"]
    )
    assert json.dumps(described).count("http://") == 0
