"""The description of the HTTP API against what really is sent: whole and streamed, with all that can be in it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import ValidationError

from edged.errors import (
    ArtefactError,
    ContextOverflow,
    EdgedError,
    InvalidInput,
    MissingExtra,
    QueueFull,
    StoreFull,
    Unavailable,
    UnsupportedPart,
)
from edged.events import Finished, FinishReason, Measured, ReasoningDelta, TextDelta, TokenLogprob
from edged.records import DaemonState
from edged.server.openai import door
from edged.server.openai.app import make_app
from tests.audio.recordings import wav
from tests.server.api.described import require_described, strictly
from tests.server.api.http_daemon import RATE, Answer, HttpDaemon
from tests.server.api.test_openai_tools import CALLED, GO
from tests.server.scripted import END, METRICS, USAGE, Step, says

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
CHAT, TEXT, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
SPEECH, HEARING, TRANSLATING = "/v1/audio/speech", "/v1/audio/transcriptions", "/v1/audio/translations"
TOKEN = TokenLogprob(text="é", data="é".encode(), logprob=-0.5)
LIKELY = TokenLogprob(text="é", data="é".encode(), logprob=-0.5, top=(TOKEN, TOKEN))


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return strictly(make_app(HttpDaemon().parts).openapi())


async def get(daemon: HttpDaemon, path: str, *headers: str) -> Answer:
    return await daemon.raw(
        "\n".join([f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""])
    )


async def posted(daemon: HttpDaemon, path: str, content: dict[str, Any]) -> Answer:
    """As JSON, or as a form with a recording."""
    if path not in (HEARING, TRANSLATING):
        return await daemon.post(path, content)
    fields = {
        'file"; filename="x.wav': wav(bytes(2 * RATE)),
        **{name: value.encode() for name, value in content.items()},
    }
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value)
        for name, value in fields.items()
    ]
    body = b"".join([*parts, b"--x--\r\n"])
    head = f"POST {path} HTTP/1.1\nHost: localhost\nConnection: close\nContent-Length: {len(body)}\n"
    return await daemon.raw(f"{head}Content-Type: multipart/form-data; boundary=x\n\n", body)


async def test_every_status_of_every_path_has_a_schema(daemon: HttpDaemon) -> None:
    described = (await get(daemon, "/openapi.json")).json()
    assert described["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, operations in described["paths"].items():
        for operation in operations.values():
            assert operation["description"].endswith(".")
            assert operation.get("security", []) == ([{"key": []}, {}] if path.startswith("/v1/") else [])
            assert not {"4XX", "5XX", "default", "422"} & set(operation["responses"])
            for answer in operation["responses"].values():
                assert answer["content"] and all(form["schema"] for form in answer["content"].values())


SCRIPTS: dict[str, list[Step]] = {
    "words": says("Paris", "."),
    "tools": [TextDelta(text="I look."), *CALLED],
    "thought": [ReasoningDelta(text="Hm"), ReasoningDelta(text="m"), *says("So.")],
    "likely": [TextDelta(text="é", logprobs=(LIKELY,)), TextDelta(text="é", logprobs=(LIKELY, TOKEN)), *END],
    "cut": [TextDelta(text="Par"), Measured(usage=USAGE, metrics=METRICS), Finished(finish_reason=FinishReason.LENGTH)],
}
OPTIONS: list[tuple[str, str, dict[str, Any]]] = [
    (CHAT, "words", HELLO),
    (CHAT, "words", {**HELLO, "n": 3, "seed": 1}),
    (CHAT, "words", {**HELLO, "store": True}),
    (CHAT, "tools", {**HELLO, "tools": [GO]}),
    (CHAT, "thought", {**HELLO, "enable_thinking": True}),
    (CHAT, "likely", {**HELLO, "logprobs": True, "top_logprobs": 2}),
    (CHAT, "cut", {**HELLO, "max_tokens": 1}),
    (TEXT, "words", {"prompt": ["Hello", "Hi"], "n": 2, "echo": True}),
    (TEXT, "likely", {"prompt": "Hello", "logprobs": 2}),
    (TEXT, "cut", {"prompt": "Hello"}),
    (EMBEDDINGS, "", {"input": ["one", "two"]}),
    (EMBEDDINGS, "", {"input": "one", "encoding_format": "base64"}),
    *((HEARING, "", {"response_format": form}) for form in ("json", "text", "srt", "verbose_json", "vtt")),
    (HEARING, "", {"response_format": "verbose_json", "timestamp_granularities[]": "word"}),
    (HEARING, "", {"stream": "true"}),
    *((TRANSLATING, "", {"response_format": form}) for form in ("json", "text", "srt", "verbose_json", "vtt")),
    *((SPEECH, "", {"input": "one", "response_format": form}) for form in ("wav", "pcm", "mp3", "opus", "flac", "aac")),
    (SPEECH, "", {"input": "one two", "stream_format": "sse"}),
]
STREAMED: list[dict[str, Any]] = [{"stream": True, "stream_options": {"include_usage": told}} for told in (True, False)]


@pytest.mark.parametrize(("path", "script", "options"), OPTIONS)
async def test_good_answers(
    daemon: HttpDaemon, described: dict[str, Any], path: str, script: str, options: dict[str, Any]
) -> None:
    daemon.model.script = SCRIPTS.get(script, [])
    for how in ({}, *STREAMED) if path in (CHAT, TEXT) else ({},):
        answer = await posted(daemon, path, {**options, **how})
        assert answer.status == 200
        require_described(described, "POST", path, answer)


async def test_what_is_asked_for_by_get(daemon: HttpDaemon, described: dict[str, Any]) -> None:
    for path, template in {"/v1/models/tiny": "/v1/models/{name}", "/v1/models/none": "/v1/models/{name}"}.items():
        require_described(described, "GET", template, await get(daemon, path))
    for path in ("/v1/models", "/metrics", "/health"):
        require_described(described, "GET", path, await get(daemon, path))
        for headers in (["Origin: https://evil.example"], ["Content-Length: 99999999"]):
            refused = await get(daemon, path, *headers)
            assert refused.status in (403, 413)
            require_described(described, "GET", path, refused)
    daemon.lifecycle.enter(DaemonState.DRAINING)
    for path, template in {
        "/metrics": "/metrics",
        "/health": "/health",
        "/v1/models/tiny": "/v1/models/{name}",
    }.items():
        answer = await get(daemon, path)
        assert answer.status == 503
        require_described(described, "GET", template, answer)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidInput("no", field="sampling.stop"), 400),
        (ContextOverflow("no"), 400),
        (UnsupportedPart("no"), 400),
        (MissingExtra("no"), 400),
        (QueueFull("no"), 429),
        (StoreFull("no"), 429),
        (ArtefactError("no"), 500),
        (EdgedError("no"), 500),
        (Unavailable("no", retry_seconds=2.0), 503),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, EdgedError) else None,
)
async def test_errors_before_the_first_word(
    daemon: HttpDaemon, described: dict[str, Any], error: EdgedError, status: int
) -> None:
    daemon.model.script = [error]
    for path, stream in itertools.product((CHAT, TEXT), (False, True)):
        answer = await posted(daemon, path, {**HELLO, "prompt": "Hello", "stream": stream})
        assert answer.status == status
        require_described(described, "POST", path, answer)


async def test_an_error_after_the_first_word(daemon: HttpDaemon, described: dict[str, Any]) -> None:
    daemon.model.script = [TextDelta(text="Par"), Unavailable("the GPU is gone")]
    answer = await daemon.chat(stream=True)
    assert answer.status == 200 and b"the GPU is gone" in answer.body
    require_described(described, "POST", CHAT, answer)


@pytest.mark.parametrize("path", [CHAT, TEXT, EMBEDDINGS, SPEECH, HEARING, TRANSLATING])
async def test_what_is_refused(daemon: HttpDaemon, described: dict[str, Any], path: str) -> None:
    asked = {**HELLO, "prompt": "Hello", "input": "Hello"}
    host = "evil.example"
    refused = [
        (400, await daemon.post(path, b"{")),
        (400, await daemon.post(path, {})),
        (403, await daemon.post(path, asked, host=host)),
        (413, await daemon.raw(f"POST {path} HTTP/1.1\nHost: localhost\nContent-Length: 99999999\n\n")),
    ]
    if path in (CHAT, TEXT, EMBEDDINGS):
        refused.append((404, await daemon.post(path, {**asked, "model": "none"})))
    daemon.lifecycle.enter(DaemonState.DRAINING)
    refused.append((503, await posted(daemon, path, asked if path not in (HEARING, TRANSLATING) else {})))
    for status, answer in refused:
        assert answer.status == status
        require_described(described, "POST", path, answer)


async def test_what_comes_too_slowly_or_at_a_bad_time(
    described: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "BODY_SECONDS", 0.05)
    monkeypatch.setattr(door, "LARGE_REQUESTS", 0)
    async with HttpDaemon().serving() as daemon:
        slow = await daemon.raw(f"POST {CHAT} HTTP/1.1\nHost: localhost\nContent-Length: 9\n\n")
        full = await daemon.chat()
    assert (slow.status, full.status, full.headers["retry-after"]) == (408, 429, "1")
    for answer in (slow, full):
        require_described(described, "POST", CHAT, answer)


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a number for a text": lambda sent: sent["choices"][0]["message"].update(content=5),
    "nothing for a number": lambda sent: sent["usage"].update(prompt_tokens=None),
    "a reason of its own": lambda sent: sent["choices"][0].update(finish_reason="tired"),
    "one thing less": lambda sent: sent.pop("model"),
    "one thing more": lambda sent: sent.update(surprise=True),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_an_answer_that_is_another_one_is_not_described(
    daemon: HttpDaemon, described: dict[str, Any], change: str
) -> None:
    """Else the other tests would show nothing."""
    answer = await daemon.chat()
    sent = answer.json()
    CHANGES[change](sent)
    answer.body = json.dumps(sent).encode()
    with pytest.raises(ValidationError):
        require_described(described, "POST", CHAT, answer)
