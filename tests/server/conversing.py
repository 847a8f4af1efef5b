"""A daemon whose ears are scripted, clients that talk to it, and a connection that can be cut."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from edged.audio.opus import OpusDecoder
from edged.audio.pcm import Pcm, from_bytes, to_bytes
from edged.client.voice_call import VoiceCall
from edged.errors import EdgedError
from edged.events import Sampling
from edged.pipeline.barge_in import BargeInSettings
from edged.pipeline.remote_speaker import RemoteSpeaker
from edged.pipeline.skills import Skills
from edged.pipeline.turn import TurnConductor
from edged.pipeline.voice import VoiceSession
from edged.pipeline.voice_parts import ConversationThread, VoiceParts, VoiceSettings
from edged.pipeline.wake_word import WakePhrase, WakeWordDetector
from edged.records import Reader
from edged.server import Server
from edged.voice_events import (
    AudioEncoding,
    Opening,
    SpokenInput,
    StateChanged,
    VoiceEvent,
    VoiceMode,
    VoiceState,
)
from tests.pipeline.stages import EvenVoice, LoudnessActivity, LoudnessWakeWords, ScriptedSpeech, silence, speech
from tests.server.device_store import no_devices
from tests.server.scripted import DictMemory, ScriptedModel, privacy

QUESTION = (silence(0.3), speech(0.6), silence(0.8))
OPEN = Opening(mode=VoiceMode.OPEN)


@dataclass
class Composer:
    """Makes conversations with scripted ears."""

    turns: TurnConductor
    speech: ScriptedSpeech = field(default_factory=ScriptedSpeech)
    sessions: list[VoiceSession] = field(default_factory=list)
    failure: EdgedError | None = None
    sample_rate: int = EvenVoice.sample_rate

    async def session(
        self, opening: Opening, speaker: RemoteSpeaker, emit: Callable[[VoiceEvent], None], reader: Reader
    ) -> VoiceSession:
        if self.failure:
            raise self.failure
        has_wake_word = opening.mode is VoiceMode.WAKE_WORD
        parts = VoiceParts(
            turns=self.turns,
            speech=self.speech,
            voice=EvenVoice(),
            activity=LoudnessActivity(),
            wake_words=LoudnessWakeWords() if has_wake_word else None,
            wake_detector=WakeWordDetector({"okay_nabu": WakePhrase(threshold=0.5, window=1)})
            if has_wake_word
            else None,
            loudspeaker=speaker,
            skills=Skills(language="en", clock=lambda: 0.0, now=lambda: datetime(2026, 11, 26, tzinfo=UTC)),
            mute=lambda: None,
        )
        barge_in = BargeInSettings(settling_seconds=0) if opening.is_echo_cancelled else None
        has_button = opening.mode is VoiceMode.PUSH_TO_TALK
        settings = VoiceSettings(reader=reader, barge_in=barge_in, has_button=has_button, partial_seconds=0)
        session = VoiceSession(parts, settings, emit, thread=ConversationThread(opening.conversation_id))
        self.sessions.append(session)
        return session

    def decoder(self, encoding: AudioEncoding) -> Callable[[bytes], Pcm]:
        return OpusDecoder() if encoding is AudioEncoding.OPUS else from_bytes


class Daemon:
    def __init__(self, socket: Path) -> None:
        self.model, self.memory = ScriptedModel(), DictMemory()
        turns = TurnConductor(self.model, self.memory, 1000)
        self.composer = Composer(turns)
        self.server = Server(
            turns=turns,
            conversations=self.memory,
            engines=self.model,
            privacy=privacy,
            sampling=Sampling(),
            max_message_bytes=100_000,
            registry=no_devices(),
            composer=self.composer,
        )
        self.socket = socket


async def say(call: VoiceCall, *sounds: Pcm) -> None:
    for sound in sounds:
        for start in range(0, len(sound), 1600):
            await call.send(SpokenInput(data=to_bytes(sound[start : start + 1600])))


async def all_of(call: VoiceCall) -> list[VoiceEvent]:
    async with aclosing(call.events()) as events:
        return [event async for event in events]


def states(events: list[VoiceEvent]) -> list[VoiceState]:
    return [event.state for event in events if isinstance(event, StateChanged)]


class Proxy:
    """Between client and daemon, to be cut."""

    def __init__(self, path: Path, target: Path) -> None:
        self.path, self._target = path, target
        self._writers: list[asyncio.StreamWriter] = []
        self.connections = 0

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_unix_server(self._connected, self.path)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.cut()
        self._server.close()
        await self._server.wait_closed()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        their_reader, their_writer = await asyncio.open_unix_connection(self._target)
        self._writers += [writer, their_writer]
        await asyncio.gather(_copy(reader, their_writer), _copy(their_reader, writer), return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()
