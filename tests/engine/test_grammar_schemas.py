"""JSON Schemas answered by a model that knows nothing: its scores are random, and yet what it says is valid."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.config import EngineConfig
from edged.engine.device import LoadedEngine
from edged.engine.engine import load_engine
from edged.engine.grammar import GrammarCompiler
from edged.engine.tokenizer import Tokenizer
from edged.errors import InvalidInput
from edged.events import FinishReason, OutputFormat, OutputKind, Sampling
from tests.engine.constrained import answer
from tests.engine.schemas import NAMED, NUMBERS, STRINGS, Schema, corpus
from tests.tiny_artefact import tiny_artefact

DEFAULT = Path(__file__).parents[2] / "build/engines/smollm2-135m"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LoadedEngine:
    return load_engine(tiny_artefact(tmp_path_factory.mktemp("engines")), EngineConfig(threads=1))


def wild(engine: LoadedEngine, seed: int, *, closing: float = 5.0) -> Sampling:
    """Nearly every token is as likely as another, but for those that end strings, objects and arrays."""
    bias = {engine.tokenizer.encode(text)[0]: closing for text in '"}]'}
    return Sampling(temperature=2.0, top_p=1.0, seed=seed, max_tokens=300, logit_bias=bias)


def is_finished(engine: LoadedEngine, schema: Schema, sampling: Sampling) -> bool:
    """Whether the answer came to its end; then it satisfies the schema."""
    text, reason = answer(engine, OutputFormat(kind=OutputKind.JSON_SCHEMA, text=json.dumps(schema)), sampling)
    if reason is FinishReason.LENGTH:
        return False
    assert reason is FinishReason.STOP
    validate(schema, json.loads(text))
    return True


def validate(schema: Schema, value: object) -> None:
    judge = jsonschema.Draft202012Validator
    judge(schema, format_checker=judge.FORMAT_CHECKER).validate(value)


def test_every_answer_that_ends_is_valid(tiny: LoadedEngine) -> None:
    schemas = corpus()
    assert len(schemas) >= 200
    finished = [is_finished(tiny, schema, wild(tiny, seed)) for seed, schema in enumerate(schemas)]
    assert sum(finished) > 0.8 * len(schemas), "too few to show anything"


@pytest.mark.slow
def test_the_default_engine_answers_as_it_is_asked() -> None:
    if not DEFAULT.is_dir():
        pytest.skip("the default engine is not built")
    engine = load_engine(DEFAULT, EngineConfig(threads=2))
    schemas = corpus()[::4]
    assert len(schemas) >= 50
    finished = [is_finished(engine, schema, Sampling(temperature=0.7, seed=1, max_tokens=120)) for schema in schemas]
    assert sum(finished) > 0.6 * len(schemas)


NAMES = st.sampled_from(["a", "b", "ab", "", 'q"', "line\nbreak", "back\\slash", "日本", "<|im_end|>"])


def arrays(items: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    least = st.integers(0, 2)
    return st.builds(
        lambda item, low, more: {"type": "array", "items": item, "minItems": low, "maxItems": low + more},
        items,
        least,
        st.integers(0, 3),
    )


@st.composite
def objects(draw: st.DrawFn, values: st.SearchStrategy[Schema]) -> Schema:
    properties = draw(st.dictionaries(NAMES, values, max_size=4))
    required = draw(st.lists(st.sampled_from(sorted(properties)), unique=True)) if properties else []
    others = draw(st.sampled_from([True, False]) | values)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": others}


def schemas() -> st.SearchStrategy[Schema]:
    leaves = st.sampled_from([*NUMBERS, *STRINGS, *NAMED])
    return st.recursive(
        leaves,
        lambda inner: arrays(inner) | objects(inner) | st.builds(_any_of, st.lists(inner, min_size=1, max_size=3)),
        max_leaves=6,
    )


def _any_of(choices: Sequence[Schema]) -> dict[str, Any]:
    return {"anyOf": list(choices)}


@settings(max_examples=150, deadline=None)
@given(schema=schemas(), seed=st.integers(0, 2**32))
def test_schemas_nobody_thought_of(tiny: LoadedEngine, schema: Schema, seed: int) -> None:
    is_finished(tiny, schema, wild(tiny, seed))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), commas=st.floats(0, 9))
def test_a_name_that_comes_twice_counts_once(tiny: LoadedEngine, seed: int, commas: float) -> None:
    """Random names are often equal, and often empty."""
    schema: Schema = {"type": "object", "required": ["a", "b"], "minProperties": 3, "additionalProperties": True}
    sampling = wild(tiny, seed, closing=9.0)
    sampling.logit_bias[tiny.tokenizer.encode(",")[0]] = commas
    is_finished(tiny, schema, sampling)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "minProperties": 2},
        {"type": "object", "required": ["a"], "minProperties": 3},
        {"type": "object", "patternProperties": {"^[ab]+$": {}}, "additionalProperties": False, "minProperties": 2},
        {"type": "array", "items": {"anyOf": [{"type": "object", "minProperties": 7}]}},
    ],
)
def test_counting_names_that_may_come_twice_is_refused(tiny: LoadedEngine, schema: Schema) -> None:
    with pytest.raises(InvalidInput, match="minProperties") as caught:
        tiny.grammars.prepare(OutputFormat(kind=OutputKind.JSON_SCHEMA, text=json.dumps(schema)))
    assert caught.value.field == "output.json_schema"


@pytest.mark.parametrize(
    ("options", "schema"),
    [
        ({"lenient": True}, {"type": "array", "uniqueItems": True}),
        ({"coerce_one_of": True}, {"oneOf": [{"type": "integer"}, {"type": "number"}]}),
    ],
)
def test_a_schema_cannot_ask_for_answers_that_break_it(
    tiny: LoadedEngine, options: dict[str, object], schema: Schema
) -> None:
    with pytest.raises(InvalidInput):
        is_finished(tiny, {"x-guidance": options} | schema, wild(tiny, 0))


def test_a_schema_cannot_ask_for_what_is_not_json(tiny: LoadedEngine) -> None:
    options = {"whitespace_pattern": "x+", "item_separator": ";", "key_separator": "=", "whitespace_flexible": False}
    schema = {"x-guidance": options, "type": "array", "items": {"type": "integer"}, "minItems": 2}
    for seed in range(10):
        is_finished(tiny, schema, wild(tiny, seed))


def test_blanks_do_not_go_on_for_ever(tiny: LoadedEngine) -> None:
    """Small models fall into writing them."""
    blank = {tiny.tokenizer.encode(" ")[0]: 100.0, tiny.tokenizer.encode("\n")[0]: 100.0}
    schema = OutputFormat(kind=OutputKind.JSON_SCHEMA, text='{"type": "array", "items": {"const": 1}, "maxItems": 2}')
    sampling = Sampling(temperature=0.0, max_tokens=200, logit_bias=blank)
    text, reason = answer(tiny, schema, sampling)
    assert reason is FinishReason.STOP
    assert len(json.loads(text)) <= 2
    assert "\n" in text or " " in text


LAYOUTS = (
    '{"a":1,"b":[1,2]}',
    '{"a": 1, "b": [1, 2]}',
    '{ "a" : 1 }',
    '{\n  "a": 1,\n    "b": [\n        1,\n        2\n  ]\n}',
    "{}",
)


@pytest.mark.parametrize("text", LAYOUTS)
def test_json_may_be_laid_out_as_people_do(tiny: LoadedEngine, text: str) -> None:
    assert spells(tiny.grammars, tiny.tokenizer, text)


@pytest.mark.parametrize("text", LAYOUTS)
def test_the_default_tokenizer_writes_json_its_own_way(text: str) -> None:
    """Tokens that end one thing and begin the next, such as `"},`, stay allowed: without them a model does worse."""
    if not DEFAULT.is_dir():
        pytest.skip("the default engine is not built")
    tokenizer = Tokenizer(DEFAULT / "tokenizer.json")
    assert spells(GrammarCompiler(tokenizer, vocab_size=49152, ends=(0, 2)), tokenizer, text)


def spells(grammars: GrammarCompiler, tokenizer: Tokenizer, text: str) -> bool:
    """Whether each token of the text is allowed and nothing can follow."""
    constraint = grammars.begin(OutputFormat(kind=OutputKind.JSON))
    for token in tokenizer.encode(text):
        if not constraint.allowed()[token]:
            return False
        constraint.push(token)
    return constraint.is_complete
