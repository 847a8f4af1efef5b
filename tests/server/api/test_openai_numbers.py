"""What answers cost, how likely their words were, and what the daemon counts."""

from __future__ import annotations

import base64
import struct
from dataclasses import replace

import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edged.events import Measured, TextDelta, TokenLogprob
from tests.server.api.http_daemon import Answer, HttpDaemon
from tests.server.scripted import END, METRICS, USAGE, says

HELLO = [{"role": "user", "content": "Hello"}]
PARIS = TokenLogprob(text="Paris", data=b"Paris", logprob=-0.25)
ROME = TokenLogprob(text="\ufffd", data=b"\xc3", logprob=-2.0)
SAID = [
    TextDelta(text="Paris", logprobs=(replace(PARIS, top=(PARIS, ROME)),)),
    TextDelta(text="!", logprobs=(replace(ROME, top=()),)),
]


@pytest.mark.parametrize("stream", [True, False])
async def test_tokens_and_how_likely_they_were(daemon: HttpDaemon, stream: bool) -> None:
    daemon.model.script = [*SAID, *END]
    async with daemon.client() as client:
        if stream:
            chunks = await client.chat.completions.create(
                model="", messages=HELLO, logprobs=True, top_logprobs=2, stream=True
            )
            told = [chunk.choices[0].logprobs async for chunk in chunks]
            tokens = [token for one in told if one for token in one.content or ()]
        else:
            answer = await client.chat.completions.create(model="", messages=HELLO, logprobs=True, top_logprobs=2)
            assert answer.choices[0].logprobs
            tokens = answer.choices[0].logprobs.content or []
    assert [(token.token, token.logprob, token.bytes) for token in tokens] == [
        ("Paris", -0.25, list(b"Paris")),
        ("\ufffd", -2.0, [0xC3]),
    ]
    assert [[one.token for one in token.top_logprobs] for token in tokens] == [["Paris", "\ufffd"], []]
    assert daemon.model.requests[0].sampling.logprobs == 2


async def test_nobody_is_told_who_did_not_ask(daemon: HttpDaemon) -> None:
    answer = (await daemon.chat()).json()
    assert answer["choices"][0]["logprobs"] is None and daemon.model.requests[0].sampling.logprobs is None


async def test_thinking_counts_whether_it_is_shown_or_not(daemon: HttpDaemon) -> None:
    daemon.model.script = [TextDelta(text="a"), Measured(usage=replace(USAGE, reasoning_tokens=1), metrics=METRICS)]
    daemon.model.script.append(END[-1])
    for shown in (True, False):
        usage = (await daemon.chat(return_reasoning=shown)).json()["usage"]
        assert usage["completion_tokens_details"] == {"reasoning_tokens": 1}
        assert usage["prompt_tokens_details"] == {"cached_tokens": 3}


async def test_texts_become_places(daemon: HttpDaemon) -> None:
    async with daemon.client() as client:
        found = await client.embeddings.create(model="tiny-embedder", input=["eel", "a"])  # the client asks for base64
        assert [one.embedding for one in found.data] == [[3.0, 2.0], [1.0, 0.0]]
        assert (found.usage.prompt_tokens, found.usage.total_tokens) == (4, 4)
        with pytest.raises(openai.NotFoundError):
            await client.embeddings.create(model="text-embedding-3-small", input="x")
    raw = (await daemon.post("/v1/embeddings", {"input": "eel"})).json()
    assert raw["data"][0]["embedding"] == [3.0, 2.0]
    packed = (await daemon.post("/v1/embeddings", {"input": "eel", "encoding_format": "base64"})).json()
    assert struct.unpack("<2f", base64.b64decode(packed["data"][0]["embedding"])) == (3.0, 2.0)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"input": [1, 2]}, "input"),
        ({"input": [[1, 2]]}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": "a", "dimensions": 3}, "dimensions"),
    ],
)
async def test_what_cannot_be_placed_is_refused(daemon: HttpDaemon, options: dict[str, object], field: str) -> None:
    answer = await daemon.post("/v1/embeddings", options)
    assert (answer.status, answer.json()["error"]["param"]) == (400, field)


async def metrics(daemon: HttpDaemon) -> Answer:
    return await daemon.raw("GET /metrics HTTP/1.1\nHost: localhost\nConnection: close\n\n")


async def test_what_is_counted_says_nothing_of_what_is_said(daemon: HttpDaemon) -> None:
    daemon.model.script = says("secret-answer")
    await daemon.chat(content="secret-question")
    await daemon.chat(model="secret-model")
    daemon.parts.meter.answer(Measured(usage=USAGE, metrics=METRICS))
    answer = await metrics(daemon)
    text = answer.body.decode()
    assert answer.headers["content-type"].startswith("text/plain") and "secret" not in text
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["edged_calls_total", "/v1/chat/completions", "OK"] == 1
    assert samples["edged_calls_total", "/v1/chat/completions", "NOT_FOUND"] == 1
    assert samples["edged_tokens_total", "completion"] == 2 and samples["edged_tokens_total", "cached"] == 3
    assert samples["edged_time_to_first_token_seconds_count",] == 1
    assert samples["edged_refused_connections_total",] == 3 and samples["edged_kv_cache_limit_bytes",] == 2**40
    assert samples["edged_serving",] == 1
