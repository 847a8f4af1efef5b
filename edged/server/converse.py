"""AssistantService.Converse: conversations by voice with clients, which survive a broken connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import grpc

from edged import wire
from edged.errors import EdgedError, InvalidInput, NotFound, QueueFull, Unavailable, where_it_broke
from edged.pipeline.remote_speaker import RemoteSpeaker
from edged.pipeline.voice import VoiceSession
from edged.records import Reader
from edged.server.caller import caller
from edged.server.kept_session import Decoder, KeptSession
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
OPENING_SECONDS = 10.0
"""How long a call may take to say how it wants to converse."""
SEND_SECONDS = 60.0
"""How long a caller may leave an event unread, once the connection holds no more."""

_log = logging.getLogger("edged.server")


class Composer(Protocol):
    """Makes the parts of a conversation; the daemon's composition root is one."""

    async def session(
        self, opening: Opening, speaker: RemoteSpeaker, emit: Callable[[VoiceEvent], None], reader: Reader
    ) -> VoiceSession:
        """Of who sees what the reader does. Raises NotFound, MissingExtra, ArtefactError."""
        ...

    def decoder(self, encoding: AudioEncoding) -> Decoder:
        """A new one. Raises MissingExtra."""
        ...

    @property
    def sample_rate(self) -> int:
        """Of the sound that comes back, once there was a session."""
        ...


class VoiceCalls:
    """All sessions of a daemon."""

    def __init__(self, composer: Composer, lifecycle: Lifecycle) -> None:
        self._composer = composer
        self._lifecycle = lifecycle
        self._sessions: dict[str, KeptSession] = {}
        self._beginning = 0

    @property
    def count(self) -> int:
        """Conversations that go on."""
        return sum(not session.is_over for session in self._sessions.values())

    async def converse(self, requests: AsyncIterator[pb.ConverseRequest], context: grpc.aio.ServicerContext) -> None:
        """See assistant.proto."""
        opening = await _opening(requests)
        session = self._resumed(opening) if opening.session_id else await self._begun(opening)
        session.superseded.set()
        session.newest_call += 1
        number = session.newest_call
        async with session.serving:  # an earlier call has taken its last request before this one says which
            if number != session.newest_call:
                raise _taken_up()
            session.connected()
            opened = voice_pb2.ConversationOpened(
                session_id=session.id, taken=session.taken, sample_rate=self._composer.sample_rate
            )
            try:
                await context.write(pb.ConverseResponse(opened=opened))
                await self._serve(session, opening.last_sequence, requests, context)
                self._forget(session)  # all was delivered
            finally:
                if session.id in self._sessions:
                    session.left(lambda: self._forget(session))

    def device_changed(self, device_id: str, reader: Reader | None) -> None:
        """End the conversations of a device that is gone (None), or sees others than it did when they began."""
        for session in tuple(self._sessions.values()):
            if session.device_id == device_id and session.reader != reader:
                self._forget(session)

    async def close(self) -> None:
        """End all conversations."""
        living = [session.life for session in self._sessions.values()]
        for session in tuple(self._sessions.values()):
            self._forget(session)
        await asyncio.gather(*living, return_exceptions=True)

    def _resumed(self, opening: voice_pb2.OpenConversation) -> KeptSession:
        session = self._sessions.get(opening.session_id)
        if session is None or session.device_id != _device_id():
            raise NotFound("this session is over; open a new one", resource=("session", opening.session_id))
        session.require_sent(opening.last_sequence)
        return session

    async def _begun(self, opening: voice_pb2.OpenConversation) -> KeptSession:
        asked = wire.opening_from_wire(opening)
        self._make_room()
        self._beginning += 1
        try:
            session = KeptSession(self._composer.decoder(asked.encoding), _device_id(), caller().reader)
            session.voice = await self._composer.session(asked, session.speaker, session.emit, session.reader)
        finally:
            self._beginning -= 1
        session.life = asyncio.create_task(self._live(session))
        self._sessions[session.id] = session
        return session

    def _make_room(self) -> None:
        """Where there are too many, who has been away for longest has to go. Raises QueueFull where all are there."""
        if self.count + self._beginning < MAX_SESSIONS:
            return
        away = [one for one in self._sessions.values() if one.away_since is not None and not one.is_over]
        if not away:
            raise QueueFull(f"{MAX_SESSIONS} conversations by voice are open; try again later", retry_seconds=10.0)
        self._forget(min(away, key=lambda one: one.away_since or 0.0))

    def _forget(self, session: KeptSession) -> None:
        session.end()
        session.life.cancel()
        self._sessions.pop(session.id, None)

    async def _live(self, session: KeptSession) -> None:
        try:
            await session.voice.run(session.sound())
        except* EdgedError as group:
            problem = group.exceptions[0]
            if isinstance(problem, EdgedError):
                session.emit(TurnFailed(code=problem.code.name, message=problem.message))
        except* Exception as group:  # noqa: BLE001  # the process border: a conversation that broke takes no other down
            for each in group.exceptions:
                _log.error("a conversation by voice broke\n%s", where_it_broke(each))
            session.emit(TurnFailed(code="INTERNAL", message="internal error; the daemon's log says where"))
        finally:
            session.end()

    async def _serve(
        self,
        session: KeptSession,
        last_sequence: int,
        requests: AsyncIterator[pb.ConverseRequest],
        context: grpc.aio.ServicerContext,
    ) -> None:
        """Requests in and responses out, until the session is over, or another call or the end of the daemon comes."""
        reading = asyncio.create_task(_read(session, requests))
        writing = asyncio.create_task(_write(session, last_sequence, context))
        draining = asyncio.create_task(self._lifecycle.draining.wait())
        superseded = asyncio.create_task(session.superseded.wait())
        tasks: list[asyncio.Task[Any]] = [reading, writing, draining, superseded]
        try:
            waiting = set(tasks)
            while not (writing.done() or draining.done() or superseded.done()):
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if reading.done() and not reading.cancelled() and reading.exception():
                    self._forget(session)  # what is no input ends the conversation
                    reading.result()
            if writing.done():
                writing.result()
            elif draining.done():
                raise Unavailable("the daemon is shutting down", retry_seconds=RETRY_SECONDS)
            else:
                raise _taken_up()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _device_id() -> str:
    """Of the caller; empty for the operator."""
    device = caller().device
    return device.id if device else ""


def _taken_up() -> InvalidInput:
    return InvalidInput("another call has taken this session up", field="open.session_id")


async def _opening(requests: AsyncIterator[pb.ConverseRequest]) -> voice_pb2.OpenConversation:
    try:
        async with asyncio.timeout(OPENING_SECONDS):
            first = await anext(requests, None)
    except TimeoutError:
        first = None
    if first is None or first.WhichOneof("request") != "open":
        raise InvalidInput("the first request must be `open`", field="open")
    return first.open


async def _read(session: KeptSession, requests: AsyncIterator[pb.ConverseRequest]) -> None:
    """Until the client says that this was all, or is gone. Raises InvalidInput."""
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
                session.taken += 1
                await session.finish()
                return
        session.taken += 1


async def _write(session: KeptSession, last_sequence: int, context: grpc.aio.ServicerContext) -> None:
    async for response in session.responses(last_sequence):
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await context.write(response)
        except TimeoutError:
            raise Unavailable("the caller stopped reading") from None
