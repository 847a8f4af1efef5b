"""Speech to text, text to speech and wake words for whoever connects, a request at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event
from wyoming.info import Describe
from wyoming.ping import Ping, Pong
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop
from wyoming.wake import Detect

from edged.errors import InvalidInput, NotFound, QueueFull
from edged.pipeline.language import primary_language
from edged.pipeline.ports import SpeechToText, TextToSpeech, WakeWords
from edged.pipeline.wake_word import WakeWordDetector
from edged.server.wyoming import offer
from edged.server.wyoming.connection import Connection
from edged.server.wyoming.detection import WakeDetection
from edged.server.wyoming.offer import Offer
from edged.server.wyoming.reading import Kind, parsed
from edged.server.wyoming.synthesis import Synthesis
from edged.server.wyoming.transcription import Transcription

MAX_CLIENTS = 32
MAX_RECORDINGS = 4
"""Clients that may have sound of theirs kept for a transcript; it is what takes memory."""

_log = logging.getLogger("edged.server.wyoming")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceParts:
    """What services are made of; shared by all clients."""

    offer: Offer
    speech: SpeechToText
    voice: TextToSpeech
    prepare_voice: Callable[[], Awaitable[None]]
    """Loads it. Raises MissingExtra, ArtefactError."""
    wake_words: Callable[[], tuple[WakeWords, WakeWordDetector]]
    """New ones; takes a moment. Raises MissingExtra, ArtefactError, NotFound."""
    language: str
    """Of texts to say."""
    max_recording_seconds: int


class _Hears(Protocol):
    """What a client's sound is for."""

    async def push(self, chunk: AudioChunk) -> None:
        """Take the next piece."""
        ...

    async def finish(self) -> None:
        """It is over."""
        ...


class Services:
    """The daemon's, for all clients."""

    def __init__(self, parts: ServiceParts) -> None:
        self.parts = parts
        self.info = offer.services(parts.offer)
        self.recording: set[_Client] = set()
        """Those whose sound is kept."""

    async def serve(self, connection: Connection) -> None:
        """Until the client leaves; what is done for it then ends. Raises EdgedError, maybe in a group."""
        client = _Client(self, connection)
        try:
            await client.run()
        finally:
            self.recording.discard(client)


class _Client:
    """Where one client is in its requests."""

    def __init__(self, services: Services, connection: Connection) -> None:
        self._services = services
        self._parts = services.parts
        self._connection = connection
        self._tasks: asyncio.TaskGroup
        self._working: asyncio.Task[None] | None = None
        self._hearing: _Hears | None = None
        self._saying: Synthesis | None = None
        self._takes: dict[Kind[Any], Callable[[Any], Awaitable[None]]] = {
            Describe: self._describe,
            Ping: self._ping,
            Transcribe: self._transcribe,
            Detect: self._detect,
            AudioStart: self._begin_sound,
            AudioChunk: self._take_sound,
            AudioStop: self._end_sound,
            Synthesize: self._say,
            SynthesizeStart: self._begin_text,
            SynthesizeChunk: self._take_text,
            SynthesizeStop: self._end_text,
        }

    async def run(self) -> None:
        """Until it leaves."""
        async with asyncio.TaskGroup() as self._tasks:
            async with aclosing(self._connection.events(is_busy=self._is_busy)) as events:
                async for event in events:
                    await self._take(event)
            if self._working:
                self._working.cancel()

    def _is_busy(self) -> bool:
        return self._working is not None and not self._working.done() and self._saying is None

    async def _take(self, event: Event) -> None:
        """What is not known is dropped, as the protocol wants it."""
        for kind, take in self._takes.items():
            if kind.is_type(event.type):
                await take(parsed(kind, event))
                return

    async def _work(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """After what is being done; the client may go on sending meanwhile."""
        if self._working:
            await asyncio.wait({self._working})
        self._working = self._tasks.create_task(_logged(what, work))

    async def _describe(self, _: Describe) -> None:
        await self._connection.send(self._services.info)

    async def _ping(self, ping: Ping) -> None:
        await self._connection.send(Pong(text=ping.text))

    # --- sound in ---

    async def _transcribe(self, wanted: Transcribe) -> None:
        self._forget_sound()
        self._hearing = self._transcription(wanted.language)

    async def _detect(self, wanted: Detect) -> None:
        self._forget_sound()
        known = self._parts.offer.phrases
        if not isinstance(wanted.names or [], list):
            raise InvalidInput("names of wake words must be a list")
        names = [name for name in known if not wanted.names or name in wanted.names]
        if not names:
            raise NotFound(f"none of these wake words is listened for; there are {', '.join(known)}")
        words, detector = await asyncio.to_thread(self._parts.wake_words)
        self._hearing = WakeDetection(self._connection, words, detector, names)

    async def _begin_sound(self, _: AudioStart) -> None:
        """Each chunk says again what its sound is like, and that is what counts."""
        if self._hearing is None:
            self._hearing = self._transcription(None)

    async def _take_sound(self, chunk: AudioChunk) -> None:
        if self._hearing is None:
            self._hearing = self._transcription(None)
        await self._hearing.push(chunk)

    async def _end_sound(self, _: AudioStop) -> None:
        hearing, self._hearing = self._hearing, None
        if hearing is not None:
            await self._work("sound", lambda: self._finish(hearing))

    async def _finish(self, hearing: _Hears) -> None:
        await hearing.finish()
        if self._hearing is None:
            self._services.recording.discard(self)

    def _transcription(self, language: object) -> Transcription:
        offered = self._parts.offer.languages
        if language is not None and (not isinstance(language, str) or primary_language(language) not in offered):
            raise InvalidInput(f"the recognizer knows these languages: {', '.join(offered)}")
        recording = self._services.recording
        if len(recording) >= MAX_RECORDINGS and self not in recording:
            raise QueueFull(f"{MAX_RECORDINGS} recordings are being written down; try again soon", retry_seconds=2.0)
        recording.add(self)
        return Transcription(
            self._connection,
            self._parts.speech,
            language=offered[0] if len(offered) == 1 else None,
            most_seconds=self._parts.max_recording_seconds,
        )

    def _forget_sound(self) -> None:
        self._hearing = None
        if not self._is_busy():
            self._services.recording.discard(self)

    # --- sound out ---

    async def _say(self, wanted: Synthesize) -> None:
        """Within a stream of text the whole of it comes once more, for those who know no streams."""
        if self._saying is None:
            saying = self._synthesis(wanted.text_format, is_stream=False)
            saying.push(wanted.text)
            saying.finish()
            await self._work("text", saying.run)

    async def _begin_text(self, wanted: SynthesizeStart) -> None:
        if self._saying is not None:
            raise InvalidInput("a text to say begins before the one before it has ended")
        saying = self._synthesis(wanted.text_format, is_stream=True)
        await self._work("text", saying.run)
        self._saying = saying

    async def _take_text(self, piece: SynthesizeChunk) -> None:
        if self._saying is not None:
            self._saying.push(piece.text)

    async def _end_text(self, _: SynthesizeStop) -> None:
        saying, self._saying = self._saying, None
        if saying is not None:
            saying.finish()

    def _synthesis(self, text_format: object, *, is_stream: bool) -> Synthesis:
        if text_format not in (None, "text"):
            raise InvalidInput("only plain text can be said")
        parts = self._parts
        return Synthesis(
            self._connection, parts.voice, parts.prepare_voice, language=parts.language, is_stream=is_stream
        )


async def _logged(what: str, work: Callable[[], Awaitable[None]]) -> None:
    """How long it took, and nothing of what it was about."""
    began = time.monotonic()
    await work()
    _log.info("wyoming %s %.0f ms", what, 1000 * (time.monotonic() - began))
