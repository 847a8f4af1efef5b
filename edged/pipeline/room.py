"""The room of this machine's own microphone and speaker.

The microphone is open while somebody wants it and nobody muted it, and closed otherwise: a stream that does not exist
hears nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

import numpy as np

from edged.audio.device_stream import DeviceState
from edged.audio.echo import EchoCanceller
from edged.audio.microphone import Microphone
from edged.audio.pcm import Pcm
from edged.audio.speaker import Speaker
from edged.errors import EdgedError, QueueFull, where_it_broke
from edged.pipeline.echo_presence import EchoPresence
from edged.pipeline.ports import VAD_SECONDS, VoiceActivity
from edged.records import MicrophoneState, VoiceStatus
from edged.voice_events import SpokenAudio, StateChanged, TurnFailed, VoiceEvent, VoiceState

MAX_UNREAD = 1000
"""Events that a watcher may leave unread; then it is sent no more."""
LOUD = 1000
"""A sample from the speaker that would be heard, of 32,768."""
LOOK_SECONDS = 0.5
"""Between two looks whether something is left to announce while the microphone is closed."""
REST_SECONDS = 3.0
"""After the last word, until the speaker is closed; it opens again in a tenth of a second, at the wake phrase."""
RETRY_SECONDS = 5.0
"""Until the microphone is tried again that could not be opened."""

_log = logging.getLogger(__name__)
Emit = Callable[[VoiceEvent], None]


class RoomSession(Protocol):
    """Who hears what is said in the room; `edged.pipeline.voice.VoiceSession` is one."""

    async def run(self, sound: AsyncIterator[Pcm]) -> None:
        """Take sound, free of what the speaker plays, until it ends or this is cancelled."""
        ...


MakeSession = Callable[[Speaker, Emit], RoomSession]


class Room:
    """Composed of its devices; `run` belongs in the daemon's TaskGroup."""

    def __init__(
        self,
        microphone: Microphone,
        speaker: Speaker,
        make_canceller: Callable[[], EchoCanceller | None],
        make_session: MakeSession,
        make_activity: Callable[[], VoiceActivity],
        *,
        rings: Callable[[], bool] = lambda: False,
        heard: Callable[[Pcm], None] | None = None,
    ) -> None:
        """The makers load models: they raise MissingExtra, ArtefactError.

        rings: whether the session has something to announce, for which it is kept while the microphone is closed.
        heard: is shown all that is listened to.
        """
        self._rings = rings
        self._microphone = microphone
        self._speaker = speaker
        self._make_canceller = make_canceller
        self._make_session = make_session
        self._make_activity = make_activity
        self._borrower: MakeSession | None = None
        self._heard = heard
        self._wanted = 0
        self._is_muted = False
        self._changed = asyncio.Event()
        self._talk_state = VoiceState.WAITING
        self._stirred = asyncio.Event()
        self._watchers: set[asyncio.Queue[VoiceEvent]] = set()
        self._obstacle = ""

    # --- what others ask of it ---

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Somebody wants the microphone for as long as the block lasts."""
        self._wanted += 1
        self._changed.set()
        try:
            yield
        finally:
            self._wanted -= 1
            self._changed.set()

    @contextmanager
    def lend(self, make_session: MakeSession) -> Iterator[None]:
        """Somebody else's session hears the room, and speaks in it, in place of its own while the block lasts.

        Raises QueueFull where another has it. make_session: called in a thread, whenever the microphone is opened.
        """
        if self._borrower is not None:
            raise QueueFull("somebody else has the room; try again when they have left", retry_seconds=10.0)
        self._borrower = make_session
        try:
            with self.listening():
                yield
        finally:
            self._borrower = None
            self._changed.set()

    @property
    def is_wanted(self) -> bool:
        """Whether somebody wants the microphone."""
        return self._wanted > 0

    @property
    def is_muted(self) -> bool:
        """Whether the microphone stays closed whoever wants it."""
        return self._is_muted

    def mute(self, muted: bool) -> None:
        """Close the microphone, or let it be opened again."""
        self._is_muted = muted
        self._changed.set()

    async def watch(self) -> AsyncGenerator[VoiceEvent, None]:
        """What happens from now on, but for sound; ends when it was left unread for too long."""
        unread: asyncio.Queue[VoiceEvent] = asyncio.Queue(MAX_UNREAD)
        self._watchers.add(unread)
        try:
            while unread in self._watchers or not unread.empty():
                yield await unread.get()
        finally:
            self._watchers.discard(unread)

    def status(self) -> VoiceStatus:
        """As of now."""
        return VoiceStatus(
            microphone=self._state(),
            obstacle=self._obstacle,
            overruns=self._microphone.overruns,
            underruns=self._speaker.underruns,
            reconnects=self._microphone.reconnects + self._speaker.reconnects,
            volume_percent=self._speaker.volume_percent,
        )

    # --- its life ---

    async def run(self) -> None:
        """Listen whenever that is wanted, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._microphone.run())
            tasks.create_task(self._speaker.run())
            while True:
                self._changed.clear()
                if self._is_open or self._rings():
                    await self._keep_session()
                else:
                    await self._changed.wait()

    @property
    def _is_open(self) -> bool:
        return self._wanted > 0 and not self._is_muted

    async def _keep_session(self) -> None:
        """While things are as they are: who has the room, and whether it is listened to."""
        borrower, is_open = self._borrower, self._is_open
        talking = asyncio.create_task(self._talk(borrower or self._make_session, is_open=is_open))
        changed = asyncio.create_task(self._until_changed(borrower, is_open=is_open))
        try:
            await asyncio.wait({talking, changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (talking, changed):
                task.cancel()
            await asyncio.gather(talking, changed, return_exceptions=True)
            await self._microphone.close()
            await self._speaker.close()
        if talking.done() and not talking.cancelled() and (failure := talking.exception()):
            await self._explain(failure)

    async def _until_changed(self, borrower: MakeSession | None, *, is_open: bool) -> None:
        while self._is_open is is_open and self._borrower is borrower and (is_open or self._rings()):
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if is_open else LOOK_SECONDS):
                    await self._changed.wait()

    async def _talk(self, make_session: MakeSession, *, is_open: bool) -> None:
        canceller = await asyncio.to_thread(self._make_canceller) if is_open else None
        session = await asyncio.to_thread(make_session, self._speaker, self._emit)
        await self._speaker.open()
        if is_open:
            await self._microphone.open()
            self._speaker.far_end()  # what was played before is no echo of what is heard from here on
        self._obstacle = ""
        sound = self._sound(canceller) if is_open else _silence()
        if make_session is not self._make_session:
            await session.run(sound)  # when a borrower speaks is not known here
            return
        self._talk_state = VoiceState.WAITING
        async with asyncio.TaskGroup() as tasks:
            resting = tasks.create_task(self._rest_speaker())
            await session.run(sound)
            resting.cancel()

    async def _rest_speaker(self) -> None:
        """Close it while there is nothing to say: to play silence costs as much as to listen."""
        while True:
            self._stirred.clear()
            if self._is_talking and self._speaker.state is DeviceState.MUTED:
                await self._speaker.open()
            with suppress(TimeoutError):
                async with asyncio.timeout(REST_SECONDS):
                    await self._stirred.wait()
                    continue
            if not self._is_talking:
                await self._speaker.close()
                await self._stirred.wait()

    @property
    def _is_talking(self) -> bool:
        """Or may have to at any moment."""
        return self._talk_state is not VoiceState.WAITING or self._rings()

    async def _sound(self, canceller: EchoCanceller | None) -> AsyncIterator[Pcm]:
        """What the microphone hears, without what the speaker plays."""
        presence, activity, is_playing = EchoPresence(), self._make_activity(), False
        async for frame in self._microphone:
            cleaned = frame
            if canceller is not None:
                played = self._speaker.far_end()
                for far in played:
                    canceller.far(far)
                cleaned = canceller.process(frame)
                was_playing, is_playing = is_playing, self._speaker.is_playing
                if is_playing and not was_playing:
                    presence.reset()
                    activity.reset()
                if is_playing and self._is_unheard(presence, activity, frame, played):
                    cleaned = frame
            if self._heard:
                self._heard(cleaned)
            yield cleaned

    def _is_unheard(self, presence: EchoPresence, activity: VoiceActivity, frame: Pcm, played: list[Pcm]) -> bool:
        """Whether the microphone does not hear what the speaker plays."""
        if not presence.is_absent:
            is_loud = any(np.abs(far).max(initial=0) >= LOUD for far in played)
            for probability in activity.push(frame):
                presence.push(speech_probability=probability, is_loud=is_loud, seconds=VAD_SECONDS)
        return presence.is_absent

    async def _explain(self, failure: BaseException) -> None:
        """Say why nobody listens, and try again later or when something changes."""
        problem: BaseException = failure
        while isinstance(problem, BaseExceptionGroup):
            problem = problem.exceptions[0]
        if not isinstance(problem, EdgedError):  # the process border: a room that broke takes nothing else down
            _log.error("the room broke\n%s", where_it_broke(problem))
            problem = EdgedError("the room broke; the daemon's log says where")
        if problem.message != self._obstacle:
            _log.warning("the microphone is not heard: %s", problem.message)
            self._emit(TurnFailed(code=problem.code.name, message=problem.message))
        self._obstacle = problem.message
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS):
                await self._changed.wait()

    def _state(self) -> MicrophoneState:
        if self._is_muted:
            return MicrophoneState.MUTED
        if self._wanted == 0:
            return MicrophoneState.CLOSED
        return MicrophoneState.OPEN if self._microphone.state is DeviceState.OPEN else MicrophoneState.LOST

    def _emit(self, event: VoiceEvent) -> None:
        if isinstance(event, SpokenAudio):
            return
        if isinstance(event, StateChanged):
            self._talk_state = event.state
            self._stirred.set()
        for unread in tuple(self._watchers):
            try:
                unread.put_nowait(event)
            except asyncio.QueueFull:
                self._watchers.discard(unread)


async def _silence() -> AsyncIterator[Pcm]:
    """Of a microphone that is closed: nothing, for as long as anybody waits."""
    await asyncio.Event().wait()
    yield np.zeros(0, np.int16)
