"""An answer that comes over the wire and is played as it comes."""

from __future__ import annotations

import asyncio

from wyoming.audio import AudioChunk

from edged.audio.pcm import Pcm
from edged.errors import InvalidInput
from edged.pipeline.ports import Loudspeaker, Playback
from edged.server.wyoming.wire_sound import WireSound

MAX_AHEAD_SECONDS = 300.0
"""Sound that may wait to be played. Whoever sends it cannot be made to wait: it would take us for dead."""


class AnswerSound:
    """One answer."""

    def __init__(self, speaker: Loudspeaker) -> None:
        self._speaker = speaker
        self._sound = WireSound()
        self._queued: list[tuple[int, float, Playback]] = []
        self._is_cut = False

    async def push(self, chunk: AudioChunk) -> None:
        """Play the next piece, unless it was cut. Raises InvalidInput."""
        for pcm in self._sound.pieces(chunk):
            self._play(pcm, last=False)
            await asyncio.sleep(0)
        if self._ahead_seconds() > MAX_AHEAD_SECONDS:
            self.cut()
            raise InvalidInput(f"at most {MAX_AHEAD_SECONDS:.0f} seconds of sound may wait to be played")

    def end(self) -> None:
        """All of it has come."""
        self._play(self._sound.flush(), last=True)

    async def heard(self) -> None:
        """Return when it was heard or cut."""
        await self._speaker.drained()

    def cut(self) -> None:
        """Silence at once; what still comes is not played."""
        self._is_cut = True
        self._queued.clear()
        self._speaker.cut()

    def _play(self, pcm: Pcm, *, last: bool) -> None:
        if self._is_cut or not self._sound.rate:
            return
        if len(pcm) or last:
            playback = self._speaker.play(pcm, sample_rate=self._sound.rate, last=last)
            self._queued.append((len(pcm), len(pcm) / self._sound.rate, playback))

    def _ahead_seconds(self) -> float:
        self._queued = [queued for queued in self._queued if not queued[2].is_done]
        return sum(
            seconds * (1 - playback.played_samples / samples) for samples, seconds, playback in self._queued if samples
        )
