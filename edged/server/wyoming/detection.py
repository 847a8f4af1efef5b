"""Sound in, and out comes when a wake phrase was said in it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator

from wyoming.audio import AudioChunk
from wyoming.wake import Detection, NotDetected

from edged.audio.pcm import SAMPLE_RATE, Pcm
from edged.pipeline.ports import WakeWords
from edged.pipeline.wake_word import WakeWordDetector
from edged.server.wyoming.connection import Connection
from edged.server.wyoming.wire_sound import WireSound

STEP_SAMPLES = 1600
"""A tenth of a second: models that see more at once would not know when a phrase was said."""


class WakeDetection:
    """One stream; each time that a phrase is said in it, the client is told."""

    def __init__(
        self, connection: Connection, words: WakeWords, detector: WakeWordDetector, names: Collection[str]
    ) -> None:
        """names: of the wake words that count."""
        self._connection = connection
        self._ears = PhraseWatch(words, detector, names)
        self._sound = WireSound(SAMPLE_RATE)
        self._has_detected = False

    async def push(self, chunk: AudioChunk) -> None:
        """Take the next piece. Raises InvalidInput."""
        when = chunk.timestamp if type(chunk.timestamp) is int else None
        for pcm in self._sound.pieces(chunk):
            for name in self._ears.heard(pcm):
                self._has_detected = True
                await self._connection.send(Detection(name=name, timestamp=when))
            await asyncio.sleep(0)

    async def finish(self) -> None:
        """The sound is over."""
        if not self._has_detected:
            await self._connection.send(NotDetected())


class PhraseWatch:
    """Wake words and what decides about them."""

    def __init__(self, words: WakeWords, detector: WakeWordDetector, names: Collection[str]) -> None:
        self._words = words
        self._detector = detector
        self._names = names

    def heard(self, pcm: Pcm) -> Iterator[str]:
        """The names of phrases that were said as these samples came."""
        for start in range(0, len(pcm), STEP_SAMPLES):
            step = pcm[start : start + STEP_SAMPLES]
            probabilities = [(name, sure) for name, sure in self._words.push(step) if name in self._names]
            if name := self._detector.push(probabilities, seconds=len(step) / SAMPLE_RATE):
                yield name

    def reset(self) -> None:
        """What comes next is of another time."""
        self._words.reset()
        self._detector.reset()
