"""The last seconds of what was heard, so that what follows a wake word at once is not lost."""

from __future__ import annotations

import numpy as np

from edged.audio.pcm import SAMPLE_RATE, Pcm


class RingBuffer:
    """The last seconds of samples, in memory of a fixed size."""

    def __init__(self, seconds: float) -> None:
        """Raises ValueError where that is not a sample."""
        self._ring: Pcm = np.zeros(max(0, round(seconds * SAMPLE_RATE)), np.int16)
        if not len(self._ring):
            raise ValueError("a ring buffer holds at least one sample")
        self._end = 0
        self._held = 0

    def __len__(self) -> int:
        """Samples held."""
        return self._held

    @property
    def capacity(self) -> int:
        """The most samples it holds."""
        return len(self._ring)

    def push(self, pcm: Pcm) -> None:
        """The oldest samples make room."""
        kept = pcm[-self.capacity :]
        first = min(len(kept), self.capacity - self._end)
        self._ring[self._end : self._end + first] = kept[:first]
        self._ring[: len(kept) - first] = kept[first:]
        self._end = (self._end + len(kept)) % self.capacity
        self._held = min(self.capacity, self._held + len(kept))

    def last(self, samples: int) -> Pcm:
        """A copy of the last so many samples, or of all where there are fewer."""
        wanted = min(max(0, samples), self._held)
        start = self._end - wanted
        if start >= 0:
            return self._ring[start : self._end].copy()
        return np.concatenate([self._ring[start:], self._ring[: self._end]])

    def clear(self) -> None:
        """Overwrites everything with zeros: what was heard is not in memory any more."""
        self._ring[:] = 0
        self._end = self._held = 0
