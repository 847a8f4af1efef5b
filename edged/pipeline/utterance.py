"""What somebody is saying: its sound, and what was understood of it before it was over.

To write down takes a few tenths of a second. So it begins at the first pause, while it is not yet clear whether the
speaker has finished; if they have, the transcript is there when the silence has been long enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

from edged.audio.pcm import SAMPLE_RATE, Pcm, to_samples
from edged.pipeline.ports import SpeechToText


class Utterance:
    """Grows with `push`. Its looks are tasks: call `drop` when nobody wants the transcript any more."""

    def __init__(self, speech: SpeechToText, *, looked: Callable[[str], None], beginning: Pcm) -> None:
        """looked: called with what was understood so far, unless more was said meanwhile.

        beginning: what was heard just before it was clear that somebody speaks.
        """
        self._speech = speech
        self._looked = looked
        self._pieces = [beginning]
        self._samples = len(beginning)
        self._peeked_seconds = 0.0
        self._look: asyncio.Task[str] | None = None
        self._is_current = False
        self._text = ""

    @property
    def seconds(self) -> float:
        """Length so far."""
        return self._samples / SAMPLE_RATE

    @property
    def pcm(self) -> Pcm:
        """All of it."""
        return np.concatenate(self._pieces)

    @property
    def text_if_whole(self) -> str:
        """What was said, if a look has understood all of it by now; else empty."""
        return self._text if self._is_current and self._look is not None and self._look.done() else ""

    def push(self, pcm: Pcm) -> None:
        """Take the next piece of sound."""
        if len(pcm):
            self._pieces.append(pcm)
            self._samples += len(pcm)

    def look(self) -> None:
        """Begin to write down what there is: perhaps it is all."""
        self.drop()
        self._begin_look()

    def peek(self, *, every_seconds: float) -> None:
        """The same while somebody speaks, now and then and never twice at a time; 0 never."""
        is_due = every_seconds and self.seconds - self._peeked_seconds >= every_seconds
        if is_due and (self._look is None or self._look.done()):
            self._peeked_seconds = self.seconds
            self._begin_look()
            self.go_on()

    def go_on(self) -> None:
        """More is said: what the last look understands is no longer all."""
        self._is_current = False

    async def transcript(self) -> str:
        """What was said. Raises what the recognizer raises."""
        if self._look is None or not self._is_current:
            self.look()
        assert self._look is not None
        return await self._look

    def drop(self) -> None:
        """Stop writing down."""
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _begin_look(self) -> None:
        self._is_current = True
        self._look = asyncio.create_task(self._transcribe())
        self._look.add_done_callback(self._note)

    async def _transcribe(self) -> str:
        return await self._speech.transcribe(to_samples(self.pcm))

    def _note(self, look: asyncio.Task[str]) -> None:
        """A look that failed is forgotten: who wants the transcript meets the same error."""
        if look.cancelled() or look.exception() is not None:
            if look is self._look:
                self._look = None
            return
        if look is self._look:
            self._text = look.result()
            self._looked(self._text)
