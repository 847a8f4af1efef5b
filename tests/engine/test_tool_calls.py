"""Calls of tools in answers: told from words, held to the tools' schemas, and never taken for what they are not."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from edged.config import EngineConfig
from edged.engine.answer import Answer
from edged.engine.device import LoadedEngine
from edged.engine.engine import load_engine
from edged.engine.generate import generate
from edged.engine.prompt import Prompt
from edged.engine.tool_calls import ToolCalls
from edged.engine.tool_form import LLAMA, MISTRAL, ToolForm
from edged.engine.tool_grammar import MAX_TOOLS_CHARACTERS, CallForm, check_tools
from edged.errors import InvalidInput
from edged.events import (
    MAX_TOOLS,
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    Message,
    OutputFormat,
    OutputKind,
    ReasoningDelta,
    Role,
    Sampling,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolChoice,
    ToolResult,
    ToolUse,
)
from tests.engine.schemas import Schema, corpus
from tests.engine.scripted import ScriptedEngine, request, scripted_engine, user
from tests.tiny_artefact import tiny_artefact

CITY = {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"]}
CITY = {**CITY, "additionalProperties": False}
GO = Tool(name="go", description="Travels.", parameters=json.dumps(CITY))
STAY = Tool(name="stay", description="Does not.")
ROME = '<tool_call>\n{"name": "go", "arguments": {"city": "Rome"}}\n</tool_call>'


def asked(engine: ScriptedEngine | LoadedEngine, use: ToolUse, **options: object) -> list[GenerationEvent]:
    sampling = {name: options.pop(name) for name in ("stop", "max_tokens", "logprobs") if name in options}
    wanted = replace(request(user("Where?"), **{"max_tokens": 200, **sampling}), tool_use=use, **options)
    return events_of(engine, wanted)


def events_of(engine: ScriptedEngine | LoadedEngine, wanted: GenerationRequest) -> list[GenerationEvent]:
    steps = generate(engine, wanted, arrived=time.perf_counter(), cancelled=lambda: False)
    return [event for step in steps for event in step]


def calls_in(events: Sequence[GenerationEvent]) -> list[tuple[str, str]]:
    calls = [(event.index, event.name) for event in events if isinstance(event, ToolCallStarted)]
    assert [index for index, _ in calls] == list(range(len(calls)))
    return [
        (name, "".join(event.text for event in events if isinstance(event, ToolCallDelta) and event.index == index))
        for index, name in calls
    ]


def text_in(events: Sequence[GenerationEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def reason_of(events: Sequence[GenerationEvent]) -> FinishReason:
    assert isinstance(events[-1], Finished)
    return events[-1].finish_reason


BOTH = ToolUse(tools=(GO, STAY))


def test_words_and_then_a_call(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, capacity=2048, says="Let me see. " + ROME)
    events = asked(engine, BOTH)
    assert (text_in(events), calls_in(events)) == ("Let me see. ", [("go", '{"city": "Rome"}')])
    assert reason_of(events) is FinishReason.TOOL_CALLS
    ids = [event.id for event in events if isinstance(event, ToolCallStarted)]
    assert all(len(one) == 9 and one.isalnum() for one in ids)


def test_words_alone_are_words(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, capacity=2048, says="I know: 2 < 3, <tool box>.")
    events = asked(engine, BOTH)
    assert (text_in(events), calls_in(events)) == ("I know: 2 < 3, <tool box>.", [])
    assert reason_of(events) is FinishReason.STOP


def test_from_the_mark_on_nothing_but_a_call_can_be_written(tmp_path: Path) -> None:
    engine, _ = scripted_engine(
        tmp_path, capacity=2048, says="<tool_call>\nI would rather not, </tool_call> thanks." * 9
    )
    events = asked(engine, BOTH)
    (name, arguments), *_ = calls_in(events)
    jsonschema.validate(json.loads(arguments), CITY if name == "go" else {"maxProperties": 0})


@pytest.mark.parametrize(("more", "names"), [({}, {"city"}), ({"additionalProperties": True}, {"city", "kind"})])
def test_a_tool_gets_the_arguments_that_it_names(tmp_path: Path, more: Schema, names: set[str]) -> None:
    """And others only where it says that it takes them."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], **more}
    says = ROME.replace('"Rome"', '"Rome", "kind": "string"') + "}\n</tool_call>" * 9
    engine, _ = scripted_engine(tmp_path, capacity=2048, says=says)
    ((_, arguments),) = calls_in(
        asked(engine, ToolUse(tools=(replace(GO, parameters=json.dumps(schema)),), parallel=False))
    )
    assert json.loads(arguments).keys() == names


def test_several_calls_or_one(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, capacity=2048, says=ROME + "\n" + ROME.replace("Rome", "Oslo"))
    assert calls_in(asked(engine, BOTH)) == [("go", '{"city": "Rome"}'), ("go", '{"city": "Oslo"}')]
    assert len(calls_in(asked(engine, replace(BOTH, parallel=False)))) == 1


@pytest.mark.parametrize("choice", [ToolChoice.REQUIRED, ToolChoice.NAMED])
def test_a_call_that_has_to_come_comes(tmp_path: Path, choice: ToolChoice) -> None:
    engine, _ = scripted_engine(tmp_path, capacity=2048, says="No, I only talk and talk and talk. " * 9)
    events = asked(engine, replace(BOTH, choice=choice, name="go" if choice is ToolChoice.NAMED else ""))
    assert text_in(events) == "" and reason_of(events) is FinishReason.TOOL_CALLS
    assert calls_in(events)[0][0] in (["go"] if choice is ToolChoice.NAMED else ["go", "stay"])


def test_it_thinks_first_and_then_calls(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, capacity=2048, says="<think>\nRome?</think>\n\nHm")
    events = asked(engine, replace(BOTH, choice=ToolChoice.NAMED, name="go"), enable_thinking=True)
    assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == "Rome?"
    assert [name for name, _ in calls_in(events)] == ["go"]


def test_marks_of_thinking_and_stop_strings_mean_nothing_in_arguments(tmp_path: Path) -> None:
    say = Tool(name="say", parameters='{"type": "object", "properties": {"it": {"type": "string"}}}')
    words = "<think> END </think>"
    called = f'So <tool_call>\n{{"name": "say", "arguments": {{"it": "{words}"}}}}\n</tool_call>'
    engine, _ = scripted_engine(tmp_path, capacity=2048, says=called.replace("<think>", "<think>"))
    events = asked(engine, ToolUse(tools=(say,)), stop=("END", "So it"))
    ((_, arguments),) = calls_in(events)
    assert set(json.loads(arguments)) <= {"it"}
    assert text_in(events) == "So " and reason_of(events) is FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    ("form", "says", "calls"),
    [
        (LLAMA, '{"name": "go", "parameters": {"city": "Rome"}}', 1),
        (MISTRAL, '[TOOL_CALLS] [{"name": "go", "arguments": {"city": "Rome"}}, {"name": "stay", "arguments": {}}]', 2),
    ],
    ids=["llama", "mistral"],
)
@pytest.mark.parametrize("choice", [ToolChoice.AUTO, ToolChoice.REQUIRED])
def test_other_families(tmp_path: Path, form: ToolForm, says: str, calls: int, choice: ToolChoice) -> None:
    engine, _ = scripted_engine(tmp_path, capacity=2048, says=says)
    events = asked(replace(engine, tool_form=form), replace(BOTH, choice=choice))
    called = [("go", '{"city": "Rome"}'), ("stay", "{}")]
    assert (text_in(events), calls_in(events)) == ("", called[:calls])
    assert reason_of(events) is FinishReason.TOOL_CALLS


def test_a_call_that_is_cut_off_is_none(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, capacity=2048, says=ROME)
    assert reason_of(asked(engine, BOTH, max_tokens=45)) is FinishReason.LENGTH


def test_no_probabilities_are_told_of_calls(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, capacity=2048, says=ROME)
    events = asked(engine, BOTH, logprobs=1)
    assert not any(event.logprobs for event in events if isinstance(event, TextDelta))


def test_tools_that_are_not_to_be_called_are_not_told(tmp_path: Path) -> None:
    engine, session = scripted_engine(tmp_path, capacity=2048, says=ROME)
    asked(engine, replace(BOTH, choice=ToolChoice.NONE))
    without = session.calls[0]
    session.calls.clear()
    events = events_of(engine, replace(request(user("Where?"), max_tokens=200)))
    assert text_in(events) == ROME and session.calls[0][2] <= without[2]


WIDE = json.dumps({"type": "object", "properties": {f"p{number}": {} for number in range(500)}})
PATTERNED = json.dumps({"type": "object", "properties": {"a": {"type": "string", "pattern": "^" + "ab?" * 100}}})
FORM = OutputFormat(kind=OutputKind.JSON)
DEEP: Schema = {"type": "object", "properties": {}}
for _ in range(90):
    DEEP = {"type": "object", "properties": {}, "default": DEEP}


@pytest.mark.parametrize(
    ("use", "field"),
    [
        (ToolUse(tools=(GO, GO)), "tools[1].name"),
        (ToolUse(tools=(replace(GO, name="a b"),)), "tools[0].name"),
        (ToolUse(tools=(replace(GO, name="x" * 65),)), "tools[0].name"),
        (ToolUse(tools=(GO, replace(STAY, parameters="{"))), "tools[1].parameters"),
        (ToolUse(tools=(replace(GO, parameters='{"type": "array"}'),)), "tools[0].parameters"),
        (ToolUse(tools=(replace(GO, parameters="[" * 100_000),)), "tools[0].parameters"),
        (ToolUse(tools=(replace(GO, parameters=json.dumps(DEEP)),)), "tools[0].parameters"),
        (ToolUse(tools=(replace(GO, description="x" * 20_000),)), "tools[0].description"),
        (ToolUse(tools=tuple(replace(GO, name=f"t{i}") for i in range(MAX_TOOLS + 1))), "tools"),
        (ToolUse(tools=(replace(GO, parameters='{"title": "' + "x" * MAX_TOOLS_CHARACTERS + '"}'),)), "tools"),
        (ToolUse(tools=(GO, replace(STAY, parameters='{"properties": {"a": {"not": {}}}}'))), "tools[1].parameters"),
        (ToolUse(tools=tuple(replace(GO, name=f"t{i}", parameters=WIDE) for i in range(5))), "tools"),
        (ToolUse(tools=tuple(replace(GO, name=f"t{i}", parameters=PATTERNED) for i in range(50))), "tools"),
        (ToolUse(tools=(GO,), choice=ToolChoice.NAMED, name="fly"), "tool_choice"),
        (ToolUse(tools=(), choice=ToolChoice.REQUIRED), "tool_choice"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, use: ToolUse, field: str) -> None:
    engine, _ = scripted_engine(tmp_path, capacity=2048)
    with pytest.raises(InvalidInput) as raised:
        check_tools(use)
        engine.grammars.prepare(CallForm(use=use, form=engine.tool_form, lead=engine.tool_form.lead))
    assert raised.value.field == field
    assert len(str(raised.value).splitlines()) == 1


def test_a_form_and_tools_exclude_each_other(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, capacity=2048)
    with pytest.raises(InvalidInput) as raised:
        asked(engine, BOTH, output=FORM)
    assert raised.value.field == "output"
    assert text_in(asked(engine, replace(BOTH, choice=ToolChoice.NONE), output=FORM)).startswith("{")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LoadedEngine:
    return load_engine(tiny_artefact(tmp_path_factory.mktemp("engines")), EngineConfig(threads=1))


@pytest.mark.parametrize("arguments", ['{"city": "\\ud800"}', '{"\\ud800": 1}', "[" * 90 + "]" * 90])
def test_calls_of_earlier_turns_may_hold_anything(tiny: LoadedEngine, arguments: str) -> None:
    """Half a character in JSON, or a deep nest: no tokenizer takes the one, no template the other."""
    call = ToolCall(id="a", name="go", arguments=arguments)
    said = Message(role=Role.ASSISTANT, parts=(call, ToolResult(call_id="a", content="There.")))
    half = replace(GO, parameters=json.dumps({**CITY, "description": "\ud800"}))
    wanted = replace(request(user("Where?"), max_tokens=2), tool_use=ToolUse(tools=(half,)))
    wanted = replace(wanted, messages=(*wanted.messages, said, *wanted.messages))
    assert isinstance(events_of(tiny, wanted)[-1], Finished)


def random_schemas(count: int) -> list[Schema]:
    """Of arguments: one to three properties, each as the corpus has them."""
    dice, values = random.Random(5), [schema for schema in corpus() if "$ref" not in schema]
    return [
        {
            "type": "object",
            "properties": {f"p{place}": dice.choice(values) for place in range(dice.randint(1, 3))},
            "required": ["p0"],
            "additionalProperties": False,
        }
        for _ in range(count)
    ]


def test_arguments_of_a_thousand_tools_validate(tiny: LoadedEngine) -> None:
    """Declared by eights; one of the eight is called, by random scores that lean towards an end."""
    schemas, dice = random_schemas(1000), np.random.default_rng(3)
    bias = np.zeros(tiny.manifest.vocab_size, np.float32)
    bias[[tiny.tokenizer.encode(text)[0] for text in '"}]']] = 4.0
    judge = jsonschema.Draft202012Validator
    finished = 0
    for first in range(0, len(schemas), 8):
        numbers = range(first, first + 8)
        use = ToolUse(
            tools=tuple(Tool(name=f"tool_{number}", parameters=json.dumps(schemas[number])) for number in numbers),
            choice=ToolChoice.REQUIRED,
            parallel=False,
        )
        answer = Answer(
            Prompt(tokens=[1], is_thinking=False),
            Sampling(temperature=1.0, top_p=1.0, seed=first),
            tokenizer=tiny.tokenizer,
            marks=tiny.manifest.tokens,
            max_tokens=400,
            tools=ToolCalls(use, tiny.tool_form, tiny.grammars.begin),
        )
        events: list[GenerationEvent] = []
        while answer.finish_reason is None:
            events += answer.extend(dice.normal(size=len(bias)).astype(np.float32) + bias)
        if answer.finish_reason is FinishReason.TOOL_CALLS:
            ((name, arguments),) = calls_in(events)
            schema = schemas[int(name.removeprefix("tool_"))]
            judge(schema, format_checker=judge.FORMAT_CHECKER).validate(json.loads(arguments))
            finished += 1
    assert finished > 0.8 * len(schemas) / 8, "too few to show anything"
