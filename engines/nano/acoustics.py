"""What a room and a microphone do to speech: speed, echo, noise, silence around it."""

from __future__ import annotations

import numpy as np

from .canvas import Noise
from .voices import SAMPLE_RATE, Samples, resampled


def heard(rng: np.random.Generator, speech: Samples, noise: Noise, seconds: float) -> Samples:
    """The speech somewhere in a recording of so many seconds; it is cut where it does not fit."""
    if rng.random() < 0.5:
        speech = resampled(speech, rng.uniform(0.9, 1.12))
    if rng.random() < 0.4:
        speech = _in_room(rng, speech, noise)
    length = int(seconds * SAMPLE_RATE)
    speech = speech[:length]
    recording = np.zeros(length, np.float32)
    start = rng.integers(0, length - len(speech) + 1)
    recording[start : start + len(speech)] = speech
    if rng.random() < 0.7:
        level = np.sqrt(np.mean(speech**2) + 1e-9) * 10 ** (-rng.uniform(8, 35) / 20)
        recording += (level * _noise(rng, length, noise)).astype(np.float32)
    return np.clip(recording, -1, 1)


def _in_room(rng: np.random.Generator, speech: Samples, noise: Noise) -> Samples:
    """Folded with a decaying tail; a held-out room has a few single echoes instead."""
    seconds = rng.uniform(0.05, 0.35)
    tail = np.zeros(int(seconds * SAMPLE_RATE), np.float32)
    if noise == "training":
        decay = np.exp(-6.9 * np.arange(len(tail)) / len(tail))
        tail[:] = rng.standard_normal(len(tail)) * decay * rng.uniform(0.02, 0.1)
    else:
        for place in rng.integers(80, len(tail), 6):
            tail[place] = rng.uniform(-0.4, 0.4) * np.exp(-3 * place / len(tail))
    tail[0] = 1
    size = 1 << (len(speech) + len(tail)).bit_length()  # a power of two: other lengths take several times as long
    wet = np.fft.irfft(np.fft.rfft(speech, size) * np.fft.rfft(tail, size), size)[: len(speech)]
    loudest = max(float(np.abs(wet).max(initial=0)), 1e-6)
    return np.asarray(wet * np.abs(speech).max(initial=1e-6) / loudest, np.float32)


def _noise(rng: np.random.Generator, length: int, noise: Noise) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Of mean power 1: white, pink or a hum; held out brown, or white that comes and goes."""
    white = rng.standard_normal(length)
    kind = rng.integers(3)
    if noise == "training" and kind == 2:
        tones = sum(np.sin(2 * np.pi * rng.uniform(40, 400) * np.arange(length) / SAMPLE_RATE) for _ in range(3))
        shaped = np.asarray(tones) + 0.1 * white
    elif noise == "held-out" and kind == 2:
        shaped = white * (1 + np.sin(2 * np.pi * rng.uniform(1, 5) * np.arange(length) / SAMPLE_RATE))
    elif kind == 0:
        shaped = white
    else:
        size = 1 << length.bit_length()
        spectrum = np.fft.rfft(white, size)
        slope = 0.5 if noise == "training" else 1.0
        shaped = np.fft.irfft(spectrum / np.maximum(np.arange(len(spectrum)), 8) ** slope, size)[:length]
    return np.asarray(shaped / np.sqrt(np.mean(shaped**2) + 1e-12))
