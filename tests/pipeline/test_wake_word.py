"""A wake phrase counts when the mean of a model's last probabilities passes its threshold, and once."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from edged.pipeline.wake_word import WakePhrase, WakeWordDetector

STEP = 1 / 32
NABU = {"nabu": WakePhrase(threshold=0.8, window=3)}


def heard(detector: WakeWordDetector, *steps: float | Sequence[tuple[str, float]]) -> list[str | None]:
    return [detector.push([("nabu", step)] if isinstance(step, float) else step, seconds=STEP) for step in steps]


def test_the_mean_must_pass_the_threshold() -> None:
    assert heard(WakeWordDetector(NABU), 0.9, 0.9, 0.9) == [None, None, "nabu"]
    assert heard(WakeWordDetector(NABU), 1.0, 1.0, 0.3, 0.9) == [None] * 4


def test_a_window_that_is_not_full_counts_as_silence() -> None:
    assert heard(WakeWordDetector(NABU), 1.0, 1.0) == [None, None]


def test_one_saying_is_one_detection() -> None:
    detector = WakeWordDetector(NABU, refractory_seconds=10 * STEP)
    found = heard(detector, *[1.0] * 30)
    assert [index for index, name in enumerate(found) if name] == [2, 13, 24]


def test_several_phrases_the_surest_wins() -> None:
    detector = WakeWordDetector(NABU | {"jarvis": WakePhrase(threshold=0.5, window=1)})
    assert heard(detector, [("nabu", 0.2), ("jarvis", 0.6)]) == ["jarvis"]
    both = WakeWordDetector({"a": WakePhrase(threshold=0.5, window=1), "b": WakePhrase(threshold=0.5, window=1)})
    assert heard(both, [("a", 0.6), ("b", 0.9)]) == ["b"]


def test_reset_forgets() -> None:
    detector = WakeWordDetector(NABU)
    heard(detector, 1.0, 1.0)
    detector.reset()
    assert heard(detector, 1.0) == [None]


def test_nothing_is_heard_without_phrases_or_sound() -> None:
    assert WakeWordDetector({}).push([], seconds=STEP) is None
    assert heard(WakeWordDetector(NABU), []) == [None]


@given(st.lists(st.floats(0, 0.79), max_size=50))
def test_what_stays_below_the_threshold_never_wakes(probabilities: list[float]) -> None:
    assert not any(heard(WakeWordDetector(NABU), *probabilities))
