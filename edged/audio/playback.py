"""What a speaker has still to play: mixed down to blocks, cut at once, and counted to the sample.

No device and no clock: a device's thread takes blocks, anybody else queues, cuts and asks.
"""

from __future__ import annotations

import threading
from collections import deque

import numpy as np

from edged.audio.mel import Samples
from edged.audio.pcm import Pcm, to_pcm, to_samples

RAMP_SECONDS = 0.02
"""From silence to full volume and back."""
CUT_SECONDS = 0.005
"""What is cut fades out for so long: a click is louder than a word's end."""


class Playback:
    """What one call of `Speaker.play` queued, and how far it got."""

    def __init__(self, pcm: Pcm, samples: int) -> None:
        """pcm: at the device's rate. samples: how many they were at their own rate."""
        self.samples = samples
        """At the rate it was given in."""
        self._pcm = pcm
        self._length = len(pcm)
        self._taken = 0
        self._is_dropped = not len(pcm)

    @property
    def played_samples(self) -> int:
        """How many of them were handed to the device, at the rate they were given in."""
        return round(self.samples * self._taken / self._length) if self._length else 0

    @property
    def is_done(self) -> bool:
        """Handed over to its end, cut or dropped."""
        return self._is_dropped or self._taken == self._length

    def _take(self, most: int) -> Pcm:
        taken = self._pcm[self._taken : self._taken + most]
        self._taken += len(taken)
        if self._taken == self._length:
            self._pcm = self._pcm[:0]
        return taken

    def _drop(self) -> None:
        self._is_dropped = True
        self._pcm = self._pcm[:0]


class PlaybackQueue:
    """Sounds at the device's rate, one after another. Every method may be called by any thread."""

    def __init__(self, sample_rate: int, *, gain: float = 1.0) -> None:
        self.sample_rate = sample_rate
        self.underruns = 0
        """How often a sound that was to go on had not come yet."""
        self.silent_samples = 0
        """Handed over since the last sound."""
        self._lock = threading.Lock()
        self._waiting: deque[Playback] = deque()
        self._tail: Pcm = np.zeros(0, np.int16)
        self._goes_on = False
        self._gain = self._wanted_gain = gain

    @property
    def is_empty(self) -> bool:
        """Nothing is queued."""
        return not self._waiting and not len(self._tail)

    def set_gain(self, gain: float) -> None:
        """0 to 1, with a ramp."""
        self._wanted_gain = gain

    def add(self, pcm: Pcm, samples: int, *, goes_on: bool) -> Playback:
        """goes_on: more of the same sound follows; where it comes too late, that is an underrun."""
        playback = Playback(pcm, samples)
        with self._lock:
            self._goes_on = goes_on
            if len(pcm):
                self._waiting.append(playback)
                self.silent_samples = 0
        return playback

    def cut(self) -> None:
        """Fades out what is being played, and drops the rest."""
        with self._lock:
            tail = self._pull(round(CUT_SECONDS * self.sample_rate))
            self._tail = to_pcm(to_samples(tail) * np.linspace(1, 0, len(tail), dtype=np.float32))
            self._clear()

    def drop(self) -> None:
        """Drops everything, for a device that is gone."""
        with self._lock:
            self._tail = self._tail[:0]
            self._clear()

    def take(self, samples: int) -> Pcm:
        """The next block, silence where nothing is queued."""
        with self._lock:
            sound = self._pull(samples)
            missing = samples - len(sound)
            if missing and self._goes_on and not self.silent_samples:
                self.underruns += 1
            self.silent_samples = self.silent_samples + missing if missing else 0
            gains = self._next_gains(samples)
        block = np.zeros(samples, np.int16)
        block[: len(sound)] = sound if gains is None else to_pcm(to_samples(sound) * gains[: len(sound)])
        return block

    def _pull(self, most: int) -> Pcm:
        pieces, self._tail = [self._tail[:most]], self._tail[most:]
        left = most - len(pieces[0])
        while left and self._waiting:
            pieces.append(self._waiting[0]._take(left))
            left -= len(pieces[-1])
            if self._waiting[0].is_done:
                self._waiting.popleft()
        return np.concatenate(pieces)

    def _clear(self) -> None:
        for playback in self._waiting:
            playback._drop()
        self._waiting.clear()
        self._goes_on = False

    def _next_gains(self, samples: int) -> Samples | None:
        """A ramp towards the gain that is wanted; None for a gain of 1."""
        if self._gain == self._wanted_gain == 1:
            return None
        most = samples / (RAMP_SECONDS * self.sample_rate)
        begin = self._gain
        self._gain += min(most, max(-most, self._wanted_gain - begin))
        return np.linspace(begin, self._gain, samples, dtype=np.float32)
