"""Calls of tools told from words, however the text is cut into pieces."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.engine.stream import coalesce
from edged.engine.tool_form import HERMES, LLAMA, MISTRAL, ToolForm
from edged.engine.tool_parser import MAX_CALLS, ToolCallParser
from edged.events import TextDelta, ToolCallDelta, ToolCallStarted

NAMES = ("go", "stay_here")
PARIS = '{"city": "Paris"}'
AWKWARD = json.dumps({"text": 'a } ] " \\ </tool_call> <tool_call> {"name": "go"', "list": [[], {"é": "日本"}]})


def parser(form: ToolForm, *, parallel: bool = True) -> ToolCallParser:
    numbers = itertools.count()
    return ToolCallParser(form, NAMES, lambda: f"call{next(numbers)}", parallel=parallel)


def events(form: ToolForm, *pieces: str, parallel: bool = True) -> list[object]:
    """What becomes of the pieces, short: words as they are, ("name", "arguments") for a call."""
    told = parser(form, parallel=parallel)
    shown = [delta for piece in pieces for delta in told.push(piece)] + told.flush()
    short: list[object] = []
    for delta in coalesce(shown):
        match delta:
            case TextDelta(text=text):
                short.append(text)
            case ToolCallStarted(index=index, id=call_id, name=name):
                assert call_id == f"call{index}"
                short.append((name, ""))
            case ToolCallDelta(index=index, text=text):
                name, _ = short[-1]  # type: ignore[misc]
                short[-1] = (name, text)
    return short


def hermes(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


CASES: dict[str, tuple[ToolForm, str, list[object]]] = {
    "words": (HERMES, "Just words < and <tool_cal.", ["Just words < and <tool_cal."]),
    "a call": (HERMES, hermes("go", PARIS), [("go", PARIS)]),
    "blanks before": (HERMES, "\n\n" + hermes("go", PARIS) + "\n", [("go", PARIS)]),
    "words before": (HERMES, "I look. " + hermes("go", AWKWARD), ["I look. ", ("go", AWKWARD)]),
    "two": (HERMES, hermes("go", PARIS) + "\n" + hermes("stay_here", "{}"), [("go", PARIS), ("stay_here", "{}")]),
    "words after are not said": (HERMES, hermes("go", PARIS) + " So.", [("go", PARIS)]),
    "no blanks": (HERMES, '<tool_call>{"name":"go","arguments":{}}</tool_call>', [("go", "{}")]),
    "unknown": (HERMES, hermes("fly", PARIS), [hermes("fly", PARIS)]),
    "arguments first": (
        HERMES,
        '<tool_call>{"arguments": {}, "name": "go"}',
        ['<tool_call>{"arguments": {}, "name": "go"}'],
    ),
    "no object": (HERMES, '<tool_call>{"name": "go", "arguments": []}', ['<tool_call>{"name": "go", "arguments": []}']),
    "another mark within": (HERMES, "<tool_call>" + hermes("go", "{}"), ["<tool_call>", ("go", "{}")]),
    "cut off at the mark": (HERMES, "So <tool_call>", ["So <tool_call>"]),
    "cut off in the arguments": (HERMES, hermes("go", PARIS)[:50], [("go", PARIS[:10])]),
    "endless head": (HERMES, "<tool_call>" + "x" * 400, ["<tool_call>" + "x" * 400]),
    "llama": (LLAMA, '{"name": "go", "parameters": {"city": "Paris"}}', [("go", PARIS)]),
    "llama, other json": (LLAMA, '{"name": "Ann", "age": 3}', ['{"name": "Ann", "age": 3}']),
    "llama, words": (LLAMA, ' So {"name": "go"', ['So {"name": "go"']),
    "llama, cut off": (LLAMA, '{"na', ['{"na']),
    "mistral": (
        MISTRAL,
        f'[TOOL_CALLS] [{{"name": "go", "arguments": {PARIS}}}, {{"name": "stay_here", "arguments": {{}}}}]',
        [("go", PARIS), ("stay_here", "{}")],
    ),
}


@pytest.mark.parametrize(("form", "text", "expected"), CASES.values(), ids=CASES)
def test_what_is_told(form: ToolForm, text: str, expected: list[object]) -> None:
    assert events(form, text) == expected
    assert events(form, *text) == expected


@given(case=st.sampled_from(sorted(CASES)), cuts=st.lists(st.integers(0, 200), max_size=12))
def test_any_cut_into_pieces_tells_the_same(case: str, cuts: Sequence[int]) -> None:
    form, text, expected = CASES[case]
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    assert events(form, *(text[begin:end] for begin, end in itertools.pairwise(places))) == expected


@given(text=st.text(alphabet=st.sampled_from('<tool_call>{}"name: go,argumens[TOOL_CALLS]/\\\n '), max_size=200))
def test_no_text_is_lost_that_is_no_call(text: str) -> None:
    for form in (HERMES, LLAMA, MISTRAL):
        said = events(form, text)
        assert said == events(form, *text)
        if all(isinstance(one, str) for one in said):
            assert "".join(said) == text.lstrip()  # type: ignore[arg-type]


def test_one_call_where_several_are_not_wanted() -> None:
    told = parser(HERMES, parallel=False)
    told.push(hermes("go", "{}"))
    assert told.is_over and told.completed == 1
    assert told.push(hermes("go", "{}")) == []


def test_there_is_an_end_to_calls() -> None:
    told = parser(HERMES)
    told.push(hermes("go", "{}") * 100)
    assert told.is_over and told.completed == MAX_CALLS


def test_words_are_shown_as_soon_as_they_are_certain() -> None:
    told = parser(HERMES)
    assert told.push("Wait <too") == [TextDelta(text="Wait ")]
    assert told.push("th") == [TextDelta(text="<tooth")]


def test_arguments_are_shown_as_they_come() -> None:
    told = parser(HERMES)
    assert told.push('<tool_call>{"name": "go", "arguments": {"a"')[1:] == [ToolCallDelta(index=0, text='{"a"')]
    assert told.push(": 1") == [ToolCallDelta(index=0, text=": 1")]
    assert told.in_call and told.completed == 0
