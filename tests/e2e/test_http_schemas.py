"""JSON Schemas over HTTP, answered by a real engine: what is finished is valid, what cannot be is refused."""

from __future__ import annotations

import http.client
import json
import select
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import openai
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from edged.events import OutputFormat, OutputKind
from tests.e2e.program import Home, short_folder
from tests.e2e.test_http import free_port
from tests.engine.schemas import Schema, corpus
from tests.engine.test_grammar_bombs import BOMBS, GENEROUS_SECONDS
from tests.engine.test_grammar_schemas import schemas, validate

ROOT = Path(__file__).parents[2]
DEFAULT = "smollm2-135m"
HELLO: Any = [{"role": "user", "content": "Fill in whatever you like."}]
MANY = 1000
WORKERS = 4


@pytest.fixture(scope="module")
def client(engines: Path) -> Iterator[openai.OpenAI]:
    """Of a daemon with a tiny engine, whose answers mean nothing."""
    with short_folder() as folder:
        home, address = Home(folder, engines), f"127.0.0.1:{free_port()}"
        with home.daemon("--http", address), client_of(address) as client:
            yield client


def client_of(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://{address}/v1", api_key="EMPTY", max_retries=9, timeout=GENEROUS_SECONDS)


def is_finished(client: openai.OpenAI, schema: Schema, seed: int, *, tokens: int) -> bool:
    """Whether the answer came to its end; then it satisfies the schema, whole as well as streamed."""
    form: Any = {"type": "json_schema", "json_schema": {"name": "form", "schema": schema, "strict": True}}
    options: Any = {"seed": seed, "max_tokens": tokens, "temperature": 0.7, "response_format": form}
    if seed % 2:
        chunks = list(client.chat.completions.create(model="", messages=HELLO, stream=True, **options))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        reason = chunks[-1].choices[0].finish_reason
    else:
        (choice,) = client.chat.completions.create(model="", messages=HELLO, **options).choices
        text, reason = choice.message.content or "", choice.finish_reason
    if reason == "length":
        return False
    assert reason == "stop"
    validate(schema, json.loads(text))
    return True


def test_every_answer_that_ends_is_valid(client: openai.OpenAI) -> None:
    finished = [is_finished(client, schema, seed, tokens=100) for seed, schema in enumerate(corpus()[::8])]
    assert sum(finished) > 0.4 * len(finished), "too few to show anything"


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_a_thousand_by_the_default_engine() -> None:
    if not (ROOT / "build/engines" / DEFAULT).is_dir():
        pytest.skip("the default engine is not built")
    wanted = [*corpus(), *thought_of(MANY - len(corpus()))]
    assert len(wanted) >= MANY
    more = {"EDGED_ENGINE__THREADS": "2", "EDGED_ENGINE__KV_CACHE_MB": "256"}
    with short_folder() as folder:
        home, address = Home(folder, ROOT / "build/engines", DEFAULT, more), f"127.0.0.1:{free_port()}"
        with home.daemon("--http", address), client_of(address) as client, ThreadPoolExecutor(WORKERS) as pool:
            several = pool.map(lambda one: is_finished(client, one[1], one[0], tokens=80), enumerate(wanted))
            assert sum(several) > 0.6 * MANY


def thought_of(count: int) -> list[Schema]:
    """Schemas that nobody wrote, the same each time."""
    found: list[Schema] = []

    @settings(
        max_examples=2 * count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(schema=schemas())
    def collect(schema: Schema) -> None:
        found.append(schema)

    collect()
    return found[:count]


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_answered_or_refused_by_their_field(client: openai.OpenAI, name: str) -> None:
    field, value = asked(BOMBS[name])
    body: Any = {field: value}
    try:
        client.chat.completions.create(model="", messages=HELLO, max_tokens=2, extra_body=body)
    except openai.BadRequestError as exc:
        assert exc.param and exc.param.startswith(field)


@pytest.mark.parametrize("name", ["powers of powers", "stars in Lark"])
def test_nobody_waits_for_a_bomb(client: openai.OpenAI, name: str) -> None:
    """Who asks after it has the answer while the bomb has none yet; these take the longest to be refused."""
    field, value = asked(BOMBS[name])
    bomb = http.client.HTTPConnection(client.base_url.host, client.base_url.port, timeout=GENEROUS_SECONDS)
    with closing(bomb):
        body = json.dumps({"messages": HELLO, "max_tokens": 2, field: value})
        bomb.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        answer = client.chat.completions.create(model="", messages=HELLO, max_tokens=2)
        answered, _, _ = select.select([bomb.sock], [], [], 0)
        assert answer.choices and not answered
        assert bomb.getresponse().status == 400


def asked(form: OutputFormat) -> tuple[str, object]:
    """As fields of a request."""
    match form.kind:
        case OutputKind.JSON_SCHEMA:
            return "json_schema", form.text
        case OutputKind.REGEX:
            return "guided_regex", form.text
        case OutputKind.CHOICES:
            return "guided_choice", list(form.choices)
    return "guided_grammar", form.text


def schema_of(schema: Schema) -> dict[str, object]:
    return {"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (schema_of({"type": "nothing"}), "response_format"),
        (schema_of({"$ref": "https://example.org"}), "response_format"),
        (schema_of({"uniqueItems": True}), "response_format"),
        (schema_of({"type": "string", "minLength": 5, "maxLength": 2}), "response_format"),
        ({"response_format": {"type": "json_object"}, "guided_regex": "a"}, "guided_regex"),
        ({"guided_json": {"type": "string"}, "guided_choice": ["a"]}, "guided_choice"),
        ({"guided_regex": "("}, "guided_regex"),
        ({"guided_grammar": "start: ("}, "guided_grammar"),
        ({"guided_choice": []}, "guided_choice"),
        ({"structured_outputs": {"regex": "a", "choice": ["a"]}}, "structured_outputs"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(client: openai.OpenAI, body: Any, field: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="", messages=HELLO, max_tokens=2, extra_body=body)
    assert (refused.value.param or "").startswith(field)
