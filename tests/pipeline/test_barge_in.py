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


RATE = 1000


def said(*pieces: tuple[str, int], played: int, is_whole: bool = True) -> str:
    """What was heard of pieces, each with the length of its sound, when so much of all of it was played."""
    made, left = [], played
    for text, samples in pieces:
        made.append(SpokenPiece(text=text, samples=samples, played=min(left, samples), is_whole=is_whole))
        left -= made[-1].played
    return heard_text(made, RATE)


PIECES = (("The capital is Paris. ", 2200), ("It lies on the Seine. ", 2200), ("\n", 0), ("Ask me more.", 1200))


@pytest.mark.parametrize(
    ("played", "heard"),
    [
        (0, ""),
        (500, "The"),
        (1150, "The capital"),
        (2200, "The capital is Paris."),
        (2950, "The capital is Paris. It lies"),
        (4400, "The capital is Paris. It lies on the Seine."),
        (60_000, "The capital is Paris. It lies on the Seine. \nAsk me more."),
    ],
)
def test_whole_words_that_were_heard(played: int, heard: str) -> None:
    assert said(*PIECES, played=played) == heard


def test_figures_after_chinese_take_nothing_back() -> None:
    heard = [said(("价格是200元", 700), played=played) for played in range(0, 701, 50)]
    assert heard == sorted(heard, key=len) and heard[7] == "价格是"


def test_what_is_not_made_yet_was_not_heard() -> None:
    pieces = [
        SpokenPiece(text="Hello there. ", samples=900, played=900),
        SpokenPiece(text="This was never made.", samples=0, played=0, is_whole=False),
        SpokenPiece(text="Nor this.", samples=0, played=0, is_whole=False),
    ]
    assert heard_text(pieces, RATE) == "Hello there."


def test_of_a_piece_that_is_half_made_as_much_as_was_played() -> None:
    pieces = [SpokenPiece(text="This is a longer sentence.", samples=600, played=600, is_whole=False)]
    assert heard_text(pieces, RATE) == "This is a"


def test_chinese_is_cut_between_characters() -> None:
    assert said(("巴黎是首都。", 1200), played=650) == "巴黎是"


@given(
    st.lists(st.tuples(st.text(max_size=30), st.integers(0, 5000)), max_size=5),
    st.integers(0, 30_000),
    st.integers(0, 30_000),
)
def test_what_was_heard_is_a_beginning_and_grows(pieces: list[tuple[str, int]], first: int, second: int) -> None:
    less, more = (said(*pieces, played=played) for played in sorted((first, second)))
    assert "".join(text for text, _ in pieces).startswith(more)
    assert more.startswith(less)


@given(st.lists(st.tuples(st.text(max_size=30), st.integers(0, 5000)), max_size=5))
def test_all_that_was_played_was_heard(pieces: list[tuple[str, int]]) -> None:
    assert said(*pieces, played=10**6) == "".join(text for text, _ in pieces).rstrip()
