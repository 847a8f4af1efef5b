"""Thinking before an answer of a form that was asked for, and thinking no longer than allowed."""

from __future__ import annotations

import dataclasses
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.engine.generate import generate
from edged.errors import InvalidInput
from edged.events import (
    Finished,
    FinishReason,
    GenerationRequest,
    Measured,
    OutputFormat,
    ReasoningDelta,
    TextDelta,
)
from tests.engine.constrained import choices, regex
from tests.engine.scripted import ScriptedEngine, request, scripted_engine, user


def ask(
    engine: ScriptedEngine,
    *,
    output: OutputFormat | None = None,
    thinking: bool = True,
    most: int | None = None,
    max_tokens: int = 64,
    stop: tuple[str, ...] = (),
) -> tuple[str, str, FinishReason, int]:
    """(thinking, answer, reason, tokens)."""
    asked: GenerationRequest = replace(
        request(user("Well?"), max_tokens=max_tokens, stop=stop),
        enable_thinking=thinking,
        output=output,
        max_reasoning_tokens=most,
    )
    steps = generate(engine, asked, arrived=time.perf_counter(), cancelled=lambda: False)
    events = [event for step in steps for event in step]
    thought = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert isinstance(events[-2], Measured) and isinstance(events[-1], Finished)
    return thought, said, events[-1].finish_reason, events[-2].usage.completion_tokens


def with_marks(engine: ScriptedEngine, opening: str, closing: str) -> ScriptedEngine:
    tokens = replace(engine.manifest.tokens, reasoning_open=opening, reasoning_close=closing)
    return dataclasses.replace(engine, manifest=replace(engine.manifest, tokens=tokens))


def test_it_thinks_freely_and_answers_as_asked(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "<think>\nIs it so? {}</think>\n\nOf course!")
    thought, said, reason, _ = ask(engine, output=choices("yes", "no"))
    assert thought == "Is it so? {}"
    assert said in ("yes", "no")
    assert reason is FinishReason.STOP


def test_without_leave_to_think_the_answer_comes_at_once(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "<think>hm</think>no")
    assert ask(engine, output=choices("yes"), thinking=False)[:3] == ("", "yes", FinishReason.STOP)


def test_a_model_that_begins_its_answer_instead_is_made_to_think(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "?hm</think>no")
    assert ask(engine, output=choices("yes", "no"))[:2] == ("hm", "no")


def test_thinking_cannot_end_the_answer_before_it_came(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "<think>hm")  # and then the end, for ever
    thought, said, reason, tokens = ask(engine, output=choices("yes"), max_tokens=20)
    assert thought.startswith("hm") and said == ""
    assert (reason, tokens) == (FinishReason.LENGTH, 20)


@pytest.mark.parametrize("most", [0, 1, 5])
def test_thinking_is_closed_when_it_takes_too_long(tmp_path: Path, most: int) -> None:
    engine, _ = scripted_engine(tmp_path, "<think>" + "x" * 40 + "</think>yes")
    thought, said, reason, tokens = ask(engine, output=choices("yes"), most=most)
    assert (thought, said, reason) == ("x" * most, "yes", FinishReason.STOP)
    assert tokens == 1 + most + 1 + len(engine.tokenizer.encode("yes"))


def test_an_answer_of_any_form_follows_thinking_that_was_closed(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "<think>abc?yes")
    assert ask(engine, most=3)[:3] == ("abc", "yes", FinishReason.STOP)


def test_thinking_again_is_closed_again(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "<think>abc?yes<think>? no")
    assert ask(engine, most=3)[:3] == ("abc", "yes no", FinishReason.STOP)


@pytest.mark.parametrize("output", [None, choices("yes")])
def test_thinking_is_closed_at_the_token_after_somebody_says_so(tmp_path: Path, output: OutputFormat | None) -> None:
    engine, _ = scripted_engine(tmp_path, "<think>" + "x" * 3 + "?yes")
    stop = threading.Event()
    asked = replace(request(user("Well?"), max_tokens=64), enable_thinking=True, output=output, stop_thinking=stop)
    thought, said = "", ""
    for step in generate(engine, asked, arrived=time.perf_counter(), cancelled=lambda: False):
        for event in step:
            thought += event.text if isinstance(event, ReasoningDelta) else ""
            said += event.text if isinstance(event, TextDelta) else ""
        if thought == "xxx":
            stop.set()
    assert (thought, said) == ("xxx", "yes")


def test_no_limit_and_a_far_one_change_nothing(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "<think>abc</think>yes")
    assert ask(engine, most=None) == ask(engine, most=100) == ("abc", "yes", FinishReason.STOP, 8)


def test_a_negative_limit_is_refused(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "yes")
    with pytest.raises(InvalidInput) as caught:
        ask(engine, most=-1)
    assert caught.value.field == "max_reasoning_tokens"


def test_a_prompt_that_opened_the_thinking(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "hm</think>no")
    template = "{% for message in messages %}{{ message['content'] }}{% endfor %}<think>\n"
    engine.prompts._template = type(engine.prompts._template)(template, name="thinking")
    assert ask(engine, output=choices("yes", "no"), thinking=False)[:2] == ("hm", "no")
    thought, said, _, _ = ask(engine, output=choices("yes", "no"), most=1)
    assert thought == "h" and said in ("yes", "no")


@settings(max_examples=60, deadline=None)
@given(
    thought=st.text(alphabet="ab[]/THINK \n", max_size=12).filter(lambda text: "[/THINK]" not in text),
    most=st.none() | st.integers(0, 14),
    marks=st.sampled_from([("[THINK]", "[/THINK]"), ("<think>", "</think>")]),
)
def test_marks_of_one_token_or_many(
    tmp_path_factory: pytest.TempPathFactory, thought: str, most: int | None, marks: tuple[str, str]
) -> None:
    """Whatever is thought, and wherever it is cut: what is said is what was asked for, and nothing but."""
    engine = with_marks(ENGINES(tmp_path_factory), *marks)
    engine.session.script = engine.tokenizer.encode(f"{marks[0]}{thought}{marks[1]}  and more")  # type: ignore[attr-defined]
    told, said, reason, _ = ask(engine, output=regex("  (yes|no)"), most=most)
    assert (said, reason) in (("  yes", FinishReason.STOP), ("  no", FinishReason.STOP))
    if most is None:
        assert told == thought.lstrip("\n")
    else:
        assert (thought + marks[1]).lstrip("\n").startswith(told), "a mark that was begun is closed by another"


class _Engines:
    """One engine for all examples."""

    engine: ScriptedEngine | None = None

    def __call__(self, factory: pytest.TempPathFactory) -> ScriptedEngine:
        if self.engine is None:
            self.engine, _ = scripted_engine(factory.mktemp("thinking"))
        return self.engine


ENGINES = _Engines()
