"""Interrupting: when playback is lowered, cut, and what of an answer counts as heard."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.pipeline.barge_in import BargeIn, BargeInSettings, Reaction, SpokenPiece, heard_text

SETTINGS = BargeInSettings(duck_seconds=0.06, stop_seconds=0.15, settling_seconds=0.0)


def reactions(sound: str, settings: BargeInSettings = SETTINGS) -> list[tuple[int, Reaction]]:
    """What happens at which piece of 32 ms: # a voice, . none."""
    barge_in, found = BargeIn(settings), []
    for index, piece in enumerate(sound):
        reaction = barge_in.push(speech_probability=0.95 if piece == "#" else 0.2, seconds=0.032)
        if reaction is not None:
            found.append((index, reaction))
    return found


def test_a_voice_lowers_and_then_stops() -> None:
    assert reactions("..#####") == [(3, Reaction.DUCK), (6, Reaction.STOP)]


def test_it_stops_within_the_time_that_is_promised() -> None:
    """200 ms from the first sample of a voice to silence: this stage takes at most 160 of them."""
    pieces = next(index for index, reaction in reactions("#" * 10) if reaction is Reaction.STOP)
    assert (pieces + 1) * 0.032 <= 0.17


def test_a_cough_lowers_for_a_moment() -> None:
    assert reactions("##......") == [(1, Reaction.DUCK), (5, Reaction.GO_ON)]


def test_nothing_counts_while_the_echo_canceller_learns() -> None:
    settings = BargeInSettings(settling_seconds=0.32)
    assert reactions("#########", settings) == []
    assert reactions("." * 9 + "#####", settings)[-1] == (13, Reaction.STOP)


PIECES = (
    SpokenPiece(text="The capital is Paris. ", seconds=2.2),
    SpokenPiece(text="It lies on the Seine. ", seconds=2.2),
    SpokenPiece(text="\n", seconds=0.0),
    SpokenPiece(text="Ask me more.", seconds=1.2),
)


@pytest.mark.parametrize(
    ("played", "heard"),
    [
        (0.0, ""),
        (0.5, "The"),
        (1.15, "The capital"),
        (2.2, "The capital is Paris."),
        (2.95, "The capital is Paris. It lies"),
        (4.4, "The capital is Paris. It lies on the Seine."),
        (60.0, "The capital is Paris. It lies on the Seine. \nAsk me more."),
    ],
)
def test_whole_words_that_were_heard(played: float, heard: str) -> None:
    assert heard_text(PIECES, played) == heard


def test_chinese_is_cut_between_characters() -> None:
    assert heard_text([SpokenPiece(text="巴黎是首都。", seconds=1.2)], 0.65) == "巴黎是"


@given(
    st.lists(st.tuples(st.text(max_size=30), st.floats(0, 5)), max_size=5),
    st.floats(0, 30),
    st.floats(0, 30),
)
def test_what_was_heard_is_a_beginning_and_grows(said: list[tuple[str, float]], first: float, second: float) -> None:
    pieces = [SpokenPiece(text=text, seconds=seconds) for text, seconds in said]
    less, more = (heard_text(pieces, played) for played in sorted((first, second)))
    assert "".join(text for text, _ in said).startswith(more)
    assert more.startswith(less)
