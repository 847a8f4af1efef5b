"""This machine's room lent to Home Assistant: the package's own client in its place, scripted devices in the room."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import pytest
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event, Eventable
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.pipeline import PipelineStage, RunPipeline
from wyoming.satellite import PauseSatellite, RunSatellite, StreamingStarted, StreamingStopped
from wyoming.snd import Played
from wyoming.tts import Synthesize
from wyoming.vad import VoiceStarted, VoiceStopped
from wyoming.wake import Detection

from edged.audio.device_stream import DeviceState
from edged.audio.pcm import FRAME_SAMPLES, Pcm, from_bytes
from edged.pipeline.room import Room
from edged.pipeline.wake_word import WakePhrase, WakeWordDetector
from edged.records import MicrophoneState
from edged.server.wyoming import answer_sound, satellite
from edged.server.wyoming.offer import Offer
from edged.server.wyoming.satellite import Satellites
from edged.server.wyoming.server import WyomingServer
from edged.voice_events import FinalTranscript, StateChanged, VoiceEvent, VoiceState, WakeDetected
from tests.pipeline.stages import LoudnessActivity, LoudnessWakeWords, PatientSpeaker, Sound, silence, speech, wake
from tests.server.scripted import until

OFFER = Offer(
    recognizer="whisper-tiny.en",
    languages=("en",),
    voice="en_US-joe-medium",
    voice_language="en",
    phrases=MappingProxyType({"okay_nabu": "Okay Nabu"}),
)


class ScriptedMicrophone:
    """Hears what a test says, while it is open."""

    overruns = reconnects = 0

    def __init__(self) -> None:
        self.is_open = False
        self.opened = 0
        self._frames: asyncio.Queue[Pcm] = asyncio.Queue()

    @property
    def state(self) -> DeviceState:
        return DeviceState.OPEN if self.is_open else DeviceState.MUTED

    async def open(self) -> None:
        self.is_open = True
        self.opened += 1

    async def close(self) -> None:
        self.is_open = False

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def __aiter__(self) -> AsyncIterator[Pcm]:
        while True:
            yield await self._frames.get()
            self._frames.task_done()

    async def hears(self, *sounds: Pcm) -> None:
        assert self.is_open
        for sound in sounds:
            for start in range(0, len(sound), FRAME_SAMPLES):
                self._frames.put_nowait(sound[start : start + FRAME_SAMPLES])
        await self._frames.join()


@dataclass
class ScriptedSpeaker(PatientSpeaker):
    underruns: int = 0
    reconnects: int = 0
    rates: set[int] = field(default_factory=set)
    heard: list[Pcm] = field(default_factory=list)

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()

    def far_end(self) -> list[Pcm]:
        return []

    def play(self, pcm: Pcm, *, sample_rate: int, last: bool = True) -> Sound:
        self.rates.add(sample_rate)
        self.heard.append(pcm)
        return super().play(pcm, sample_rate=sample_rate, last=last)

    def finish(self) -> None:
        """What is queued was heard."""
        for sound in self.sounds:
            sound.played_samples = sound.samples
        self._heard.set()


class Household:
    """The room's own conversation, for when nobody has borrowed it."""

    def __init__(self) -> None:
        self.is_listening = False

    def __call__(self, speaker: object, emit: object) -> Household:
        return self

    async def run(self, sound: AsyncIterator[Pcm]) -> None:
        self.is_listening = True
        try:
            async for _ in sound:
                pass
        finally:
            self.is_listening = False


@dataclass
class House:
    microphone: ScriptedMicrophone
    speaker: ScriptedSpeaker
    household: Household
    room: Room
    port: int
    events: list[VoiceEvent]

    def client(self) -> AsyncTcpClient:
        return AsyncTcpClient("127.0.0.1", self.port, read_timeout=10)

    @property
    def states(self) -> list[VoiceState]:
        return [event.state for event in self.events if isinstance(event, StateChanged)]


@asynccontextmanager
async def opened() -> AsyncIterator[House]:
    microphone, speaker, household = ScriptedMicrophone(), ScriptedSpeaker(), Household()
    room = Room(cast(Any, microphone), cast(Any, speaker), lambda: None, cast(Any, household), LoudnessActivity)

    def wake_words() -> tuple[LoudnessWakeWords, WakeWordDetector]:
        phrase = WakePhrase(threshold=0.5, window=1)
        return LoudnessWakeWords(), WakeWordDetector({"okay_nabu": phrase}, refractory_seconds=0.1)

    satellites = Satellites(room, OFFER, wake_words)
    server = WyomingServer("wyoming.satellite", ("127.0.0.1", 0), satellites.serve, most=satellite.MAX_CLIENTS)
    port = int(server.listen().rpartition(":")[2])
    house = House(microphone, speaker, household, room, port, [])
    tasks = [asyncio.create_task(work) for work in (room.run(), server.run(), _watch(room, house.events))]
    try:
        yield house
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        server.close()
    assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends


async def _watch(room: Room, events: list[VoiceEvent]) -> None:
    async for event in room.watch():
        events.append(event)  # noqa: PERF401  # one at a time, as they come


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with opened() as house:
        yield house


async def say(client: AsyncTcpClient, *events: Eventable) -> None:
    for event in events:
        await client.write_event(event.event())


async def hear(client: AsyncTcpClient, kind: type[Eventable]) -> Any:
    event = await client.read_event()
    assert event is not None and kind.is_type(event.type), event
    return kind.from_event(event)


async def ready(client: AsyncTcpClient, house: House) -> None:
    """As Home Assistant begins."""
    opened = house.microphone.opened
    await say(client, RunSatellite(), Describe())
    await hear(client, Info)
    await until(lambda: house.microphone.opened > opened and house.microphone.is_open)


async def woken(client: AsyncTcpClient, house: House) -> None:
    await house.microphone.hears(silence(0.3), wake())
    await hear(client, Detection)
    await hear(client, RunPipeline)
    await hear(client, StreamingStarted)


async def test_what_there_is(house: House) -> None:
    async with house.client() as client:
        await say(client, Describe())
        info = await hear(client, Info)
    assert info.satellite.active_wake_words == ["okay_nabu"] and info.satellite.installed
    assert not info.asr and not info.tts
    assert house.room.status().microphone is MicrophoneState.CLOSED, "nobody asked to hear anything"


async def test_a_question_and_its_answer(house: House) -> None:
    async with house.client() as client:
        await ready(client, house)
        await house.microphone.hears(speech(2))
        await say(client, Ping())
        await hear(client, Pong)  # and nothing of what was said before
        await house.microphone.hears(wake())
        assert (await hear(client, Detection)).name == "okay_nabu"
        pipeline = await hear(client, RunPipeline)
        assert (pipeline.start_stage, pipeline.end_stage) == (PipelineStage.ASR, PipelineStage.TTS)
        assert (pipeline.wake_word_name, pipeline.restart_on_end) == ("okay_nabu", False)
        await hear(client, StreamingStarted)
        await house.microphone.hears(speech(1, 9_000))
        chunks = [await hear(client, AudioChunk) for _ in range(17)]
        assert {(one.rate, one.width, one.channels) for one in chunks} == {(16_000, 2, 1)}
        streamed = from_bytes(b"".join(one.audio for one in chunks))
        assert np.count_nonzero(streamed == 9_000) > 15_000 and 0 < np.count_nonzero(streamed == 8_000) < 1_600
        await say(client, Transcribe(), VoiceStarted(), VoiceStopped())
        await hear(client, StreamingStopped)
        await house.microphone.hears(speech(1))
        await say(client, Transcript(text="what time is it"), Synthesize(text="Five o'clock."))
        house.speaker.plays_at_once = False
        await say(client, AudioStart(22_050, 2, 1), *[AudioChunk(22_050, 2, 1, b"\1\0" * 1024)] * 20, AudioStop())
        await until(lambda: sum(map(len, house.speaker.heard)) == 20 * 1024)
        await say(client, Ping())
        await hear(client, Pong)  # not yet Played
        house.speaker.finish()
        await hear(client, Played)
        assert house.speaker.rates == {22_050}
        await woken(client, house)
    assert next(event for event in house.events if isinstance(event, WakeDetected)).phrase == "okay_nabu"
    assert FinalTranscript(text="what time is it") in house.events
    assert house.states[:4] == [VoiceState.LISTENING, VoiceState.THINKING, VoiceState.SPEAKING, VoiceState.WAITING]


@pytest.mark.parametrize("end", [Transcript(text="yes"), Error(text="no"), VoiceStopped()])
async def test_what_ends_the_stream(house: House, end: Eventable) -> None:
    async with house.client() as client:
        await ready(client, house)
        await woken(client, house)
        await say(client, end)
        await hear(client, StreamingStopped)
        await house.microphone.hears(speech(1))
        await say(client, Ping())
        await hear(client, Pong)


async def test_nobody_ends_the_stream(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(satellite, "MOST_SECONDS", 0.5)
    async with house.client() as client:
        await ready(client, house)
        await woken(client, house)
        await house.microphone.hears(speech(1))
        for _ in range(9):
            await hear(client, AudioChunk)
        await hear(client, AudioStop)
        await hear(client, StreamingStopped)


async def test_the_wake_phrase_cuts_an_answer(house: House) -> None:
    house.speaker.plays_at_once = False
    async with house.client() as client:
        await ready(client, house)
        await say(client, AudioStart(22_050, 2, 1), AudioChunk(22_050, 2, 1, bytes(44_100)))
        await until(lambda: house.speaker.sounds)
        await woken(client, house)
        assert house.speaker.cuts == 1
        await say(client, AudioChunk(22_050, 2, 1, bytes(44_100)), AudioStop())
        await hear(client, Played)
        assert len(house.speaker.sounds) == 1, "the rest of it is not played"


async def test_the_room_is_its_own_again(house: House) -> None:
    with house.room.listening():
        await until(lambda: house.household.is_listening)
        async with house.client() as client:
            await ready(client, house)
            assert not house.household.is_listening
            await woken(client, house)
            await say(client, PauseSatellite())
            await until(lambda: house.household.is_listening)
            await say(client, RunSatellite())
            await until(lambda: not house.household.is_listening and house.microphone.is_open)
        await until(lambda: house.household.is_listening)
    await until(lambda: house.room.status().microphone is MicrophoneState.CLOSED)


async def test_one_has_the_room_at_a_time(house: House) -> None:
    async with house.client() as first, house.client() as second:
        await ready(first, house)
        await say(second, Describe())
        await hear(second, Info)
        await say(second, RunSatellite())
        assert "somebody else has the room" in (await hear(second, Error)).text
        assert await second.read_event() is None
        await woken(first, house)


async def test_a_muted_room(house: House) -> None:
    """Hears nothing; an answer is over as soon as it came; afterwards all is as before."""
    async with house.client() as client:
        await ready(client, house)
        house.room.mute(True)
        await until(lambda: not house.microphone.is_open)
        await say(client, AudioStart(22_050, 2, 1), AudioChunk(22_050, 2, 1, b"\0\0"), AudioStop())
        await hear(client, Played)
        house.room.mute(False)
        await until(lambda: house.microphone.is_open)
        await woken(client, house)


async def test_an_answer_without_a_room(house: House) -> None:
    async with house.client() as client:
        await say(client, AudioStart(22_050, 2, 1), AudioChunk(22_050, 2, 1, b"\0\0"), AudioStop())
        await hear(client, Played)
    assert house.speaker.sounds == []


async def test_an_endless_answer(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_sound, "MAX_AHEAD_SECONDS", 5.0)
    house.speaker.plays_at_once = False
    async with house.client() as client:
        await ready(client, house)
        await say(client, AudioStart(22_050, 2, 1))
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                await say(client, AudioChunk(22_050, 2, 1, bytes(44_100)))
        assert "5 seconds" in (await hear(client, Error)).text
    assert house.speaker.cuts == 1 and len(house.speaker.sounds) <= 6


@pytest.mark.parametrize(
    "sent",
    [
        Event(type="audio-chunk", data={"rate": 0, "width": 2, "channels": 1}, payload=b"ab"),
        Event(type="audio-chunk"),
        Event(type="transcript"),
        Event(type="audio-start", data={"rate": 1}),
    ],
    ids=lambda event: event.type,
)
async def test_hostile_input(house: House, sent: Event, caplog: pytest.LogCaptureFixture) -> None:
    async with house.client() as client:
        await ready(client, house)
        await say(client, AudioStart(22_050, 2, 1))
        await client.write_event(sent)
        await hear(client, Error)
        assert await client.read_event() is None
    async with house.client() as client:
        await ready(client, house)
        await woken(client, house)
    assert "broke" not in caplog.text


async def test_a_transcript_of_another_type(house: House) -> None:
    async with house.client() as client:
        await ready(client, house)
        await woken(client, house)
        await client.write_event(Event(type="transcript", data={"text": ["a"]}))
        await hear(client, StreamingStopped)
    assert not [event for event in house.events if isinstance(event, FinalTranscript)]


async def test_a_client_that_vanishes_while_it_is_spoken_to(house: House, caplog: pytest.LogCaptureFixture) -> None:
    client = house.client()
    await client.connect()
    await ready(client, house)
    await woken(client, house)
    assert client._writer is not None
    client._writer.transport.abort()
    await until(lambda: not house.microphone.is_open)
    assert house.room.status().obstacle == "" and "broke" not in caplog.text
    async with house.client() as another:
        await ready(another, house)
        await woken(another, house)
