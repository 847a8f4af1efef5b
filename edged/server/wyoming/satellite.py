"""This machine's room as Home Assistant's: what follows a wake phrase goes there, what comes back is heard here.

While Home Assistant is connected and has not paused, it has the room; otherwise the room is the assistant's own.
Nothing leaves the microphone for it but what follows a wake phrase, until it has understood.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, aclosing
from typing import Any

from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, Eventable
from wyoming.info import Describe
from wyoming.ping import Ping, Pong
from wyoming.pipeline import PipelineStage, RunPipeline
from wyoming.satellite import PauseSatellite, RunSatellite, StreamingStarted, StreamingStopped
from wyoming.snd import Played
from wyoming.vad import VoiceStopped
from wyoming.wake import Detection

from edged.audio.pcm import SAMPLE_RATE, Pcm, to_bytes
from edged.audio.ring_buffer import RingBuffer
from edged.errors import EdgedError
from edged.pipeline.ports import Loudspeaker, WakeWords
from edged.pipeline.room import Emit, Room, RoomSession
from edged.pipeline.wake_word import WakeWordDetector
from edged.server.wyoming import offer
from edged.server.wyoming.answer_sound import AnswerSound
from edged.server.wyoming.connection import Connection
from edged.server.wyoming.detection import PhraseWatch
from edged.server.wyoming.offer import Offer
from edged.server.wyoming.reading import Kind, parsed
from edged.voice_events import FinalTranscript, StateChanged, VoiceState, WakeDetected

MAX_CLIENTS = 8
AFTER_WAKE_SECONDS = 0.1
"""Of the sound before a wake word was recognised, what may already be the question."""
CHUNK_SAMPLES = 1024
MOST_SECONDS = 60.0
"""Streamed after one wake phrase; Home Assistant gives up before that."""


class Satellites:
    """The room's door. One client at a time has the room; others may ask what there is."""

    def __init__(
        self, room: Room, offered: Offer, wake_words: Callable[[], tuple[WakeWords, WakeWordDetector]]
    ) -> None:
        """wake_words: makes new ones; takes a moment. Raises MissingExtra, ArtefactError, NotFound."""
        self._room = room
        self._info = offer.satellite(offered)
        self._names = tuple(offered.phrases)
        self._wake_words = wake_words

    async def serve(self, connection: Connection) -> None:
        """Until the client leaves. Raises EdgedError, maybe in a group."""
        satellite = _Satellite(self._room, connection, self._info, self._ears)
        await satellite.run()

    def _ears(self, connection: Connection, speaker: Loudspeaker, emit: Emit) -> _Ears:
        words, detector = self._wake_words()
        return _Ears(connection, PhraseWatch(words, detector, self._names), speaker, emit)


class _Satellite:
    """One client."""

    def __init__(
        self,
        room: Room,
        connection: Connection,
        info: Eventable,
        make_ears: Callable[[Connection, Loudspeaker, Emit], _Ears],
    ) -> None:
        self._room = room
        self._connection = connection
        self._info = info
        self._make_ears = make_ears
        self._lent = ExitStack()
        self._ears: _Ears | None = None
        self._answer: AnswerSound | None = None
        self._tasks: asyncio.TaskGroup
        self._playing: asyncio.Task[None] | None = None
        self._takes: dict[Kind[Any], Callable[[Any], Awaitable[None]]] = {
            Describe: self._describe,
            Ping: self._ping,
            RunSatellite: self._run,
            PauseSatellite: self._pause,
            VoiceStopped: self._understood,
            Transcript: self._understood,
            Error: self._understood,
            AudioStart: self._begin_answer,
            AudioChunk: self._take_answer,
            AudioStop: self._end_answer,
        }

    async def run(self) -> None:
        """Until it leaves; the room is then given back."""
        with self._lent:
            async with asyncio.TaskGroup() as self._tasks:
                async with aclosing(self._connection.events()) as events:
                    async for event in events:
                        await self._take(event)
                if self._playing:
                    self._playing.cancel()

    async def _take(self, event: Event) -> None:
        """What is not known, and what is only news, is dropped."""
        for kind, take in self._takes.items():
            if kind.is_type(event.type):
                await take(parsed(kind, event))
                return

    async def _describe(self, _: Describe) -> None:
        await self._connection.send(self._info)

    async def _ping(self, ping: Ping) -> None:
        await self._connection.send(Pong(text=ping.text))

    # --- the room ---

    async def _run(self, _: RunSatellite) -> None:
        self._lent.close()
        self._lent.enter_context(self._room.lend(self._session))

    async def _pause(self, _: PauseSatellite) -> None:
        self._ears = None
        self._lent.close()

    def _session(self, speaker: Loudspeaker, emit: Emit) -> RoomSession:
        """Called by the room, in a thread, each time that its microphone is opened."""
        self._ears = self._make_ears(self._connection, speaker, emit)
        return self._ears

    async def _understood(self, news: VoiceStopped | Transcript | Error) -> None:
        """No more sound is wanted."""
        if self._ears is not None:
            text = news.text if isinstance(news, Transcript) and isinstance(news.text, str) else None
            await self._ears.rest(text)

    # --- what comes back ---

    async def _begin_answer(self, _: AudioStart) -> None:
        ears = self._ears
        self._answer = AnswerSound(ears.speaker) if ears else None
        if ears:
            ears.begin_speaking(self._answer)

    async def _take_answer(self, chunk: AudioChunk) -> None:
        if self._answer is not None:
            await self._answer.push(chunk)

    async def _end_answer(self, _: AudioStop) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.end()
        if self._playing:
            self._playing.cancel()
        self._playing = self._tasks.create_task(self._play_out(answer))

    async def _play_out(self, answer: AnswerSound | None) -> None:
        """Without a room to be heard in, an answer is over at once."""
        if answer is not None:
            await answer.heard()
        if self._ears is not None:
            self._ears.end_speaking()
        await self._connection.send(Played())


class _Ears:
    """What the room's sound goes through; satisfies `edged.pipeline.room.RoomSession`."""

    def __init__(self, connection: Connection, watch: PhraseWatch, speaker: Loudspeaker, emit: Emit) -> None:
        self.speaker = speaker
        self._connection = connection
        self._watch = watch
        self._emit = emit
        self._recent = RingBuffer(AFTER_WAKE_SECONDS)
        self._answer: AnswerSound | None = None
        self._streamed: float | None = None
        """Seconds since the wake phrase; None waits for one."""
        self._waiting = b""

    async def run(self, sound: AsyncIterator[Pcm]) -> None:
        """See RoomSession."""
        async for pcm in sound:
            self._recent.push(pcm)
            if self._streamed is not None:
                await self._stream(pcm)
            else:
                for name in self._watch.heard(pcm):
                    await self._begin(name)

    async def rest(self, text: str | None) -> None:
        """Wait for the next wake phrase. text: what was understood, if that is what ends it."""
        if text is not None:
            self._emit(FinalTranscript(text=text))
        if self._streamed is None:
            return
        self._streamed = None
        self._waiting = b""
        self._watch.reset()
        self._emit(StateChanged(state=VoiceState.THINKING))
        await self._send(StreamingStopped())

    def begin_speaking(self, answer: AnswerSound | None) -> None:
        """A wake phrase cuts it."""
        self._answer = answer
        self._emit(StateChanged(state=VoiceState.SPEAKING))

    def end_speaking(self) -> None:
        """It was heard, or cut."""
        self._answer = None
        if self._streamed is None:
            self._emit(StateChanged(state=VoiceState.WAITING))

    async def _begin(self, name: str) -> None:
        if self._answer is not None:
            self._answer.cut()
        self._streamed = 0.0
        self._emit(WakeDetected(phrase=name))
        self._emit(StateChanged(state=VoiceState.LISTENING))
        pipeline = RunPipeline(
            start_stage=PipelineStage.ASR, end_stage=PipelineStage.TTS, restart_on_end=False, wake_word_name=name
        )
        await self._send(Detection(name=name), pipeline, StreamingStarted())
        self._waiting = to_bytes(self._recent.last(round(AFTER_WAKE_SECONDS * SAMPLE_RATE)))

    async def _stream(self, pcm: Pcm) -> None:
        self._waiting += to_bytes(pcm)
        self._streamed = (self._streamed or 0.0) + len(pcm) / SAMPLE_RATE
        if len(self._waiting) >= 2 * CHUNK_SAMPLES:
            audio, self._waiting = self._waiting[: 2 * CHUNK_SAMPLES], self._waiting[2 * CHUNK_SAMPLES :]
            await self._send(AudioChunk(rate=SAMPLE_RATE, width=2, channels=1, audio=audio))
        if self._streamed is not None and self._streamed >= MOST_SECONDS:
            await self._send(AudioStop())
            await self.rest(None)

    async def _send(self, *events: Eventable) -> None:
        """The room is not to suffer from a client that has gone or hangs: it learns of that by itself."""
        try:
            await self._connection.send(*events)
        except (EdgedError, OSError):
            self._connection.close()
