"""The model is told who it is and what time it is, in a way that lets it find the last turn in its cache."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from edged.events import Message, Role, Text
from edged.pipeline.prompt import RETOLD_AFTER, prompted, time_line, told_time

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def said(role: Role = Role.USER, *, minutes: float | None = None, text: str = "hi") -> Message:
    created_at = None if minutes is None else NOON + timedelta(minutes=minutes)
    return Message(role=role, parts=(Text(text=text),), created_at=created_at)


def test_one_sentence_with_the_time_zone() -> None:
    local = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert time_line(local) == "It is Thursday, November 26, 2026, 17:30 (UTC+05:30)."


def test_prompt_and_time_come_first() -> None:
    first, user = prompted((said(minutes=0),), "Be kind.", tells_time=True)
    assert first.role is Role.SYSTEM
    assert first.text == f"Be kind. {time_line(NOON.astimezone())}"
    assert user.text == "hi"


def test_who_has_a_system_prompt_gets_exactly_that() -> None:
    messages = (said(Role.SYSTEM, text="Be brief."), said())
    assert prompted(messages, "Be kind.", tells_time=True) == messages


def test_nothing_to_tell() -> None:
    assert prompted((said(),), "", tells_time=False) == (said(),)


def test_the_time_is_told_anew_after_ten_minutes() -> None:
    talk = [said(minutes=minute) for minute in (0, 4, 9, 11, 15, 50)]
    told = [told_time(talk[: count + 1]) for count in range(len(talk))]
    assert [(moment - NOON) / timedelta(minutes=1) for moment in told] == [0, 0, 0, 11, 11, 50]


@given(st.lists(st.floats(0, 30), min_size=1, max_size=20))
def test_it_is_never_much_too_old_and_never_goes_back(pauses: list[float]) -> None:
    minutes = [sum(pauses[: count + 1]) for count in range(len(pauses))]
    talk = [said(minutes=minute) for minute in minutes]
    told = [told_time(talk[: count + 1]) for count in range(len(talk))]
    assert told == sorted(told)
    for message, moment in zip(talk, told, strict=True):
        assert message.created_at is not None
        assert timedelta() <= message.created_at - moment <= RETOLD_AFTER


def test_a_message_that_is_not_stored_yet_is_of_now() -> None:
    assert abs(told_time([said()]) - datetime.now(UTC)) < timedelta(seconds=5)
