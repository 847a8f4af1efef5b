"""The one log-mel implementation, against transformers.audio_utils."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from edged.audio.mel import AUTOGLM_PHONE, MelFormat, log_mel, mel_filters


def tones(samples: int, seed: int = 0) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Two gliding tones in noise that swells."""
    random = np.random.default_rng(seed)
    time = np.arange(samples) / 16_000
    wave = 0.4 * np.sin(2 * np.pi * (300 + 900 * time) * time) + 0.1 * np.sin(2 * np.pi * 3000 * time)
    return (wave + 0.02 * random.standard_normal(samples) * time).astype(np.float32)


def bank(mel_format: MelFormat) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the lowest bands lie between two frequencies
        return mel_filter_bank(
            mel_format.transform // 2 + 1,
            mel_format.mel_bins,
            0.0,
            mel_format.sample_rate / 2,
            mel_format.sample_rate,
            norm=None,
            mel_scale="htk",
        )


OTHER = MelFormat(sample_rate=8000, mel_bins=40, window=256, hop=128, frames_per_token=4)


@pytest.mark.parametrize("mel_format", [AUTOGLM_PHONE, OTHER])
def test_bands_are_those_of_transformers(mel_format: MelFormat) -> None:
    np.testing.assert_allclose(mel_filters(mel_format), bank(mel_format), atol=1e-6)


@pytest.mark.parametrize("mel_format", [AUTOGLM_PHONE, OTHER])
@pytest.mark.parametrize("samples", [1, 400, 5000, 16_000 * 3])
def test_the_spectrum_is_that_of_transformers(mel_format: MelFormat, samples: int) -> None:
    wave, frames, hop = tones(samples), mel_format.frames(samples), mel_format.hop
    padded = np.pad(wave, (0, frames * hop + mel_format.window - hop - samples))
    expected = spectrogram(
        padded,
        window_function(mel_format.window, "hann", periodic=True),
        mel_format.window,
        hop,
        fft_length=mel_format.transform,
        power=2.0,
        center=False,
        mel_filters=bank(mel_format),
        mel_floor=1e-8,
        log_mel="log10",
    )
    found = log_mel(wave, mel_format)
    assert found.shape == (mel_format.mel_bins, frames) and found.dtype == np.float32
    np.testing.assert_allclose(found, (expected + 4) / 4, atol=2e-3)


@given(samples=st.integers(0, 16_000 * 60))
def test_frames_are_the_fewest_that_cover_a_recording(samples: int) -> None:
    frames = AUTOGLM_PHONE.frames(samples)
    assert frames % 8 == 0 and frames >= 8
    assert 160 * frames + 240 >= samples
    assert frames == 8 or 160 * (frames - 8) + 240 < samples


def test_a_token_stands_for_80_milliseconds() -> None:
    assert AUTOGLM_PHONE.tokens(16_000 * 30) == 375


def test_silence_is_the_floor() -> None:
    np.testing.assert_allclose(log_mel(np.zeros(16_000, np.float32)), -1, atol=1e-6)
    assert log_mel(np.zeros(0, np.float32)).shape == (80, 8)
