"""The HTTP API of a real daemon: its engine, its store, its numbers."""

from __future__ import annotations

import hashlib
import math
import operator
import urllib.request
from typing import Any

from openai import OpenAI

from tests.e2e.program import Home
from tests.e2e.test_http import free_port

HELLO: Any = [{"role": "user", "content": "Hello"}]
LONG: Any = [{"role": "user", "content": "a long word " * 120}]


def on_disk(home: Home) -> dict[str, str]:
    """Every file of the state directory, and what is in it."""
    files = (path for path in home.state.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_program_gets_what_it_asks_for(home: Home) -> None:
    address = f"127.0.0.1:{free_port()}"
    with (
        home.daemon("--http", address) as daemon,
        OpenAI(base_url=f"http://{address}/v1", api_key="EMPTY", max_retries=0) as client,
    ):
        log = daemon.log.read_text()
        assert f"Uvicorn running on http://{address}" in log
        assert "Model tiny loaded successfully with float32 quantization." in log
        _logprobs(client)
        _completions(client)
        before = on_disk(home)
        client.chat.completions.create(model="tiny", messages=LONG, max_tokens=4)
        client.completions.create(model="tiny", prompt="secret words", max_tokens=4)
        assert on_disk(home) == before, "nothing is written that nobody asked to keep"
        assert "0 conversations" in home.run("status").stdout
        client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=4, store=True)
        assert "1 conversation" in home.run("status").stdout and on_disk(home) != before
        numbers = urllib.request.urlopen(f"http://{address}/metrics").read().decode()
        assert 'edged_calls_total{code="OK",method="/v1/chat/completions"}' in numbers
        assert "edged_time_to_first_token_seconds_count" in numbers and "secret" not in numbers
        tokens = next(line for line in numbers.splitlines() if line.startswith('edged_tokens_total{kind="completion"}'))
        assert float(tokens.split()[-1]) > 12
        daemon.stop()


def _logprobs(client: OpenAI) -> None:
    asked: dict[str, Any] = {"model": "tiny", "messages": HELLO, "max_tokens": 6, "temperature": 0}
    answer = client.chat.completions.create(**asked, logprobs=True, top_logprobs=5)
    (choice,) = answer.choices
    assert choice.logprobs and choice.logprobs.content
    spelled = b"".join(bytes(token.bytes or []) for token in choice.logprobs.content)
    assert spelled.decode(errors="replace") == choice.message.content
    for token in choice.logprobs.content:
        assert len(token.top_logprobs) == 5
        best = max(token.top_logprobs, key=lambda one: one.logprob)
        assert (best.bytes, best.logprob) == (token.bytes, token.logprob), "greedy takes the likeliest"
        assert sum(math.exp(one.logprob) for one in token.top_logprobs) <= 1 + 1e-6
    forced = client.chat.completions.create(**asked, logprobs=True, logit_bias={"50": 100}).choices[0].logprobs
    assert forced and forced.content and len({tuple(token.bytes or ()) for token in forced.content}) == 1
    assert forced.content[0].logprob < -1, "as the model has it, whatever the bias"
    one = client.chat.completions.create(**{**asked, "temperature": 1.5}, seed=5, n=3)
    again = client.chat.completions.create(**{**asked, "temperature": 1.5}, seed=5, n=3)
    texts = [choice.message.content for choice in one.choices]
    assert texts == [choice.message.content for choice in again.choices] and len(set(texts)) > 1


def _completions(client: OpenAI) -> None:
    done = client.completions.create(model="tiny", prompt="Hello", max_tokens=6, temperature=0, logprobs=2, echo=False)
    (choice,) = done.choices
    assert choice.logprobs and choice.logprobs.tokens and "".join(choice.logprobs.tokens) == choice.text
    assert done.usage and done.usage.completion_tokens == len(choice.logprobs.tokens) == 6
    stream = client.completions.create(model="tiny", prompt="Hello", max_tokens=6, temperature=0, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == choice.text


def test_what_is_read_aloud_is_written_down_and_placed(home: Home) -> None:
    address = f"127.0.0.1:{free_port()}"
    said = "What is the capital of France?"
    with (
        home.daemon("--http", address) as daemon,
        OpenAI(base_url=f"http://{address}/v1", api_key="EMPTY", max_retries=0) as client,
    ):
        sound = client.audio.speech.create(model="tts-1", voice="alloy", input=said, response_format="mp3")
        heard: Any = client.audio.transcriptions.create(
            model="whisper-1", file=("x.mp3", sound.content), response_format="verbose_json"
        )
        assert heard.text == said and heard.segments[0].text == said
        assert 0 <= heard.segments[0].start < heard.segments[0].end <= heard.duration
        texts = [said, "Which city is France governed from?", "The bread is stale."]
        one, two, other = (place.embedding for place in _embedded(client, texts))
        assert _alike(one, two) > _alike(one, other) + 0.2
        assert said not in daemon.log.read_text()
        daemon.stop()


def _embedded(client: OpenAI, texts: list[str]) -> list[Any]:
    return client.embeddings.create(model="all-minilm-l6-v2", input=texts).data


def _alike(one: list[float], other: list[float]) -> float:
    return sum(map(operator.mul, one, other))
