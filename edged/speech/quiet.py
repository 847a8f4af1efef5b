"""Where a sound is quiet: to cut it there, and to leave out the silence after it."""

from __future__ import annotations

import numpy as np

from edged.audio.mel import Samples
from edged.audio.pcm import SAMPLE_RATE, Pcm

_BLOCK = SAMPLE_RATE // 50
"""20 ms."""
_BLOCKS_OF_A_PAUSE = 10
_LOUD = 300
"""-41 dB of full scale: quieter is no speech of a synthesizer."""
_BEFORE_SECONDS = 0.02
_AFTER_SECONDS = 0.15
"""The pause that a listener expects before the next sentence."""


def quietest(samples: Samples) -> int:
    """The middle of the quietest 200 ms, the last such. 0 for less than 200 ms."""
    blocks = len(samples) // _BLOCK
    if blocks < _BLOCKS_OF_A_PAUSE:
        return 0
    power = np.square(samples[: blocks * _BLOCK], dtype=np.float32).reshape(blocks, _BLOCK).mean(axis=1)
    pauses = np.convolve(power, np.ones(_BLOCKS_OF_A_PAUSE, np.float32), mode="valid")
    last = len(pauses) - 1 - int(np.argmin(pauses[::-1]))
    return (last + _BLOCKS_OF_A_PAUSE // 2) * _BLOCK


def trimmed(pcm: Pcm, sample_rate: int) -> Pcm:
    """A spoken sentence without most of the silence before and after it; empty where there is nothing but silence."""
    loud = np.flatnonzero((pcm > _LOUD) | (pcm < -_LOUD))
    if len(loud) == 0:
        return pcm[:0]
    start = max(0, int(loud[0]) - int(_BEFORE_SECONDS * sample_rate))
    return pcm[start : int(loud[-1]) + int(_AFTER_SECONDS * sample_rate)]
