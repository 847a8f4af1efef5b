"""The room: when its microphone is open, who hears it, and what happens when something breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from edged.audio.device_stream import DeviceState
from edged.audio.pcm import Pcm
from edged.errors import DeviceUnavailable, MissingExtra, QueueFull
from edged.pipeline import room as room_module
from edged.pipeline.room import Room
from edged.records import MicrophoneState
from edged.voice_events import SpokenAudio, StateChanged, TurnFailed, VoiceEvent, VoiceState, WakeDetected
from tests.pipeline.stages import LoudnessActivity, silence
from tests.server.scripted import until


class Device:
    """Microphone and speaker in one, as far as a room looks at them."""

    is_playing = False
    overruns = underruns = reconnects = 0
    volume_percent = 80

    def __init__(self) -> None:
        self.state = DeviceState.MUTED
        self.openings = 0
        self.failure: Exception | None = None

    async def open(self) -> None:
        if self.failure:
            raise self.failure
        self.openings += 1
        self.state = DeviceState.OPEN

    async def close(self) -> None:
        self.state = DeviceState.MUTED

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def __aiter__(self) -> AsyncIterator[Pcm]:
        while True:
            await asyncio.sleep(0.005)
            yield silence(0.01)

    def far_end(self) -> list[Pcm]:
        return []


class Session:
    """Counts what it hears."""

    def __init__(self, emit: Callable[[VoiceEvent], None], failure: Exception | None = None) -> None:
        self.emit, self.failure = emit, failure
        self.heard = 0
        self.is_running = False

    async def run(self, sound: AsyncIterator[Pcm]) -> None:
        self.is_running = True
        try:
            async for _ in sound:
                self.heard += 1
                if self.failure:
                    raise self.failure
        finally:
            self.is_running = False


class Canceller:
    """Nothing to cancel yet; counts what it was given."""

    is_passing_through = True

    def __init__(self) -> None:
        self.far_frames = self.near_frames = 0

    def far(self, frame: Pcm) -> None:
        self.far_frames += 1

    def process(self, near: Pcm) -> Pcm:
        self.near_frames += 1
        return near


class Home:
    def __init__(self) -> None:
        self.microphone, self.speaker = Device(), Device()
        self.canceller: Canceller | None = None
        self.sessions: list[Session] = []
        self.failure: Exception | None = None
        self.is_ringing = False
        self.room = Room(
            self.microphone,  # type: ignore[arg-type]
            self.speaker,  # type: ignore[arg-type]
            lambda: self.canceller,  # type: ignore[arg-type,return-value]
            self._session,  # type: ignore[arg-type]
            LoudnessActivity,
            rings=lambda: self.is_ringing,
        )

    def _session(self, speaker: Device, emit: Callable[[VoiceEvent], None]) -> Session:
        if isinstance(self.failure, MissingExtra):
            raise self.failure
        self.sessions.append(Session(emit, self.failure))
        return self.sessions[-1]


@asynccontextmanager
async def living() -> AsyncIterator[Home]:
    home = Home()
    running = asyncio.create_task(home.room.run())
    await asyncio.sleep(0)
    yield home
    assert not running.done(), running.exception()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert home.microphone.state is DeviceState.MUTED


async def test_it_listens_while_somebody_wants_it() -> None:
    async with living() as home:
        assert home.room.status().microphone is MicrophoneState.CLOSED
        with home.room.listening():
            await until(lambda: home.sessions and home.sessions[0].heard > 3)
            with home.room.listening():
                assert home.room.status().microphone is MicrophoneState.OPEN
            await asyncio.sleep(0.05)
            assert home.microphone.state is DeviceState.OPEN
        await until(lambda: home.microphone.state is DeviceState.MUTED)
        assert not home.sessions[0].is_running


async def test_muted_is_closed_whoever_wants_it() -> None:
    async with living() as home:
        with home.room.listening():
            await until(lambda: home.sessions and home.sessions[0].heard)
            home.room.mute(True)
            await until(lambda: home.microphone.state is DeviceState.MUTED)
            assert home.room.status().microphone is MicrophoneState.MUTED
            home.room.mute(False)
            await until(lambda: home.microphone.state is DeviceState.OPEN)
        assert home.microphone.openings == 2


@pytest.mark.parametrize("failure", [MissingExtra("pip install x"), DeviceUnavailable("no microphone is plugged in")])
async def test_what_keeps_it_from_listening_is_said_once_and_tried_again(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room_module, "RETRY_SECONDS", 0.02)
    async with living() as home:
        home.failure, home.microphone.failure = failure, failure
        events: list[VoiceEvent] = []
        watching = asyncio.create_task(collect(home.room, events))
        await asyncio.sleep(0)
        with home.room.listening():
            await until(lambda: home.room.status().obstacle)
            assert home.room.status().microphone is MicrophoneState.LOST
            await asyncio.sleep(0.1)
            home.failure = home.microphone.failure = None
            await until(lambda: home.room.status().microphone is MicrophoneState.OPEN)
            assert home.room.status().obstacle == ""
        assert sum(isinstance(event, TurnFailed) for event in events) == 1
        watching.cancel()


async def test_a_room_that_breaks_takes_nothing_else_down(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(room_module, "RETRY_SECONDS", 0.02)
    async with living() as home:
        home.failure = RuntimeError("what somebody said in private")
        with home.room.listening():
            await until(lambda: len(home.sessions) > 1)
            home.failure = None
            await until(lambda: home.sessions[-1].heard > 3)
    assert "RuntimeError" in caplog.text
    assert "private" not in caplog.text


async def test_timers_ring_while_the_microphone_is_closed() -> None:
    async with living() as home:
        with home.room.listening():
            await until(lambda: home.sessions and home.sessions[0].heard)
            home.is_ringing = True
            home.room.mute(True)
            await until(lambda: len(home.sessions) == 2 and home.sessions[1].is_running)
            assert home.microphone.state is DeviceState.MUTED
            assert home.speaker.state is DeviceState.OPEN
            assert home.sessions[1].heard == 0
            home.is_ringing = False
            await until(lambda: not home.sessions[1].is_running)


async def test_the_speaker_rests_while_there_is_nothing_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module, "REST_SECONDS", 0.02)
    async with living() as home:
        with home.room.listening():
            await until(lambda: home.sessions and home.sessions[0].heard)
            await until(lambda: home.speaker.state is DeviceState.MUTED)
            assert home.microphone.state is DeviceState.OPEN
            for state in (VoiceState.LISTENING, VoiceState.THINKING, VoiceState.SPEAKING):
                home.sessions[0].emit(StateChanged(state=state))
                await asyncio.sleep(0.05)
                assert home.speaker.state is DeviceState.OPEN
            home.sessions[0].emit(StateChanged(state=VoiceState.WAITING))
            await until(lambda: home.speaker.state is DeviceState.MUTED)
        assert home.speaker.openings == 2


async def test_the_canceller_is_given_as_much_of_the_near_end_as_of_the_far_end() -> None:
    """While nothing is heard from the speaker, too: silence that piles up would delay the next echo's far end."""
    async with living() as home:
        home.canceller, calls = Canceller(), 0

        def in_bursts() -> list[Pcm]:
            nonlocal calls
            calls += 1
            return [silence(0.01)] * 4 if calls % 4 == 0 else []

        home.speaker.far_end = in_bursts  # type: ignore[method-assign]
        with home.room.listening():
            await until(lambda: home.canceller and home.canceller.far_frames >= 40)
            assert abs(home.canceller.far_frames - home.canceller.near_frames) <= 4


async def test_a_running_timer_keeps_the_speaker_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module, "REST_SECONDS", 0.02)
    async with living() as home:
        home.is_ringing = True
        with home.room.listening():
            await until(lambda: home.sessions and home.sessions[0].heard)
            await asyncio.sleep(0.1)
            assert home.speaker.state is DeviceState.OPEN


async def test_one_other_may_have_the_room() -> None:
    async with living() as home:
        borrowed: list[Session] = []

        def theirs(speaker: Device, emit: Callable[[VoiceEvent], None]) -> Session:
            borrowed.append(Session(emit))
            return borrowed[-1]

        with home.room.listening():
            await until(lambda: home.sessions)
            with home.room.lend(theirs):  # type: ignore[arg-type]
                await until(lambda: borrowed and borrowed[0].heard)
                assert not home.sessions[0].is_running
                with pytest.raises(QueueFull), home.room.lend(theirs):  # type: ignore[arg-type]
                    pass
            await until(lambda: len(home.sessions) == 2 and home.sessions[1].heard)


async def test_watchers_see_what_happens_but_hear_nothing() -> None:
    async with living() as home:
        events: list[VoiceEvent] = []
        watching = asyncio.create_task(collect(home.room, events))
        with home.room.listening():
            await until(lambda: home.sessions)
            home.sessions[0].emit(SpokenAudio(data=b"xx", sample_rate=1, is_last=True))
            home.sessions[0].emit(WakeDetected(phrase="okay_nabu"))
            await until(lambda: events)
        assert events == [WakeDetected(phrase="okay_nabu")]
        watching.cancel()


async def test_who_does_not_read_is_left_behind() -> None:
    async with living() as home:
        with home.room.listening():
            await until(lambda: home.sessions)
            async with aclosing(home.room.watch()) as events:
                first = asyncio.create_task(anext(events))
                await asyncio.sleep(0)
                for _ in range(room_module.MAX_UNREAD + 10):
                    home.sessions[0].emit(WakeDetected(phrase="x"))
                await first
                assert len([event async for event in events]) <= room_module.MAX_UNREAD


async def collect(room: Room, events: list[VoiceEvent]) -> None:
    async with aclosing(room.watch()) as watched:
        async for event in watched:
            events.append(event)  # noqa: PERF401  # who looks at them sees them come
