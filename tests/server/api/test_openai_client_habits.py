"""The HTTP API and what clients other than OpenAI's own send, leave out, and expect."""

from __future__ import annotations

import json

import pytest
from openai import APIError
from openai.types.chat import ChatCompletionUserMessageParam

from edged.errors import ContextOverflow, EdgedError, InvalidInput, QueueFull, Unauthenticated, Unavailable
from edged.events import ContextTrimmed, OutputKind, TextDelta
from tests.server.api.http_daemon import HttpDaemon
from tests.server.scripted import BUILT_AT_SECONDS, END, Step, says

HELLO: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "Hello"}]
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
    error = answer.json()["error"]
    assert error["code"] == "method_not_supported" and "GET" in error["message"]


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/chat"])
async def test_a_path_that_is_not_there_says_where_they_are_listed(daemon: HttpDaemon, path: str) -> None:
    answer = await daemon.raw(f"GET {path} HTTP/1.1\nHost: localhost\nConnection: close\n\n")
    error = answer.json()["error"]
    assert (answer.status, error["code"]) == (404, "unknown_url") and "/openapi.json" in error["message"]


@pytest.mark.parametrize("kind", ["", "Content-Type: text/plain\n"])
async def test_a_body_that_is_not_called_json_is_told_what_to_call_it(daemon: HttpDaemon, kind: str) -> None:
    body = b'{"input": "x"}'
    head = f"POST /v1/embeddings HTTP/1.1\nHost: localhost\nConnection: close\n{kind}Content-Length: {len(body)}\n\n"
    answer = await daemon.raw(head, body)
    assert answer.status == 400 and "Content-Type: application/json" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "options", "told"),
    [
        ("/v1/embeddings", {"input": ["x"] * 3000}, "input: List should have at most 2048 items"),
        ("/v1/embeddings", {"input": []}, "input: List should have at least 1 item"),
        ("/v1/embeddings", {"input": [1, 2]}, "input: Input should be a valid string"),
        ("/v1/embeddings", {"input": 5}, "input: Input should be a valid string"),
        ("/v1/completions", {"prompt": ["x"] * 17}, "prompt: List should have at most 16 items"),
    ],
)
async def test_texts_that_are_too_many_are_counted(
    daemon: HttpDaemon, path: str, options: dict[str, object], told: str
) -> None:
    error = (await daemon.post(path, options)).json()["error"]
    assert error["message"].startswith(told) and [error["param"]] == list(options)


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("output.json_schema", "response_format cannot be"),
        ("tools[0].parameters", "tools.0.function.parameters cannot be"),
        ("parts[0]", "messages cannot be"),
    ],
)
async def test_messages_name_the_fields_of_this_api(daemon: HttpDaemon, field: str, told: str) -> None:
    daemon.model.refusal = InvalidInput(f"{field} cannot be", field=field)
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    error = (await daemon.chat(response_format=form)).json()["error"]
    assert error["message"] == told and error["param"] == told.split()[0]


@pytest.mark.parametrize("prefix", ["", "sentence-transformers/"])
async def test_the_embedding_model_has_its_customary_names(daemon: HttpDaemon, prefix: str) -> None:
    name = f"{prefix}{daemon.parts.embedder.name.title()}"
    answer = await daemon.post("/v1/embeddings", {"input": "x", "model": name})
    assert answer.status == 200 and answer.json()["model"] == daemon.parts.embedder.name
    async with daemon.client() as client:
        assert (await client.models.retrieve(name)).id == name


async def test_models_say_since_when_there_are_these(daemon: HttpDaemon) -> None:
    async with daemon.client() as client:
        created = {model.id: model.created async for model in client.models.list()}
        assert created["tiny"] == created["autoglm-phone-9b"] == BUILT_AT_SECONDS
        assert (await client.models.retrieve("tiny")).created == BUILT_AT_SECONDS
        assert (await client.models.retrieve("autoglm-phone-9b")).created == BUILT_AT_SECONDS


@pytest.mark.parametrize("error", [Unavailable("the GPU is gone"), Unauthenticated("this device is not paired")])
async def test_a_stream_that_broke_off_does_not_say_that_it_is_done(daemon: HttpDaemon, error: EdgedError) -> None:
    daemon.model.script = [TextDelta(text="Par"), error]
    body = (await daemon.chat(stream=True)).body
    assert error.message.encode() in body and b"[DONE]" not in body and body.endswith(b"0\r\n\r\n")
    heard = ""
    async with daemon.client() as client:
        stream = await client.chat.completions.create(model="tiny", messages=HELLO, stream=True)
        with pytest.raises(APIError, match=error.message):
            async for chunk in stream:
                heard += chunk.choices[0].delta.content or ""
    assert heard == "Par"
