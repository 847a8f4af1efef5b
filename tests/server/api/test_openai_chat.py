"""Chat over HTTP as OpenAI's own client has it: whole and streamed, with its errors."""

from __future__ import annotations

import asyncio
import base64
import json

import openai
import pytest

from edged.errors import QueueFull
from edged.events import Audio, Image, OutputFormat, OutputKind, ReasoningDelta, Role, Text, TextDelta
from edged.records import DaemonState
from tests.audio.recordings import wav
from tests.server.api.http_daemon import RATE, HttpDaemon
from tests.server.scripted import END, WAIT, says, until

HELLO = [{"role": "user", "content": "Hello"}]


async def test_an_answer_at_once(daemon: HttpDaemon) -> None:
    async with daemon.client() as client:
        answer = await client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=7, seed=3, stop=["\n"])
    (choice,) = answer.choices
    assert (answer.object, answer.model, choice.finish_reason) == ("chat.completion", "tiny", "stop")
    assert (choice.message.role, choice.message.content) == ("assistant", "Paris.")
    assert answer.usage and (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 2)
    assert answer.usage.prompt_tokens_details and answer.usage.prompt_tokens_details.cached_tokens == 3
    (request,) = daemon.model.requests
    sampling = request.sampling
    assert (sampling.max_tokens, sampling.seed, sampling.stop, sampling.top_k) == (7, 3, ("\n",), 40)


async def test_an_answer_as_it_comes(daemon: HttpDaemon) -> None:
    async with daemon.client() as client:
        stream = await client.chat.completions.create(
            model="", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    assert len({(chunk.id, chunk.created, chunk.object) for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].delta.content for chunk in chunks[1:-2]] == ["Paris", "."]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == [] and chunks[-1].usage and chunks[-1].usage.total_tokens == 9
    raw = await daemon.chat(stream=True)
    assert raw.headers["content-type"].startswith("text/event-stream")
    assert raw.body.rstrip(b"\r\n0").endswith(b"data: [DONE]")


async def test_several_answers(daemon: HttpDaemon) -> None:
    answer = (await daemon.chat(n=3, seed=2**63 - 1)).json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert answer["usage"]["completion_tokens"] == 6
    assert len({request.sampling.seed for request in daemon.model.requests}) == 3


@pytest.mark.parametrize(
    ("switch", "thinks"),
    [
        ({}, False),
        ({"enable_thinking": True}, True),
        ({"chat_template_kwargs": {"enable_thinking": True}}, True),
        ({"thinking": {"type": "enabled"}}, True),
        ({"reasoning_effort": "low"}, True),
        ({"reasoning_effort": "none"}, False),
        ({"enable_thinking": False, "reasoning_effort": "high"}, False),
    ],
)
async def test_every_switch_for_thinking(daemon: HttpDaemon, switch: dict[str, object], thinks: bool) -> None:
    await daemon.chat(**switch)
    assert daemon.model.requests[0].enable_thinking is thinks


@pytest.mark.parametrize("is_returned", [True, False])
async def test_reasoning_has_both_names_or_none(daemon: HttpDaemon, is_returned: bool) -> None:
    daemon.model.script = [ReasoningDelta(text="Hm."), TextDelta(text="Yes"), *END]
    message = (await daemon.chat(return_reasoning=is_returned)).json()["choices"][0]["message"]
    assert message["content"] == "Yes"
    assert (message.get("reasoning"), message.get("reasoning_content")) == (
        ("Hm.", "Hm.") if is_returned else (None, None)
    )


async def test_what_a_message_may_hold(daemon: HttpDaemon) -> None:
    daemon.model.can_hear = daemon.model.can_see = True
    picture, sound = b"\x89PNG", wav(bytes(RATE))
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(picture).decode()}},
        {"type": "input_audio", "input_audio": {"data": base64.b64encode(sound).decode(), "format": "wav"}},
    ]
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": content},
    ]
    assert (await daemon.post("/v1/chat/completions", {"messages": messages, "metadata": {"a": 1}})).status == 200
    seen = daemon.model.requests[0].messages
    assert [message.role for message in seen] == [Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.USER]
    assert seen[-1].parts == (
        Text(text="What is this?"),
        Image(data=picture, media_type="image/png"),
        Audio(data=sound, media_type="audio/wav"),
    )


async def test_a_model_that_cannot_hear_is_told_what_was_said(daemon: HttpDaemon) -> None:
    part = {
        "type": "input_audio",
        "input_audio": {"data": base64.b64encode(wav(bytes(RATE))).decode(), "format": "wav"},
    }
    assert (await daemon.chat(content=[part])).status == 200
    (heard,) = daemon.model.requests[0].messages[-1].parts
    assert isinstance(heard, Audio) and heard.transcript == "0.5 seconds of sound"


async def test_a_model_that_cannot_see_is_told_what_there_is_to_see(daemon: HttpDaemon) -> None:
    url = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    assert (await daemon.chat(content=[{"type": "image_url", "image_url": {"url": url}}])).status == 200
    (seen,) = daemon.model.requests[0].messages[-1].parts
    assert isinstance(seen, Image) and seen.description == "a picture of 4 bytes"


async def test_one_question_is_one_line_in_the_log(daemon: HttpDaemon, caplog: pytest.LogCaptureFixture) -> None:
    for stream in (True, False):
        caplog.clear()
        with caplog.at_level("INFO", logger="edged.server"):
            await daemon.chat(stream=stream)
        assert len(caplog.messages) == 1 and caplog.messages[0].startswith("/v1/chat/completions OK")


async def test_forms(daemon: HttpDaemon) -> None:
    schema = {"type": "object", "properties": {"城": {"type": "string"}}}
    await daemon.chat(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    await daemon.chat(response_format={"type": "json_object"})
    await daemon.chat(response_format={"type": "text"})
    asked = [request.output for request in daemon.model.requests]
    assert asked[0] and asked[0].kind is OutputKind.JSON_SCHEMA and json.loads(asked[0].text) == schema
    assert asked[1:] == [OutputFormat(kind=OutputKind.JSON), None]


async def test_models(daemon: HttpDaemon) -> None:
    async with daemon.client() as client:
        names = [model.id async for model in client.models.list()]
        assert names == ["tiny", "other", "autoglm-phone-9b", "tiny-embedder"]
        assert (await client.models.retrieve("autoglm-phone-9b")).id == "autoglm-phone-9b"
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("gpt-4")
        await client.chat.completions.create(model="autoglm-phone-9b", messages=HELLO)  # type: ignore[arg-type]
    assert daemon.model.requests[0].model == "tiny"


async def test_errors_are_those_that_clients_know(daemon: HttpDaemon) -> None:
    async with daemon.client() as client:
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="gpt-4", messages=HELLO)  # type: ignore[arg-type]
        with pytest.raises(openai.BadRequestError) as bad:
            await client.chat.completions.create(model="", messages=HELLO, temperature=99)  # type: ignore[arg-type]
        assert bad.value.param == "temperature" and "99" not in bad.value.message
        daemon.model.refusal = QueueFull("too many requests wait; try again", retry_seconds=2.0)
        with pytest.raises(openai.RateLimitError) as full:
            await client.chat.completions.create(model="", messages=HELLO)  # type: ignore[arg-type]
        assert full.value.response.headers["retry-after"] == "2"
        daemon.model.refusal = None
        daemon.model.script = [TextDelta(text="a"), RuntimeError("secret")]
        with pytest.raises(openai.InternalServerError) as broken:
            await client.chat.completions.create(model="", messages=HELLO)  # type: ignore[arg-type]
        assert "secret" not in broken.value.message
    streamed = (await daemon.chat(stream=True)).body
    assert b'"content": "a"' in streamed and b'"server_error"' in streamed and b"secret" not in streamed


async def test_who_leaves_stops_the_computation(daemon: HttpDaemon) -> None:
    daemon.model.script = [*says("a")[:1], WAIT]
    for stream in (True, False):
        async with daemon.client() as client:
            asking = asyncio.create_task(
                client.chat.completions.create(model="", messages=HELLO, stream=stream)  # type: ignore[call-overload]
            )
            await until(lambda: daemon.model.running)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        await until(lambda: not daemon.model.running)


async def test_nothing_is_answered_while_the_daemon_drains(daemon: HttpDaemon) -> None:
    daemon.lifecycle.enter(DaemonState.DRAINING)
    assert (await daemon.chat()).status == 503
    assert (await daemon.raw("GET /health HTTP/1.1\nHost: localhost\nConnection: close\n\n")).status == 503
