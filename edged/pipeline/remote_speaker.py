"""A loudspeaker at the other end of a connection: sound is sent at once, and what was heard of it is reckoned.

Whoever plays it may report how far it got; without a report it is taken to play as soon as it was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edged.audio.pcm import Pcm, to_bytes
from edged.voice_events import SpokenAudio

MAX_LAG_SECONDS = 5.0
"""A client that says it is further behind than this is not believed."""


class _Sent:
    """A sound that was sent; satisfies `edged.pipeline.ports.Playback`."""

    def __init__(self, speaker: RemoteSpeaker, start: float, samples: int, sample_rate: int) -> None:
        self._speaker = speaker
        self._start = start
        self._samples = samples
        self._sample_rate = sample_rate
        self._cut_at: int | None = None

    @property
    def played_samples(self) -> int:
        """By the clock, or until it was cut."""
        if self._cut_at is not None:
            return self._cut_at
        heard = (self._speaker.heard_until() - self._start) * self._sample_rate
        return max(0, min(self._samples, int(heard)))

    @property
    def is_done(self) -> bool:
        """Heard to its end, or cut."""
        return self._cut_at is not None or self.played_samples >= self._samples

    def cut(self) -> None:
        """Nothing more of it is heard."""
        self._cut_at = self.played_samples


class RemoteSpeaker:
    """Satisfies `edged.pipeline.ports.Loudspeaker`. Volume and ducking are the business of whoever plays."""

    def __init__(self, send: Callable[[SpokenAudio], None], clock: Callable[[], float]) -> None:
        self.volume_percent = 100
        self._send = send
        self._clock = clock
        self._sent: list[_Sent] = []
        self._seconds = 0.0
        """Sound sent since the last cut."""
        self._free_at = 0.0
        """When all of it will have been heard by somebody without lag."""
        self._lag = 0.0

    def play(self, pcm: Pcm, *, sample_rate: int, last: bool = True) -> _Sent:
        """See Loudspeaker."""
        self._sent = [sent for sent in self._sent if not sent.is_done]
        start = max(self._clock(), self._free_at)
        self._free_at = start + len(pcm) / sample_rate
        self._seconds += len(pcm) / sample_rate
        sent = _Sent(self, start, len(pcm), sample_rate)
        self._sent.append(sent)
        self._send(SpokenAudio(data=to_bytes(pcm), sample_rate=sample_rate, is_last=last))
        return sent

    def cut(self) -> None:
        """See Loudspeaker; the `Interrupted` event tells the other end."""
        for sent in self._sent:
            sent.cut()
        self._sent.clear()
        self._free_at = self._clock()
        self._seconds = 0.0

    def duck(self, factor: float) -> None:
        """See Loudspeaker."""

    async def drained(self) -> None:
        """See Loudspeaker."""
        while (left := self._free_at + self._lag - self._clock()) > 0:  # noqa: ASYNC110  # time has no event
            await asyncio.sleep(min(left, 0.25))

    def heard_until(self) -> float:
        """The moment at which what is heard now would have been heard without lag."""
        return self._clock() - self._lag

    def report(self, played_seconds: float) -> None:
        """What the other end says of the sound since the last cut."""
        due = self._seconds - max(0.0, self._free_at - self._clock())
        if 0.0 <= played_seconds <= self._seconds:
            self._lag = min(max(0.0, due - played_seconds), MAX_LAG_SECONDS)
