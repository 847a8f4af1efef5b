from __future__ import annotations

import numpy as np
import pytest

from edged.audio.pcm import SAMPLE_RATE, to_samples
from edged.speech.quiet import quietest, trimmed
from tests.speech.voices import noise


def test_the_quietest_place_is_in_the_middle_of_a_pause() -> None:
    sound = np.concatenate((noise(2.0, 0.1), noise(0.4, 0.001), noise(1.0, 0.1)))
    assert quietest(to_samples(sound)) / SAMPLE_RATE == pytest.approx(2.2, abs=0.11)


def test_of_equal_pauses_the_last() -> None:
    assert quietest(np.zeros(SAMPLE_RATE, np.float32)) / SAMPLE_RATE == pytest.approx(0.9)


@pytest.mark.parametrize("count", [0, 1, 3199])
def test_too_short_for_a_pause(count: int) -> None:
    assert quietest(np.ones(count, np.float32)) == 0


def test_silence_around_a_sentence_is_left_out() -> None:
    sound = np.concatenate((noise(1.0), noise(2.0, 0.1), noise(3.0)))
    cut = trimmed(sound, SAMPLE_RATE)
    assert len(cut) / SAMPLE_RATE == pytest.approx(0.02 + 2.0 + 0.15, abs=0.01)
    assert np.abs(cut[-1000:]).max() < 300


def test_sound_without_silence_stays_as_it_is() -> None:
    sound = np.full(1000, -32768, np.int16)
    np.testing.assert_array_equal(trimmed(sound, SAMPLE_RATE), sound)


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_nothing_but_silence(count: int) -> None:
    assert len(trimmed(np.zeros(count, np.int16), SAMPLE_RATE)) == 0
