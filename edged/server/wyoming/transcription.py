"""Sound in, a transcript out."""

from __future__ import annotations

import asyncio

import numpy as np
from wyoming.asr import Transcript
from wyoming.audio import AudioChunk

from edged.audio.pcm import SAMPLE_RATE, Pcm, to_samples
from edged.errors import InvalidInput
from edged.pipeline.ports import SpeechToText
from edged.server.wyoming.connection import Connection
from edged.server.wyoming.wire_sound import WireSound


class Transcription:
    """One recording."""

    def __init__(
        self, connection: Connection, speech: SpeechToText, *, language: str | None, most_seconds: int
    ) -> None:
        """language: that is told to the client."""
        self._connection = connection
        self._speech = speech
        self._language = language
        self._most_seconds = most_seconds
        self._sound = WireSound(SAMPLE_RATE)
        self._pieces: list[Pcm] = []
        self._samples = 0

    async def push(self, chunk: AudioChunk) -> None:
        """Take the next piece. Raises InvalidInput for a recording that is too long."""
        for pcm in self._sound.pieces(chunk):
            self._take(pcm)
            await asyncio.sleep(0)

    async def finish(self) -> None:
        """Write it down and send that. Raises what the recognizer raises."""
        self._take(self._sound.flush())
        samples = to_samples(np.concatenate(self._pieces))
        self._pieces.clear()
        text = await self._speech.transcribe(samples)
        await self._connection.send(Transcript(text=text, language=self._language))

    def _take(self, pcm: Pcm) -> None:
        self._samples += len(pcm)
        if self._samples > self._most_seconds * SAMPLE_RATE:
            raise InvalidInput(f"a recording has at most {self._most_seconds} seconds (voice.max_recording_seconds)")
        self._pieces.append(pcm)
