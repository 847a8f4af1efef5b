"""Deltas that come fast are joined; nothing is lost, reordered or held for good."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.events import ReasoningDelta, TextDelta, TurnEvent
from edged.server.spacing import DeltaSpacing
from tests.server.scripted import END


def text(word: str) -> TextDelta:
    return TextDelta(text=word)


def test_the_first_goes_out_at_once_and_the_next_when_it_is_time() -> None:
    spacing = DeltaSpacing(0.5)
    assert spacing.push(text("a"), now=5.0) == [text("a")]
    assert spacing.push(text("b"), now=5.125) == []
    assert spacing.push(text("c"), now=5.25) == []
    assert spacing.push(text("d"), now=5.5) == [text("bcd")]
    assert spacing.push(text("e"), now=7.0) == [text("e")]


def test_a_slow_engine_is_never_held() -> None:
    spacing = DeltaSpacing(0.5)
    assert [spacing.push(text("a"), now=number * 0.5) for number in range(9)] == [[text("a")]] * 9


def test_other_events_push_out_what_is_held() -> None:
    spacing = DeltaSpacing(0.5)
    spacing.push(text("a"), now=0)
    spacing.push(text("b"), now=0)
    assert spacing.push(ReasoningDelta(text="c"), now=0) == [text("b")]
    assert spacing.push(END[0], now=0) == [ReasoningDelta(text="c"), END[0]]
    assert spacing.flush() == []


deltas = st.one_of(st.builds(TextDelta, text=st.text(max_size=2)), st.builds(ReasoningDelta, text=st.text(max_size=2)))


@given(st.lists(st.tuples(st.one_of(deltas, st.sampled_from(END)), st.floats(0, 1))))
def test_what_was_said_arrives_in_order(steps: list[tuple[TurnEvent, float]]) -> None:
    spacing, now, sent = DeltaSpacing(0.5), 0.0, list[TurnEvent]()
    for event, seconds in steps:
        now += seconds
        sent += spacing.push(event, now=now)
    sent += spacing.flush()
    assert flat(sent) == flat([event for event, _ in steps])


def flat(events: list[TurnEvent]) -> list[object]:
    """Characters with their kind, and the events that hold none."""
    return [
        item
        for event in events
        for item in (
            [(type(event), character) for character in event.text]
            if isinstance(event, TextDelta | ReasoningDelta)
            else [event]
        )
    ]
