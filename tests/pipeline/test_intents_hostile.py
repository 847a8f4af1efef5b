"""Utterances of any kind are survived, and durations understood as they are said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.pipeline.heard.numbers import chinese_seconds, english_seconds
from edged.pipeline.intents import (
    SetTimer,
    match,
)
from edged.pipeline.spoken.durations import chinese_duration, english_duration

WORDS = (
    "set",
    "a",
    "timer",
    "for",
    "five",
    "minutes",
    "and",
    "half",
    "hour",
    "the",
    "pasta",
    "1",
    "20",
    "up",
    "volume",
    "to",
    "left",
)


@given(st.text(max_size=300), st.sampled_from(["en", "zh"]))
def test_any_utterance_is_survived(utterance: str, language: str) -> None:
    match(utterance, language)


@given(st.lists(st.sampled_from(WORDS), max_size=30))
def test_any_order_of_the_words_is_survived(words: list[str]) -> None:
    match(" ".join(words), "en")


@given(st.integers(1, 86_400))
def test_durations_are_understood_as_they_are_said(seconds: int) -> None:
    assert english_seconds(english_duration(seconds).replace(",", "").replace("-", " ")) == seconds
    assert chinese_seconds(chinese_duration(seconds)) == seconds
    assert match(f"Set a timer for {english_duration(seconds)}.", "en") == SetTimer(seconds=seconds)
    assert match(f"设一个{chinese_duration(seconds)}的定时器", "zh") == SetTimer(seconds=seconds)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "five",
        "minutes",
        "five minutes and",
        "ten minutes two hours",
        "twenty twenty minutes",
        "five six minutes",
        "half",
        "a and a minute",
    ],
)
def test_what_is_no_duration_in_english(words: str) -> None:
    assert english_seconds(words) is None


@pytest.mark.parametrize("words", ["", "五", "分钟", "五六分钟", "十分钟两小时", "二零分钟", "点五分钟", "半"])
def test_what_is_no_duration_in_chinese(words: str) -> None:
    assert chinese_seconds(words) is None
