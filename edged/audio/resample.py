"""Sound of any rate and number of channels to one channel of another rate, as it comes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edged.audio.devices import INSTALL_EXTRA
from edged.audio.mel import Samples
from edged.audio.pcm import SAMPLE_RATE, Pcm, to_pcm, to_samples
from edged.errors import MissingExtra

Interleaved = NDArray[np.int16]
"""(samples, channels), or (samples,) of one channel"""


class Resampler:
    """A stream of sound, mixed to one channel: however it is cut into pieces, the outcome is the same.

    soxr's polyphase filter for variable rates is used at a fixed one: it keeps back 5 to 14 ms and no more, where the
    filter for fixed rates works in blocks of up to 40 ms.
    """

    def __init__(self, from_rate: int, to_rate: int = SAMPLE_RATE) -> None:
        """Raises ValueError for a rate that is none, MissingExtra."""
        if from_rate <= 0 or to_rate <= 0:
            raise ValueError("a rate is more than nothing")
        self.from_rate = from_rate
        self.to_rate = to_rate
        self._filter = None if from_rate == to_rate else _new_filter(from_rate, to_rate)
        self._taken = 0
        self._given = 0

    def push(self, sound: Interleaved) -> Pcm:
        """What can be said by now; the filter keeps a few milliseconds back."""
        mono = _mixed(sound)
        if self._filter is None or not len(mono):
            return mono
        self._taken += len(mono)
        found: Samples = self._filter.resample_chunk(to_samples(mono))
        self._given += len(found)
        return to_pcm(found)

    def flush(self) -> Pcm:
        """The rest, as long as the sound was; then ready for another one."""
        if self._filter is None:
            return np.zeros(0, np.int16)
        left = round(self._taken * self.to_rate / self.from_rate) - self._given
        found: Samples = self._filter.resample_chunk(np.zeros(0, np.float32), last=True)
        self._filter.clear()
        self._taken = self._given = 0
        rest = np.zeros(max(0, left), np.float32)
        rest[: len(found)] = found[: len(rest)]
        return to_pcm(rest)


def _mixed(sound: Interleaved) -> Pcm:
    if sound.ndim == 1:
        return sound
    if sound.shape[1] == 1:
        return sound[:, 0]
    mixed: Pcm = np.rint(sound.mean(axis=1, dtype=np.float32)).astype(np.int16)
    return mixed


def _new_filter(from_rate: int, to_rate: int) -> Any:
    try:
        import soxr
    except (ImportError, OSError) as exc:
        raise MissingExtra(INSTALL_EXTRA) from exc
    return soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ", vr=True)
