"""Files of sound, made with a fixed seed."""

from __future__ import annotations

import io
import struct

import numpy as np
import soundfile
from numpy.typing import NDArray

from edged.audio.decode import RecordingFormat

AT_16_KHZ = RecordingFormat(sample_rate=16_000, max_seconds=30)


def tone(seconds: float, rate: int = 16_000, *, hertz: float = 440.0, channels: int = 1) -> NDArray[np.float32]:
    """Half as loud as it could be; further channels are silent.  # (samples, channels)"""
    time = np.arange(round(seconds * rate)) / rate
    wave = np.zeros((len(time), channels), np.float32)
    wave[:, 0] = 0.5 * np.sin(2 * np.pi * hertz * time)
    return wave


def encoded(wave: NDArray[np.float32], rate: int = 16_000, kind: str = "WAV", encoding: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format=kind, subtype=encoding)
    return file.getvalue()


def wav(
    samples: bytes, *, rate: int = 16_000, channels: int = 1, bits: int = 16, code: int = 1, size: int = -1
) -> bytes:
    """With a header that says whatever is wanted. code: 1 for integers, 3 for floats."""
    block = channels * bits // 8
    head = struct.pack("<HHIIHH", code, channels, rate, rate * block & 0xFFFFFFFF, block & 0xFFFF, bits)
    length = len(samples) if size < 0 else size
    body = b"WAVEfmt " + struct.pack("<I", len(head)) + head + b"data" + struct.pack("<I", length) + samples
    return b"RIFF" + struct.pack("<I", len(body)) + body
