"""Texts that go on, as OpenAI's own client asks for them, and by hand."""

from __future__ import annotations

import openai
import pytest

from edged.events import TextDelta, TokenLogprob
from tests.server.api.http_daemon import HttpDaemon
from tests.server.scripted import END


async def test_a_text_goes_on(daemon: HttpDaemon) -> None:
    async with daemon.client() as client:
        done = await client.completions.create(model="tiny", prompt="The capital is ", seed=1, stop="\n")
    (choice,) = done.choices
    assert (done.object, choice.text, choice.finish_reason) == ("text_completion", "Paris.", "stop")
    assert done.usage and (done.usage.prompt_tokens, done.usage.completion_tokens) == (7, 2)
    (request,) = daemon.model.requests
    assert (request.prompt, request.messages, request.sampling.max_tokens) == ("The capital is ", (), 16)
    assert (request.sampling.seed, request.sampling.stop) == (1, ("\n",))


async def test_a_text_as_it_comes(daemon: HttpDaemon) -> None:
    async with daemon.client() as client:
        stream = await client.completions.create(
            model="", prompt=["a", "b"], n=2, echo=True, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    texts = ["", "", "", ""]
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == ["aParis.", "aParis.", "bParis.", "bParis."]
    assert chunks[-1].usage and (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (14, 8)
    assert len({chunk.id for chunk in chunks}) == 1


async def test_tokens_and_how_likely_they_were(daemon: HttpDaemon) -> None:
    other = TokenLogprob(text=" Rome", data=b" Rome", logprob=-2.0)
    one = TokenLogprob(text=" Paris", data=b" Paris", logprob=-0.25)
    two = TokenLogprob(text=".", data=b".", logprob=-0.5)
    script = [TextDelta(text=" Paris", logprobs=(TokenLogprob(**_plain(one), top=(one, other)),))]
    daemon.model.script = [*script, TextDelta(text=".", logprobs=(two,)), *END]
    async with daemon.client() as client:
        done = await client.completions.create(model="", prompt="x", logprobs=2)
    told = done.choices[0].logprobs
    assert told and told.tokens == [" Paris", "."] and told.token_logprobs == [-0.25, -0.5]
    assert told.top_logprobs == [{" Paris": -0.25, " Rome": -2.0}, {}] and told.text_offset == [0, 6]
    assert daemon.model.requests[0].sampling.logprobs == 2


def _plain(token: TokenLogprob) -> dict[str, object]:
    return {"text": token.text, "data": token.data, "logprob": token.logprob}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"echo": True, "logprobs": 1}, "echo"),
        ({"logprobs": 21}, "logprobs"),
        ({"prompt": [1, 2, 3]}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["x"] * 17}, "prompt"),
        ({"n": 9}, "n"),
    ],
)
async def test_what_is_not_done_is_refused(daemon: HttpDaemon, options: dict[str, object], field: str) -> None:
    answer = await daemon.post("/v1/completions", {"prompt": "x", **options})
    assert (answer.status, answer.json()["error"]["param"]) == (400, field)
    assert not daemon.model.requests


async def test_an_unknown_model_is_not_found(daemon: HttpDaemon) -> None:
    async with daemon.client() as client:
        with pytest.raises(openai.NotFoundError):
            await client.completions.create(model="gpt-3", prompt="x")
