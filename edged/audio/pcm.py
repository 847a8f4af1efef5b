"""Sound on its way through the daemon: one channel of 16-bit samples, 16,000 a second unless a name says otherwise."""

from __future__ import annotations

import io
import wave

import numpy as np
from numpy.typing import NDArray

from edged.audio.mel import Samples

SAMPLE_RATE = 16_000
"""Samples a second of everything that is listened to."""
FRAME_SAMPLES = 160
"""10 ms, the step of echo cancellation."""
Pcm = NDArray[np.int16]
"""(samples,)"""
_FULL_SCALE = 32_768


def to_samples(pcm: Pcm) -> Samples:
    """-1 to 1, as models read them."""
    return pcm.astype(np.float32) / np.float32(_FULL_SCALE)


def to_pcm(samples: Samples) -> Pcm:
    """What is louder than full scale is clipped."""
    return np.clip(np.rint(samples * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)


def from_bytes(data: bytes) -> Pcm:
    """Little-endian samples. Raises ValueError for half a sample."""
    return np.frombuffer(data, dtype="<i2").astype(np.int16, copy=False)


def to_wav(pcm: Pcm, *, sample_rate: int = SAMPLE_RATE) -> bytes:
    """A file of its own."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(sample_rate)
        writer.writeframes(to_bytes(pcm))
    return file.getvalue()


def to_bytes(pcm: Pcm) -> bytes:
    """Little-endian samples."""
    return pcm.astype("<i2", copy=False).tobytes()
