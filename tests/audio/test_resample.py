"""Streams of sound at another rate: nothing added, nothing lost, however they are cut."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edged.audio.pcm import Pcm
from edged.audio.resample import Resampler
from edged.errors import MissingExtra

RATES = [(44_100, 16_000), (48_000, 16_000), (8_000, 16_000), (22_050, 44_100), (22_050, 48_000), (16_000, 16_000)]


def sine(hertz: float, rate: int, seconds: float = 1.0, level: float = 0.5) -> Pcm:
    time = np.arange(round(rate * seconds)) / rate
    return np.rint(level * 32_767 * np.sin(2 * np.pi * hertz * time)).astype(np.int16)


def whole(sound: NDArray[np.int16], from_rate: int, to_rate: int) -> Pcm:
    resampler = Resampler(from_rate, to_rate)
    return np.concatenate([resampler.push(sound), resampler.flush()])


def decibels(sound: NDArray[np.generic]) -> float:
    """Of a sine wave at full scale: 0."""
    return float(20 * np.log10(np.sqrt(np.mean(np.square(sound.astype(np.float64)))) * np.sqrt(2) / 32_768 + 1e-12))


@settings(max_examples=60, deadline=None)
@given(
    rates=st.sampled_from(RATES),
    cuts=st.lists(st.integers(0, 6_000), max_size=12),
    channels=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_cutting_it_into_pieces_changes_nothing(
    rates: tuple[int, int], cuts: list[int], channels: int, seed: int
) -> None:
    sound = np.random.default_rng(seed).integers(-20_000, 20_000, (6_000, channels), dtype=np.int16)
    resampler = Resampler(*rates)
    for _ in range(2):  # a flush begins anew
        pieces = [resampler.push(piece) for piece in np.split(sound, sorted(cuts))]
        found = np.concatenate([*pieces, resampler.flush()])
        np.testing.assert_array_equal(found, whole(sound, *rates))


@pytest.mark.parametrize("rates", RATES)
def test_a_tone_keeps_pitch_level_and_place(rates: tuple[int, int]) -> None:
    found = whole(sine(1_000, rates[0]), *rates)
    assert len(found) == rates[1]
    angle = 2 * np.pi * 1_000 * np.arange(rates[1]) / rates[1]
    waves = np.stack([np.sin(angle), np.cos(angle)], axis=1)[rates[1] // 20 : -rates[1] // 20]
    middle = found[rates[1] // 20 : -rates[1] // 20]
    (sine_part, cosine_part), *_ = np.linalg.lstsq(waves, middle)
    assert np.hypot(sine_part, cosine_part) == pytest.approx(0.5 * 32_767, rel=0.001)
    assert decibels(middle - waves @ (sine_part, cosine_part)) < -80
    assert abs(np.arctan2(cosine_part, sine_part)) / (2 * np.pi * 1_000) < 150e-6  # seconds early or late


@pytest.mark.parametrize("hertz", [8_400, 9_000, 11_000, 15_000, 17_000, 20_000])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_what_lies_above_the_band_does_not_come_back(rate: int, hertz: int) -> None:
    found = whole(sine(hertz, rate, level=0.9), rate, 16_000)
    assert decibels(found[1_600:-1_600]) < -60


@pytest.mark.parametrize("rates", RATES)
def test_an_hour_does_not_drift(rates: tuple[int, int]) -> None:
    """What is kept back stays the same: here after a minute, in the blocks that a device gives."""
    resampler, block = Resampler(*rates), np.zeros(rates[0] // 50, np.int16)
    given_in, got, lags = 0, 0, []
    for _ in range(50 * 60):
        got += len(resampler.push(block))
        given_in += len(block)
        lags.append(given_in / rates[0] - got / rates[1])
    assert max(lags) < 0.035
    assert abs(lags[-1] - lags[100]) < 0.0005


@pytest.mark.parametrize("rates", RATES)
def test_silence_stays_silence(rates: tuple[int, int]) -> None:
    assert not whole(np.zeros((3_000, 2), np.int16), *rates).any()


def test_channels_are_mixed() -> None:
    left = sine(500, 16_000)
    both = np.stack([left, np.zeros_like(left)], axis=1)
    np.testing.assert_allclose(whole(both, 16_000, 16_000), left / 2, atol=0.51)


def test_full_scale_does_not_wrap_around() -> None:
    square = np.repeat(np.array([32_767, -32_768] * 20, np.int16), 100)
    found = whole(square, 22_050, 44_100)
    assert found.max() == 32_767 and found.min() == -32_768
    assert decibels(found) > 0


@pytest.mark.parametrize("rates", [(0, 16_000), (16_000, 0), (-1, 16_000)])
def test_no_rate_is_refused(rates: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="rate"):
        Resampler(*rates)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soxr", None)
    assert len(Resampler(16_000).push(np.zeros(5, np.int16))) == 5  # nothing to do
    with pytest.raises(MissingExtra, match=r"pip install 'edged\[voice\]'"):
        Resampler(44_100)


def test_the_library_is_loaded_when_it_is_needed_only() -> None:
    code = "import sys, edged.audio.resample; sys.exit('soxr' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
