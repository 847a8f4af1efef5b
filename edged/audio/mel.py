"""Sound as a model's ears take it: how loud each band of pitch is, a hundred times a second.

Training and the run time share this one implementation. The bands are HTK's triangles, as transformers.audio_utils
has them with norm=None and mel_scale="htk".
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""One channel, -1 to 1.  # (samples,)"""
Mel = NDArray[np.float32]
"""Loudness of each band in each frame: about -1 (silence) to 2.  # (mel_bins, frames)"""
FLOOR = 1e-8
"""Least power: what is quieter is silence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MelFormat:
    """How a model wants its recordings; the default is autoglm_phone's."""

    sample_rate: int = 16_000
    mel_bins: int = 80
    window: int = 400
    """Samples of a frame."""
    hop: int = 160
    """Samples from one frame to the next."""
    frames_per_token: int = 8
    """Frames come in multiples of that."""

    @property
    def transform(self) -> int:
        """Length of the Fourier transform: the next power of two."""
        return 1 << (self.window - 1).bit_length()

    def tokens(self, samples: int) -> int:
        """Tokens that stand for so many samples; at least one."""
        frames = -(-(samples - self.window + self.hop) // self.hop)
        return max(1, -(-frames // self.frames_per_token))

    def frames(self, samples: int) -> int:
        """Frames that cover so many samples, silence at the end included."""
        return self.tokens(samples) * self.frames_per_token


AUTOGLM_PHONE = MelFormat()


def log_mel(samples: Samples, mel_format: MelFormat = AUTOGLM_PHONE) -> Mel:
    """The spectrum of a recording at the format's sample rate, padded with silence to whole tokens."""
    frames, hop, window = mel_format.frames(len(samples)), mel_format.hop, mel_format.window
    padded = np.zeros(frames * hop + window - hop, np.float32)
    padded[: len(samples)] = samples
    cut = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]  # (frames, window)
    spectrum = np.fft.rfft(cut * hann(window), n=mel_format.transform)
    power = spectrum.real**2 + spectrum.imag**2
    bands = power.astype(np.float32) @ mel_filters(mel_format)
    return np.ascontiguousarray((np.log10(np.maximum(bands, FLOOR)).T + 4) / 4, np.float32)


@functools.cache
def mel_filters(mel_format: MelFormat) -> NDArray[np.float32]:
    """How much each frequency counts in each band: triangles of height 1.  # (transform / 2 + 1, mel_bins)"""
    highest = mel_format.sample_rate / 2
    mels = np.linspace(0, 2595 * np.log10(1 + highest / 700), mel_format.mel_bins + 2)
    corners = 700 * (10 ** (mels / 2595) - 1)
    frequencies = np.linspace(0, highest, mel_format.transform // 2 + 1)
    slopes = frequencies[:, None] - corners
    widths = np.diff(corners)
    rising, falling = slopes[:, :-2] / widths[:-1], -slopes[:, 2:] / widths[1:]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


@functools.cache
def hann(window: int) -> NDArray[np.float32]:
    """The window function, periodic: the next period would begin right after it."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32)
