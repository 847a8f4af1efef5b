"""The HTTP API and what clients other than OpenAI's own send, leave out, and expect."""

from __future__ import annotations

import json

import pytest

from edged.errors import ContextOverflow, InvalidInput, QueueFull
from edged.events import ContextTrimmed, OutputKind, TextDelta
from tests.server.api.http_daemon import HttpDaemon
from tests.server.scripted import END, Step, says

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.mark.parametrize(
    "name", ["model", "stream", "n", "return_reasoning", "stop", "tools", "response_format", "stream_options", "seed"]
)
async def test_null_is_the_same_as_nothing(daemon: HttpDaemon, name: str) -> None:
    assert (await daemon.chat(**{name: None})).json()["choices"][0]["message"]["content"] == "Paris."


@pytest.mark.parametrize(
    ("step", "status", "code"),
    [
        (QueueFull("too many requests wait; try again", retry_seconds=2.0), 429, "queue_full"),
        (ContextOverflow("the message is too long; shorten it"), 400, "context_length_exceeded"),
        (ContextTrimmed(dropped_messages=2), 400, "context_length_exceeded"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_what_cannot_be_answered_has_its_status_even_as_a_stream(
    daemon: HttpDaemon, step: Step, status: int, code: str, stream: bool
) -> None:
    daemon.model.script = [step, *says("a")]
    answer = await daemon.chat(stream=stream)
    assert (answer.status, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("path", "param"), [("/v1/chat/completions", "messages"), ("/v1/completions", "prompt")])
async def test_what_does_not_fit_is_named(daemon: HttpDaemon, path: str, param: str, stream: bool) -> None:
    asked = {"messages": [{"role": "user", "content": "Hello"}], "prompt": "Hello", "stream": stream}
    for refusal, script in [(ContextOverflow("too long"), []), (None, [ContextOverflow("too long")])]:
        daemon.model.refusal, daemon.model.script = refusal, script
        error = (await daemon.post(path, asked)).json()["error"]
        assert (error["code"], error["param"]) == ("context_length_exceeded", param)


async def test_clients_that_cut_a_stream_at_any_line_break_of_unicode_can_read_it(daemon: HttpDaemon) -> None:
    said = "one\u2028two\x85three\n城"
    daemon.model.script = [TextDelta(text=said), *END]
    body = (await daemon.chat(stream=True)).body.decode()
    lines = [line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    heard = [json.loads(line)["choices"][0]["delta"].get("content", "") for line in lines]
    assert "".join(heard) == said


async def test_a_json_object_may_bring_its_schema(daemon: HttpDaemon) -> None:
    await daemon.chat(response_format={"type": "json_object", "schema": SCHEMA})
    output = daemon.model.requests[0].output
    assert output and output.kind is OutputKind.JSON_SCHEMA and json.loads(output.text) == SCHEMA


async def test_each_of_several_answers_has_the_form(daemon: HttpDaemon) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    await daemon.chat(n=3, response_format=form)
    outputs = [request.output for request in daemon.model.requests]
    assert len(outputs) == 3
    assert all(output and output.kind is OutputKind.JSON_SCHEMA for output in outputs)


async def test_a_budget_for_thinking(daemon: HttpDaemon) -> None:
    await daemon.chat(thinking={"type": "enabled", "budget_tokens": 64})
    assert daemon.model.requests[0].max_reasoning_tokens == 64


@pytest.mark.parametrize(
    "options",
    [
        {"functions": [{"name": "f"}]},
        {"top_logprobs": 3},
        {"modalities": ["text", "audio"]},
        {"grammar": 'root ::= "a"'},
    ],
)
async def test_what_would_change_the_answer_is_not_ignored(daemon: HttpDaemon, options: dict[str, object]) -> None:
    answer = await daemon.chat(**options)
    assert answer.status == 400 and [answer.json()["error"]["param"]] == list(options)


@pytest.mark.parametrize("options", [{"speed": 5}, {"stream_format": "video"}, {"response_format": "midi"}])
async def test_nor_what_would_change_the_sound(daemon: HttpDaemon, options: dict[str, object]) -> None:
    answer = await daemon.post("/v1/audio/speech", {"input": "one", "voice": "alloy", **options})
    assert answer.status == 400 and [answer.json()["error"]["param"]] == list(options)


@pytest.mark.parametrize(
    ("field", "param"), [("sampling.stop", "stop"), ("output.json_schema", "response_format"), ("", None)]
)
async def test_fields_have_the_names_of_this_api(daemon: HttpDaemon, field: str, param: str | None) -> None:
    daemon.model.refusal = InvalidInput("this cannot be", field=field)
    assert (await daemon.chat()).json()["error"]["param"] == param


@pytest.mark.parametrize("options", [{"stop": 5}, {"stop": [5]}, {"logit_bias": {"secret": "x"}}])
async def test_fields_are_named_without_what_was_sent(daemon: HttpDaemon, options: dict[str, object]) -> None:
    error = (await daemon.chat(**options)).json()["error"]
    assert [error["param"]] == list(options) and "secret" not in error["message"]


async def test_what_is_no_json_is_at_no_field(daemon: HttpDaemon) -> None:
    error = (await daemon.post("/v1/chat/completions", b'{"messages": [')).json()["error"]
    assert error["param"] is None and error["message"] == "the body is no JSON"


async def test_a_method_that_is_not_there_names_the_one_that_is(daemon: HttpDaemon) -> None:
    answer = await daemon.post("/v1/models", {})
    assert answer.status == 405 and answer.headers["allow"] == "GET"
