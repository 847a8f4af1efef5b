"""When an utterance begins, pauses and ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.pipeline.vad import Endpointing, Heard, Segmenter, patience

PIECE = 1 / 8
SETTINGS = Endpointing(
    min_speech_seconds=2 * PIECE,
    pause_seconds=3 * PIECE,
    silence_seconds=6 * PIECE,
    wait_seconds=20 * PIECE,
    max_seconds=50 * PIECE,
)


def heard(segmenter: Segmenter, sound: str) -> list[tuple[int, Heard]]:
    """What became clear after which piece: # speech, . silence, ~ in between."""
    events = []
    for index, piece in enumerate(sound, start=1):
        probability = {"#": 0.9, ".": 0.1, "~": 0.4}[piece]
        if (event := segmenter.push(speech_probability=probability, seconds=PIECE)) is not None:
            events.append((index, event))
    return events


def test_speech_a_pause_and_the_end() -> None:
    assert heard(Segmenter(SETTINGS), "..######......") == [(4, Heard.SPEECH), (11, Heard.PAUSE), (14, Heard.END)]


def test_who_goes_on_after_a_pause_is_heard_out() -> None:
    found = heard(Segmenter(SETTINGS), "####....####......")
    assert [event for _, event in found] == [Heard.SPEECH, Heard.PAUSE, Heard.RESUMED, Heard.PAUSE, Heard.END]


def test_a_click_is_no_speech() -> None:
    assert heard(Segmenter(SETTINGS), "#...#...#...") == []


def test_in_between_it_stays_what_it_was() -> None:
    assert heard(Segmenter(SETTINGS), "~~~~~~~~~~") == []
    assert heard(Segmenter(SETTINGS), "##~~~~~~~~......")[-1] == (16, Heard.END)


def test_nobody_speaks() -> None:
    assert heard(Segmenter(SETTINGS), "." * 20) == [(20, Heard.NOTHING)]
    segmenter = Segmenter(SETTINGS)
    segmenter.reset(wait_seconds=5 * PIECE)
    assert heard(segmenter, "." * 5) == [(5, Heard.NOTHING)]


def test_an_endless_utterance_ends() -> None:
    found = heard(Segmenter(SETTINGS), "#" * 55)
    assert found[0][1] is Heard.SPEECH
    assert found[1] == (50, Heard.END)


def test_the_silence_that_ends_can_be_changed_until_they_go_on() -> None:
    segmenter = Segmenter(SETTINGS)
    heard(segmenter, "####...")
    segmenter.end_after(10 * PIECE)
    assert heard(segmenter, "......") == []
    assert heard(segmenter, ".") == [(1, Heard.END)]
    segmenter.reset()
    heard(segmenter, "####...")
    segmenter.end_after(10 * PIECE)
    assert heard(segmenter, "##......")[-1] == (8, Heard.END)


def test_reset_begins_anew() -> None:
    segmenter = Segmenter(SETTINGS)
    heard(segmenter, "####...")
    segmenter.reset()
    assert not segmenter.has_begun
    assert heard(segmenter, "##") == [(2, Heard.SPEECH)]


@given(st.text(alphabet="#.~", max_size=200))
def test_order_holds_for_any_sound(sound: str) -> None:
    """Speech before pauses, and after the end or the giving up nothing is asked."""
    segmenter, found = Segmenter(SETTINGS), []
    for piece in sound:
        probability = {"#": 0.9, ".": 0.1, "~": 0.4}[piece]
        if (event := segmenter.push(speech_probability=probability, seconds=PIECE)) is not None:
            found.append(event)
        if event in (Heard.END, Heard.NOTHING):
            break
    names = "".join(
        {"speech": "s", "pause": "p", "resumed": "r", "end": "e", "nothing": "n"}[one.value] for one in found
    )
    assert names in ("", "n") or names[0] == "s"
    assert names.count("s") <= 1
    assert "pp" not in names and "rr" not in names and "sr" not in names


@pytest.mark.parametrize(
    ("transcript", "factor"),
    [
        ("What is the capital of France?", 0.75),
        ("Set a timer for", 2.0),
        ("Set a timer for five minutes.", 1.0),
        ("I would like to know whether the...", 2.0),
        ("And then,", 2.0),
        ("Turn on the lights and", 2.0),
        ("Stop.", 1.0),
        ("What?", 1.0),
        ("今天天气怎么样？", 0.75),
        ("我想要的", 2.0),
        ("打开灯和", 2.0),
        ("", 1.0),
        ("...", 1.0),
    ],
)
def test_patience_with_what_sounds_unfinished(transcript: str, factor: float) -> None:
    assert patience(transcript, 0.6) == pytest.approx(0.6 * factor)
