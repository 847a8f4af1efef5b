from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.pipeline.speaker_identity import (
    ALIKE,
    LEAD,
    RECORDINGS_ALIKE,
    TAKEN,
    identify,
    mean_voice,
    odd_one,
    taken_by,
)
from edged.speech.speakers import Voiceprint


def unit(values: list[float]) -> Voiceprint:
    return mean_voice([np.array(values, np.float32)])


def alike(cosine: float) -> Voiceprint:
    """A voice so much like `ANNA`."""
    return np.array([cosine, np.sqrt(1 - cosine**2), 0], np.float32)


voices = (
    st.lists(st.floats(-1, 1, width=32), min_size=4, max_size=4).filter(lambda v: np.linalg.norm(v) > 0.1).map(unit)
)
peoples = st.dictionaries(st.text(min_size=1, max_size=5), voices, max_size=5)
ANNA = np.array([1, 0, 0], np.float32)
OTHER = np.array([0, 0, 1], np.float32)


@given(voices, peoples)
def test_whoever_is_named_is_alike_and_ahead_of_all_others(voice: Voiceprint, people: dict[str, Voiceprint]) -> None:
    name = identify(voice, people)
    scores = {other: float(voice @ own) for other, own in people.items()}
    if name:
        score = scores.pop(name)
        assert score >= ALIKE
        assert all(score - other >= LEAD for other in scores.values())
    elif scores:
        first, *others = sorted(scores.values(), reverse=True)
        assert first < ALIKE or first - others[0] < LEAD


@given(voices, peoples)
def test_the_order_in_which_people_came_does_not_matter(voice: Voiceprint, people: dict[str, Voiceprint]) -> None:
    assert identify(voice, people) == identify(voice, dict(reversed(people.items())))


@given(voices, st.text(min_size=1))
def test_their_own_voice_is_theirs(voice: Voiceprint, name: str) -> None:
    assert identify(voice, {name: voice}) == name
    assert taken_by(voice, {name: voice}) == name


@given(st.lists(voices, min_size=1, max_size=10))
def test_a_mean_is_a_voice(several: list[Voiceprint]) -> None:
    mean = mean_voice(several)
    assert mean.dtype == np.float32
    length = float(np.linalg.norm(mean))
    assert length == pytest.approx(1, abs=1e-5) or np.linalg.norm(np.sum(several, axis=0)) < 1e-5
    assert np.allclose(mean, mean_voice(several[::-1]), atol=1e-4) or length < 0.99 or _is_tiny(several)


def _is_tiny(several: list[Voiceprint]) -> bool:
    """They cancel each other out."""
    return bool(np.linalg.norm(np.sum(several, axis=0, dtype=np.float64)) < 1e-3)


@given(voices, st.integers(2, 10))
def test_the_same_recording_again_and_again_is_of_one_voice(voice: Voiceprint, count: int) -> None:
    assert odd_one([voice] * count) is None


@pytest.mark.parametrize(
    ("cosine", "name"), [(1.0, "Anna"), (ALIKE + 0.01, "Anna"), (ALIKE - 0.01, ""), (0.0, ""), (-1.0, "")]
)
def test_how_alike_is_alike_enough(cosine: float, name: str) -> None:
    assert identify(alike(cosine), {"Anna": ANNA, "Ben": OTHER}) == name


def test_nobody_is_known() -> None:
    assert identify(ANNA, {}) == ""


@pytest.mark.parametrize(("ahead", "name"), [(LEAD + 0.01, "Anna"), (LEAD - 0.01, ""), (0.0, "")])
def test_two_voices_that_are_much_alike(ahead: float, name: str) -> None:
    assert identify(ANNA, {"Anna": alike(0.9), "Twin": alike(0.9 - ahead)}) == name


def test_a_voice_that_is_no_number_is_nobodys() -> None:
    assert identify(np.full(3, np.nan, np.float32), {"Anna": ANNA, "Ben": OTHER}) == ""


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_the_recording_of_somebody_else_is_found(place: int) -> None:
    recordings = [alike(0.98), ANNA, alike(0.95)]
    recordings.insert(place, OTHER)
    assert odd_one(recordings) == place


def test_recordings_resemble_each_other_enough_or_not() -> None:
    assert odd_one([ANNA, ANNA, alike(RECORDINGS_ALIKE + 0.01)]) is None
    assert odd_one([ANNA, ANNA, alike(RECORDINGS_ALIKE - 0.01)]) == 2


@pytest.mark.parametrize(("cosine", "name"), [(TAKEN + 0.01, "Anna"), (TAKEN - 0.01, "")])
def test_who_cannot_be_told_from_somebody_known(cosine: float, name: str) -> None:
    assert taken_by(alike(cosine), {"Ben": OTHER, "Anna": ANNA}) == name
