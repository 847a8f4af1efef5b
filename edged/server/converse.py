"""Conversations by voice with clients: sessions that survive a broken connection.

A session lives beside the call that opened it. What it emits is numbered and kept until the client has had time to
come back for it; the sound that a client sends goes to it in the order in which it comes.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import grpc

from edged import wire
from edged.audio.pcm import SAMPLE_RATE, Pcm
from edged.errors import EdgedError, InvalidInput, NotFound, QueueFull, Unavailable, where_it_broke
from edged.pipeline.remote_speaker import RemoteSpeaker
from edged.pipeline.voice import VoiceSession
from edged.server.lifecycle import RETRY_SECONDS, Lifecycle
from edged.v1 import assistant_pb2 as pb
from edged.v1 import voice_pb2
from edged.voice_events import (
    AudioEncoding,
    Button,
    EndOfSpeech,
    Opening,
    PlaybackReport,
    SpokenInput,
    Stop,
    TurnFailed,
    VoiceEvent,
)

MAX_SESSIONS = 8
AWAY_SECONDS = 60.0
"""How long a session waits for a client whose connection broke."""
MAX_AUDIO_BYTES = 2 * SAMPLE_RATE
"""A second."""
QUEUED_PIECES = 64
"""Pieces of sound that may wait; a client that sends faster than it speaks is made to wait."""
KEPT_BYTES = 16 * 1024 * 1024
"""Events kept for a client that comes back; the oldest go first."""
SEND_SECONDS = 60.0
"""How long a caller may leave an event unread, once the connection holds no more."""

_log = logging.getLogger("edged.server")


class Decoder(Protocol):
    """Turns what a client sends into samples at 16 kHz."""

    def __call__(self, data: bytes) -> Pcm:
        """Raises InvalidInput."""
        ...


class Composer(Protocol):
    """Makes the parts of a conversation; the daemon's composition root is one."""

    async def session(
        self, opening: Opening, speaker: RemoteSpeaker, emit: Callable[[VoiceEvent], None]
    ) -> VoiceSession:
        """Raises NotFound, MissingExtra, ArtefactError."""
        ...

    def decoder(self, encoding: AudioEncoding) -> Decoder:
        """A new one. Raises MissingExtra."""
        ...

    @property
    def sample_rate(self) -> int:
        """Of the sound that comes back, once there was a session."""
        ...


class _Session:
    """One conversation, its sound in and its numbered events out."""

    voice: VoiceSession
    life: asyncio.Task[None]

    def __init__(self, decode: Decoder) -> None:
        loop = asyncio.get_running_loop()
        self.id = secrets.token_urlsafe(12)
        self.speaker = RemoteSpeaker(self.emit, loop.time)
        self.taken = 0
        """Requests after the opening."""
        self.is_over = False
        self._decode = decode
        self._sound: asyncio.Queue[Pcm | None] = asyncio.Queue(QUEUED_PIECES)
        self._kept: deque[pb.ConverseResponse] = deque()
        self._kept_bytes = 0
        self._sequence = 0
        self._changed = asyncio.Event()
        self._calls = 0
        self._away: asyncio.TimerHandle | None = None

    def connected(self) -> None:
        """A client is there, or is back."""
        self._calls += 1
        if self._away:
            self._away.cancel()

    def left(self) -> None:
        """It has gone; unless it comes back, nobody wants an answer."""
        self._calls -= 1
        if not self._calls and not self.is_over:
            self._away = asyncio.get_running_loop().call_later(AWAY_SECONDS, self.life.cancel)

    def emit(self, event: VoiceEvent) -> None:
        """Number it and keep it."""
        self._sequence += 1
        response = pb.ConverseResponse(sequence=self._sequence, event=wire.voice_event_to_wire(event))
        self._kept.append(response)
        self._kept_bytes += response.ByteSize()
        while self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= self._kept.popleft().ByteSize()
        self._changed.set()

    def end(self) -> None:
        """No more events will come."""
        self.is_over = True
        self._changed.set()

    async def take(self, data: bytes) -> None:
        """The next piece of sound; waits while too much is queued. Raises InvalidInput."""
        if len(data) > MAX_AUDIO_BYTES:
            raise InvalidInput(f"a piece of sound has at most {MAX_AUDIO_BYTES} bytes, a second", field="audio.data")
        await self._sound.put(self._decode(data))

    async def settled(self) -> None:
        """The sound that came before is taken: what was said before a button was released belongs to it."""
        await self._sound.join()

    async def finish(self) -> None:
        """The client sends no more sound."""
        await self._sound.put(None)

    async def sound(self) -> AsyncIterator[Pcm]:
        """What the client sends."""
        while (pcm := await self._sound.get()) is not None:
            yield pcm
            self._sound.task_done()  # whoever iterates has taken it when asking for the next

    async def responses(self, after: int) -> AsyncIterator[pb.ConverseResponse]:
        """Events with numbers above `after`, until the session is over. Raises NotFound where some are gone."""
        if after > self._sequence:
            raise InvalidInput("last_sequence was never sent", field="open.last_sequence")
        while True:
            self._changed.clear()
            waiting = [response for response in self._kept if response.sequence > after]
            if waiting and waiting[0].sequence != after + 1:
                raise NotFound("events of this session are lost; open a new one", resource=("session", self.id))
            for response in waiting:
                after = response.sequence
                yield response
            if self.is_over and after == self._sequence:
                return
            if not waiting:
                await self._changed.wait()


class VoiceCalls:
    """All sessions of a daemon."""

    def __init__(self, composer: Composer, lifecycle: Lifecycle) -> None:
        self._composer = composer
        self._lifecycle = lifecycle
        self._sessions: dict[str, _Session] = {}

    async def converse(self, requests: AsyncIterator[pb.ConverseRequest], context: grpc.aio.ServicerContext) -> None:
        """See assistant.proto."""
        first = await anext(requests, None)
        if first is None or first.WhichOneof("request") != "open":
            raise InvalidInput("the first request must be `open`", field="open")
        session = self._resumed(first.open) if first.open.session_id else await self._begun(first.open)
        session.connected()
        opened = voice_pb2.ConversationOpened(
            session_id=session.id, taken=session.taken, sample_rate=self._composer.sample_rate
        )
        try:
            await context.write(pb.ConverseResponse(opened=opened))
            await self._serve(session, first.open.last_sequence, requests, context)
        except EdgedError:
            session.life.cancel()
            raise
        finally:
            session.left()

    async def close(self) -> None:
        """End all conversations."""
        living = [session.life for session in self._sessions.values()]
        for life in living:
            life.cancel()
        await asyncio.gather(*living, return_exceptions=True)

    def _resumed(self, opening: voice_pb2.OpenConversation) -> _Session:
        session = self._sessions.get(opening.session_id)
        if session is None:
            raise NotFound("this session is over; open a new one", resource=("session", opening.session_id))
        return session

    async def _begun(self, opening: voice_pb2.OpenConversation) -> _Session:
        if len(self._sessions) >= MAX_SESSIONS:
            raise QueueFull(f"{MAX_SESSIONS} conversations by voice are open; try again later", retry_seconds=10.0)
        asked = wire.opening_from_wire(opening)
        session = _Session(self._composer.decoder(asked.encoding))
        session.voice = await self._composer.session(asked, session.speaker, session.emit)
        session.life = asyncio.create_task(self._live(session))
        self._sessions[session.id] = session
        return session

    async def _live(self, session: _Session) -> None:
        try:
            await session.voice.run(session.sound())
        except* EdgedError as group:
            problem = group.exceptions[0]
            if isinstance(problem, EdgedError):
                session.emit(TurnFailed(code=problem.code.name, message=problem.message))
        except* Exception as group:  # noqa: BLE001  # the process border: a conversation that broke takes no other down
            _log.error("a conversation by voice broke\n%s", where_it_broke(group))
            session.emit(TurnFailed(code="INTERNAL", message="internal error; the daemon's log says where"))
        finally:
            session.end()
            self._sessions.pop(session.id, None)

    async def _serve(
        self,
        session: _Session,
        last_sequence: int,
        requests: AsyncIterator[pb.ConverseRequest],
        context: grpc.aio.ServicerContext,
    ) -> None:
        """Requests in and responses out, until the session is over, or the daemon."""
        reading = asyncio.create_task(_read(session, requests))
        writing = asyncio.create_task(_write(session, last_sequence, context))
        draining = asyncio.create_task(self._lifecycle.draining.wait())
        waiting: set[asyncio.Task[Any]] = {reading, writing, draining}
        try:
            while not writing.done() and not draining.done():
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            if not writing.done():
                raise Unavailable("the daemon is shutting down", retry_seconds=RETRY_SECONDS)
        finally:
            for task in (reading, writing, draining):
                task.cancel()
            await asyncio.gather(reading, writing, draining, return_exceptions=True)


async def _read(session: _Session, requests: AsyncIterator[pb.ConverseRequest]) -> None:
    """Until the client sends no more, or is gone."""
    async for request in requests:
        match wire.input_from_wire(request):
            case SpokenInput(data=data):
                await session.take(data)
            case Button(is_pressed=is_pressed):
                await session.settled()
                act = session.voice.press if is_pressed else session.voice.release
                act()
            case Stop():
                session.voice.stop()
            case PlaybackReport(played_seconds=seconds):
                session.speaker.report(seconds)
            case EndOfSpeech():
                await session.finish()
        session.taken += 1


async def _write(session: _Session, last_sequence: int, context: grpc.aio.ServicerContext) -> None:
    async for response in session.responses(last_sequence):
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await context.write(response)
        except TimeoutError:
            raise Unavailable("the caller stopped reading") from None
