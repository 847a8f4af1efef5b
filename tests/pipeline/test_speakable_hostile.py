"""Any text can be said, in a time that grows with its length and no faster."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.pipeline.speakable import speakable

SEEDS = [
    "1", "1,111", "1.", "1:", "1-", "1/", "a", "a.", "www.", "http://", "[", "](", "[](", "*", "_", "`",
    "<", "<a", "<!--", "&", "|", "$", "$1", "-", "1st", "@", "a@", "a@b.", "°", "，", "零", "一", "1个", "第1",
    "又", "1又", "%", "5%", "12:30", "12:", "+1", "x", "1x", "^", "2^", "etc.", "~", "...", "—", "é", "'",
    "1.1.1.", "电话", "½", "#", "a-", "**a", "a*", "a/", "0", "1e", "2020-", "1k", "(555)", "*a*", "![a](b)",
    "&#9", "１", "٣", "\n", " ", "```\n", "# ", "> ", "- ", "1. ", "1 ", "1 km", "1 - ", "May 1 ", "| a |",
    "call 1", "\x00", "\ud800",
]  # fmt: skip
TEXTS = st.one_of(st.text(max_size=400), st.lists(st.sampled_from(SEEDS), max_size=80).map("".join))


@given(TEXTS, st.sampled_from(["en", "zh", "de", "", "-"]))
def test_any_text_gives_one_line(text: str, language: str) -> None:
    said = speakable(text, language)
    assert "\n" not in said
    assert said == said.strip()
    if language in ("en", "zh"):
        assert not any(character.isdecimal() for character in said)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_time_grows_with_the_length_and_not_faster(language: str) -> None:
    """Ten times the text takes about ten times as long; a pattern that backtracks would take a hundred times."""

    def seconds(characters: int, seed: str) -> float:
        text = (seed * characters)[:characters]
        started = time.process_time()
        speakable(text, language)
        return time.process_time() - started

    for seed in SEEDS:
        short = max(seconds(2_000, seed), 0.002)
        # Twice at most: machines are busy.
        assert any(seconds(20_000, seed) < 50 * max(short, seconds(2_000, seed)) for _ in range(2)), seed


def test_hostile_input_is_survived() -> None:
    text = "".join(SEEDS) * 600
    assert len(text) > 100_000
    for language in ("en", "zh"):
        assert speakable(text, language)
    assert speakable("&#" + "9" * 5000 + ";", "en")
    assert speakable("9" * 10_000, "en").startswith("nine nine")
    assert speakable("1." + "9" * 10_000, "zh").startswith("一点九九")
