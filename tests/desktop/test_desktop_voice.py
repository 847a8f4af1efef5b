"""Push to talk, and the daemon's own room: the daemon's ears and both machines' devices are scripted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from edged.audio.device_stream import DeviceState
from edged.audio.pcm import Pcm
from edged.config import VoiceConfig
from edged.errors import DeviceUnavailable, MissingExtra
from edged.events import Finished, FinishReason, Sampling, Started, TextDelta
from edged.pipeline.room import Room
from edged.pipeline.turn import TurnConductor
from edged.server import Server
from edged.voice_events import FinalTranscript, Interrupted, StateChanged, VoiceEvent, VoiceState, WakeDetected
from tests.audio.scripted_devices import Desk, Microphone, Speaker
from tests.desktop.conftest import Open, Window
from tests.pipeline.stages import LoudnessActivity
from tests.server import conversing
from tests.server.device_store import no_devices
from tests.server.scripted import WAIT, DictMemory, ScriptedModel, privacy, until


@pytest.fixture
async def talking(run_dir: Path) -> AsyncIterator[conversing.Daemon]:
    daemon = conversing.Daemon(run_dir / "s")
    await daemon.server.start(daemon.socket)
    daemon.server.serve()
    yield daemon
    await daemon.server.drain(0)


async def record(seen: Window, desk: Desk) -> None:
    """Push, say something, push."""
    before = desk.microphone.frames
    await seen.press("f2")
    await seen.until("RECORDING: F2 asks, Esc drops it", "| RECORDING")
    await until(lambda: desk.microphone.frames > before + 60)
    await seen.press("f2")
    await until(lambda: desk.microphone.state is DeviceState.MUTED)


async def test_a_question_asked_aloud_is_answered_aloud_and_in_writing(
    talking: conversing.Daemon, window: Open
) -> None:
    desk = Desk()
    async with window(own_devices=desk) as seen:
        await seen.until("| ready")
        assert desk.microphone.state is DeviceState.MUTED
        await record(seen, desk)
        await seen.until("you:", "What is the capital of France?", "assistant:", "Paris.", gone="F2 asks")
        await until(lambda: desk.speaker.played)
        await seen.until("| ready")
        await record(seen, desk)
        await seen.until("| ready")
        await until(lambda: len(talking.model.requests) == 2)
        await seen.type("And in writing?")
        await seen.press("enter")
        await seen.until("And in writing?", "2 tokens, 50 a second")
    assert [len(said) for said in talking.memory.messages.values()] == [6]
    assert not desk.is_open


async def test_escape_silences_it(talking: conversing.Daemon, window: Open) -> None:
    talking.model.script = [TextDelta(text="A long story. It began with rain. "), WAIT]
    desk = Desk()
    async with window(own_devices=desk) as seen:
        await seen.until("| ready")
        await record(seen, desk)
        await seen.until("A long story.")
        await until(lambda: desk.speaker.played)
        cuts = desk.speaker.cuts
        await seen.press("escape")
        await seen.until("| ready")
        assert desk.speaker.cuts > cuts
        await until(lambda: talking.model.stopped_early)


async def test_a_microphone_that_does_not_open(talking: conversing.Daemon, window: Open) -> None:
    desk = Desk()
    desk.microphone.failure = DeviceUnavailable("no microphone; `edged doctor` lists what there is")
    async with window(own_devices=desk) as seen:
        await seen.until("| ready")
        await seen.press("f2")
        await seen.told("no microphone; `edged doctor`")
        await seen.until("| ready", gone="RECORDING")


async def test_without_the_extra(talking: conversing.Daemon, window: Open) -> None:
    def none(voice: VoiceConfig) -> Any:
        raise MissingExtra("talking needs an extra")

    async with window(own_devices=none) as seen:
        await seen.until("| ready")
        await seen.press("f2")
        await seen.told("talking needs an extra")


class Visitors:
    """Whoever is in the room says what is scripted, once."""

    events: tuple[VoiceEvent, ...] = (
        WakeDetected(phrase="okay_nabu"),
        StateChanged(state=VoiceState.LISTENING),
        FinalTranscript(text="How tall is it?", speaker="Anna"),
        StateChanged(state=VoiceState.SPEAKING),
        Started(conversation_id="c1", user_message_id="u", answer_message_id="a", model="tiny"),
        TextDelta(text="A hundred met"),
        Interrupted(heard="A hundred"),
        FinalTranscript(text="", speaker=""),
        Finished(finish_reason=FinishReason.STOP),
    )

    def __init__(self, speaker: Any, emit: Callable[[VoiceEvent], None]) -> None:
        self._emit = emit

    async def run(self, sound: AsyncIterator[Pcm]) -> None:
        await anext(sound)
        for event in self.events:
            self._emit(event)
        async for _ in sound:
            pass


async def test_the_room_is_followed_and_muted(run_dir: Path, window: Open) -> None:
    microphone, model, memory = Microphone(), ScriptedModel(), DictMemory()
    room = Room(
        cast(Any, microphone), cast(Any, Speaker()), lambda: cast(Any, None), cast(Any, Visitors), LoudnessActivity
    )
    server = Server(
        turns=TurnConductor(model, memory, 1000),
        conversations=memory,
        engines=model,
        privacy=privacy,
        sampling=Sampling(),
        max_message_bytes=100_000,
        registry=no_devices(),
        room=room,
    )
    await server.start(run_dir / "s")
    server.serve()
    living = asyncio.create_task(room.run())
    try:
        async with window() as seen:
            await seen.until("| ready")
            await seen.press("f3")
            await seen.until("Room: the daemon's own microphone is open", "heard okay nabu", "Anna:", "How tall is it?")
            await seen.until("A hundred met", "interrupted", "you:", "(nothing was understood)", "m Mute")
            assert microphone.state is DeviceState.OPEN
            await seen.press("m")
            await seen.told("The microphone is muted.")
            await until(lambda: microphone.state is DeviceState.MUTED)
            await seen.press("m")
            await seen.told("The microphone is not muted.")
            await seen.press("escape")
            await seen.until("| ready", gone="Room:")
            await until(lambda: microphone.state is DeviceState.MUTED)
    finally:
        await server.drain(0)
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)
