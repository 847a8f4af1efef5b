"""An answer said aloud while it is written: piece by piece, and what of it was really heard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from edged.pipeline.barge_in import SpokenPiece, heard_text
from edged.pipeline.ports import Loudspeaker, Playback, TextToSpeech
from edged.pipeline.sentences import SentenceSplitter
from edged.pipeline.speakable import speakable

AHEAD_SECONDS = 8.0
"""Sound that is made before it is needed; more would cost the processor what an interruption throws away."""
LOOK_SECONDS = 0.1


@dataclass(slots=True)
class _Said:
    text: str
    sounds: list[tuple[int, Playback]] = field(default_factory=list)
    """Samples, and what became of them."""
    is_whole: bool = False
    """All of its sound is made."""


class Narration:
    """One answer. `run` says it; whoever interrupts it calls `cut`, cancels `run` and cuts the loudspeaker."""

    def __init__(
        self,
        voice: TextToSpeech,
        loudspeaker: Loudspeaker,
        *,
        language: str,
        saying: Callable[[str], None],
        first_sound: Callable[[], None],
    ) -> None:
        """saying: called with each piece as its sound begins to be made; first_sound: once, when sound is queued."""
        self._voice = voice
        self._loudspeaker = loudspeaker
        self._language = language
        self._saying = saying
        self._first_sound = first_sound
        self._splitter = SentenceSplitter()
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self._said: list[_Said] = []
        self._has_sounded = False
        self._heard: str | None = None

    def push(self, delta: str) -> None:
        """Take the next piece of the answer's text."""
        for piece in self._splitter.push(delta):
            self._pieces.put_nowait(piece)

    def finish(self) -> None:
        """The answer is complete."""
        for piece in self._splitter.finish():
            self._pieces.put_nowait(piece)
        self._pieces.put_nowait(None)

    async def run(self) -> None:
        """Say everything, and return when it was heard. Raises what the voice raises."""
        while (piece := await self._pieces.get()) is not None:
            while self._ahead_seconds() > AHEAD_SECONDS:  # noqa: ASYNC110  # playback has no event to wait for
                await asyncio.sleep(LOOK_SECONDS)
            await self._say(piece)
        await self._loudspeaker.drained()

    def cut(self) -> str:
        """It was interrupted: what was said aloud until now, which is all that counts of the answer from here on."""
        self._heard = self._heard_so_far()
        return self._heard

    def heard_of_cut(self) -> str | None:
        """What was said aloud before it was interrupted; None if it was not."""
        return self._heard

    def _heard_so_far(self) -> str:
        pieces = [
            SpokenPiece(
                text=said.text,
                samples=sum(samples for samples, _ in said.sounds),
                played=sum(playback.played_samples for _, playback in said.sounds),
                is_whole=said.is_whole,
            )
            for said in self._said
        ]
        return heard_text(pieces, self._voice.sample_rate) if self._has_sounded else ""

    async def _say(self, piece: str) -> None:
        said = _Said(piece)
        self._said.append(said)
        words = speakable(piece, self._language)
        if not words.strip():
            said.is_whole = True
            return
        self._saying(piece)
        async with aclosing(self._voice.say(words)) as sounds:
            async for pcm in sounds:
                playback = self._loudspeaker.play(pcm, sample_rate=self._voice.sample_rate)
                said.sounds.append((len(pcm), playback))
                if not self._has_sounded:
                    self._has_sounded = True
                    self._first_sound()
        said.is_whole = True

    def _ahead_seconds(self) -> float:
        waiting = sum(
            samples - playback.played_samples
            for said in self._said
            for samples, playback in said.sounds
            if not playback.is_done
        )
        return waiting / self._voice.sample_rate
