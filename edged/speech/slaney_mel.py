"""How loud each band of pitch is, as librosa has it by default: what Whisper and Resemblyzer were trained on.

Slaney's scale: linear up to 1 kHz, logarithmic above; each triangle has the same area, so that wide bands are not
louder. (`edged.audio.mel` has HTK's, which other models want.)
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from edged.audio.mel import Samples
from edged.audio.pcm import SAMPLE_RATE

WINDOW = 400
"""Samples of a frame."""
HOP = 160
"""Samples from one frame to the next."""
_HERTZ_A_MEL = 200 / 3
_LOGARITHMIC_FROM = 15
"""Mels, at 1 kHz."""
_LOGARITHMIC_STEP = np.log(6.4) / 27


def band_power(samples: Samples, bands: int) -> NDArray[np.float32]:
    """Power of each band in each whole frame; frames begin where the samples do.  # (frames, bands)"""
    cut = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    spectrum = np.fft.rfft(cut * _hann())
    power: NDArray[np.float32] = (spectrum.real**2 + spectrum.imag**2).astype(np.float32) @ _filters(bands)
    return power


@functools.cache
def _filters(bands: int) -> NDArray[np.float32]:
    """How much each frequency counts in each band.  # (WINDOW / 2 + 1, bands)"""
    corners = _hertz(np.linspace(0, _mel(SAMPLE_RATE / 2), bands + 2))
    slopes = np.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)[:, None] - corners
    widths = np.diff(corners)
    rising, falling = slopes[:, :-2] / widths[:-1], -slopes[:, 2:] / widths[1:]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * 2 / (corners[2:] - corners[:-2])).astype(np.float32)


def _mel(hertz: float) -> float:
    """Of frequencies above 1 kHz."""
    return float(_LOGARITHMIC_FROM + np.log(hertz / (_LOGARITHMIC_FROM * _HERTZ_A_MEL)) / _LOGARITHMIC_STEP)


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = mels * _HERTZ_A_MEL
    steps = np.maximum(0, mels - _LOGARITHMIC_FROM) * _LOGARITHMIC_STEP
    return np.where(mels < _LOGARITHMIC_FROM, linear, _LOGARITHMIC_FROM * _HERTZ_A_MEL * np.exp(steps))


@functools.cache
def _hann() -> NDArray[np.float32]:
    """Periodic: the next period would begin right after it."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
