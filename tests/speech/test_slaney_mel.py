"""Bands against transformers.audio_utils, which has Slaney's too."""

from __future__ import annotations

import numpy as np
import pytest
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from edged.speech.slaney_mel import HOP, WINDOW, band_power
from edged.speech.whisper import _log_mel


def _noise(samples: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return (0.1 * np.random.default_rng(0).standard_normal(samples)).astype(np.float32)


@pytest.mark.parametrize("bands", [40, 80, 128])
@pytest.mark.parametrize("samples", [400, 5000, 48_000])
def test_the_power_is_that_of_librosa(bands: int, samples: int) -> None:
    bank = mel_filter_bank(WINDOW // 2 + 1, bands, 0.0, 8000.0, 16_000, norm="slaney", mel_scale="slaney")
    wave = _noise(samples)
    window = window_function(WINDOW, "hann", periodic=True)
    expected = spectrogram(wave, window, WINDOW, HOP, power=2.0, center=False, mel_filters=bank, mel_floor=0.0)
    np.testing.assert_allclose(band_power(wave, bands).T, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("samples", [160, 16_000])
def test_whisper_hears_what_its_authors_meant(samples: int) -> None:
    from transformers import WhisperFeatureExtractor

    wave = np.zeros(480_000, np.float32)
    wave[:samples] = _noise(samples)
    expected = WhisperFeatureExtractor()(wave, sampling_rate=16_000, return_tensors="np")["input_features"][0]
    np.testing.assert_allclose(_log_mel(wave, 80), expected, atol=2e-3)
