"""Text in, sound out: each sentence as soon as it is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.tts import SynthesizeStopped

from edged.audio.pcm import to_bytes
from edged.errors import InvalidInput
from edged.pipeline.ports import TextToSpeech
from edged.pipeline.sentences import SentenceSplitter
from edged.pipeline.speakable import speakable
from edged.server.wyoming.connection import Connection

MAX_CHARACTERS = 20_000
"""A quarter of an hour; the voice is everybody's."""
CHUNK_SAMPLES = 2048


class Synthesis:
    """One text, whole or as it is written; `run` says it until `finish` was called."""

    def __init__(
        self,
        connection: Connection,
        voice: TextToSpeech,
        prepare: Callable[[], Awaitable[None]],
        *,
        language: str,
        is_stream: bool,
    ) -> None:
        """prepare: loads the voice. is_stream: the client is told when it is over."""
        self._connection = connection
        self._voice = voice
        self._prepare = prepare
        self._language = language
        self._is_stream = is_stream
        self._splitter = SentenceSplitter()
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self._characters = 0

    def push(self, text: object) -> None:
        """Take the next piece of the text. Raises InvalidInput."""
        if not isinstance(text, str):
            raise InvalidInput("what is to be said must be text")
        self._characters += len(text)
        if self._characters > MAX_CHARACTERS:
            raise InvalidInput(f"a text to say has at most {MAX_CHARACTERS} characters")
        for piece in self._splitter.push(text):
            self._pieces.put_nowait(piece)

    def finish(self) -> None:
        """The text is complete."""
        for piece in self._splitter.finish():
            self._pieces.put_nowait(piece)
        self._pieces.put_nowait(None)

    async def run(self) -> None:
        """Send the sound. Raises what the voice raises."""
        await self._prepare()
        speakable("", self._language)  # compiles its patterns, before anybody listens
        rate = self._voice.sample_rate
        milliseconds = 0
        await self._connection.send(AudioStart(rate=rate, width=2, channels=1, timestamp=0))
        async with aclosing(self._sound()) as sound:
            async for audio in sound:
                chunk = AudioChunk(rate=rate, width=2, channels=1, audio=audio, timestamp=milliseconds)
                await self._connection.send(chunk)
                milliseconds += chunk.milliseconds
        await self._connection.send(AudioStop(timestamp=milliseconds))
        if self._is_stream:
            await self._connection.send(SynthesizeStopped())

    async def _sound(self) -> AsyncGenerator[bytes, None]:
        while (piece := await self._pieces.get()) is not None:
            words = speakable(piece, self._language)
            if not words.strip():
                continue
            async with aclosing(self._voice.say(words)) as sounds:
                async for pcm in sounds:
                    for start in range(0, len(pcm), CHUNK_SAMPLES):
                        yield to_bytes(pcm[start : start + CHUNK_SAMPLES])
