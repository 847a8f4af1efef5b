"""A Wyoming server with scripted ears, and how the package's own client talks to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStart
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event, Eventable

from edged.audio.pcm import SAMPLE_RATE, Pcm, to_bytes
from edged.pipeline.wake_word import WakePhrase, WakeWordDetector
from edged.server.wyoming import services
from edged.server.wyoming.offer import Offer
from edged.server.wyoming.server import WyomingServer
from edged.server.wyoming.services import ServiceParts, Services
from tests.pipeline.stages import EvenVoice, LoudnessWakeWords, ScriptedSpeech

OFFER = Offer(
    recognizer="whisper-tiny.en",
    languages=("en",),
    voice="en_US-joe-medium",
    voice_language="en",
    phrases=MappingProxyType({"okay_nabu": "Okay Nabu"}),
)


async def nothing() -> None:
    pass


@dataclass
class Ears:
    """The services behind a port, with scripted ears and an even voice."""

    speech: ScriptedSpeech = field(default_factory=lambda: ScriptedSpeech("turn on the light"))
    voice: EvenVoice = field(default_factory=EvenVoice)
    most: int = services.MAX_CLIENTS
    port: int = 0

    @property
    def services(self) -> Services:
        return self._services

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Ears]:
        parts = ServiceParts(
            offer=OFFER,
            speech=self.speech,
            voice=self.voice,
            prepare_voice=nothing,
            wake_words=lambda: (
                LoudnessWakeWords(),
                WakeWordDetector({"okay_nabu": WakePhrase(threshold=0.5, window=1)}, refractory_seconds=0.5),
            ),
            language="en",
            max_recording_seconds=4,
        )
        self._services = Services(parts)
        server = WyomingServer("wyoming.listen", ("127.0.0.1", 0), self._services.serve, most=self.most)
        self.port = int(server.listen().rpartition(":")[2])
        running = asyncio.create_task(server.run())
        try:
            yield self
        finally:
            running.cancel()
            async with asyncio.timeout(2):
                await asyncio.gather(running, return_exceptions=True)
            server.close()

    def client(self) -> AsyncTcpClient:
        return AsyncTcpClient("127.0.0.1", self.port, read_timeout=20)


async def say(client: AsyncTcpClient, *events: Eventable) -> None:
    for event in events:
        await client.write_event(event.event())


async def hear(client: AsyncTcpClient) -> Event:
    event = await client.read_event()
    assert event is not None, "the server closed the connection"
    return event


def chunk(pcm: Pcm, *, timestamp: int | None = None) -> AudioChunk:
    return AudioChunk(rate=SAMPLE_RATE, width=2, channels=1, audio=to_bytes(pcm), timestamp=timestamp)


START = AudioStart(rate=SAMPLE_RATE, width=2, channels=1)


def refusal(event: Event | None) -> str:
    assert event is not None and Error.is_type(event.type), event
    return Error.from_event(event).text


async def transcript(client: AsyncTcpClient, *events: Eventable) -> Transcript:
    await say(client, *events)
    return Transcript.from_event(await hear(client))
