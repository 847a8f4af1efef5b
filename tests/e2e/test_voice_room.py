"""The room: a real sound server, the real daemon with its default models, and somebody who speaks.

A private PulseAudio gives the daemon a microphone to hear and a speaker to be heard by. What is said is said by Piper;
what the daemon says is recorded from the speaker and written down by Whisper.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import soxr

from edged.audio.pcm import Pcm, to_samples
from edged.client import Client
from edged.events import MessageState, Started, TextDelta
from edged.records import MicrophoneState
from edged.speech.weights import whisper_folder
from edged.speech.whisper import Whisper
from edged.voice_events import (
    FinalTranscript,
    Interrupted,
    StateChanged,
    TurnTimings,
    VoiceEvent,
    VoiceState,
    WakeDetected,
)
from tests.audio.sound_server import RATE, SoundServer, missing_packages
from tests.e2e.program import DaemonProcess, Home, short_folder
from tests.speech.voices import noise, spoken

pytestmark = pytest.mark.alone

ENGINES = Path(__file__).parents[2] / "build" / "engines"
ROOM_NOISE = 0.003
"""Root mean square of 1: about 40 dB below the voice."""


@pytest.fixture(scope="module")
def server() -> Iterator[SoundServer]:
    if missing := missing_packages():
        pytest.skip(f"needs a sound server: apt-get install {' '.join(missing)}")
    with SoundServer() as server:
        yield server


@pytest.fixture(scope="module")
def daemon(server: SoundServer) -> Iterator[DaemonProcess]:
    with short_folder() as folder:
        home = Home(folder, ENGINES, "smollm2-135m", {"EDGED_SAMPLING__TEMPERATURE": "0", "EDGED_ENGINE__THREADS": "2"})
        with home.daemon(
            **{name: value for name, value in server.variables.items() if name != "XDG_RUNTIME_DIR"}
        ) as it:
            it.address = home.address  # type: ignore[attr-defined]
            yield it


class Room:
    """Somebody in it, who hears and is heard."""

    def __init__(self, client: Client, server: SoundServer) -> None:
        self.client, self.server = client, server
        self.events: list[VoiceEvent] = []

    async def says(self, *sounds: Pcm | str) -> None:
        """Into the microphone, in a little noise, to the end."""
        said = [spoken(sound) if isinstance(sound, str) else sound for sound in sounds]
        whole = np.concatenate(said)
        await asyncio.to_thread(self.server.play, whole + noise(len(whole) / 16_000, ROOM_NOISE)[: len(whole)])

    async def until(self, condition: Callable[[VoiceEvent], bool], *, seconds: float = 60) -> VoiceEvent:
        """The first event for which it holds, of those that came since the last call too."""
        async with asyncio.timeout(seconds):
            while not (found := next((event for event in self.events if condition(event)), None)):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return found

    def of(self, kind: type[VoiceEvent]) -> list[VoiceEvent]:
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def in_the_room(daemon: DaemonProcess, server: SoundServer) -> AsyncIterator[Room]:
    server.replug()
    async with Client(daemon.address) as client:  # type: ignore[attr-defined]
        room = Room(client, server)
        for conversation in (await client.list_conversations()).conversations:
            await client.delete(conversation.id)  # what is asked here has nothing to do with what was asked before

        async def watch() -> None:
            async with aclosing(client.watch_events(listen=True)) as events:
                async for event in events:
                    room.events.append(event)

        watching = asyncio.create_task(watch())
        async with asyncio.timeout(60):
            while not server.listeners():  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)
        try:
            yield room
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            server.end_echo()
    async with asyncio.timeout(20):
        while server.listeners():  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def enters(state: VoiceState) -> Callable[[VoiceEvent], bool]:
    return lambda event: event == StateChanged(state=state)


def written_down(sound: Pcm) -> str:
    samples = soxr.resample(to_samples(sound), RATE, 16_000).astype(np.float32)
    return Whisper(whisper_folder()).transcribe(samples).text.lower()


async def test_a_question_in_the_room_is_answered_aloud(daemon: DaemonProcess, server: SoundServer) -> None:
    async with in_the_room(daemon, server) as room:
        with server.recorded() as recording:
            await room.says(noise(1.0), "Okay Nabu.", noise(0.5), "What is the capital of France?", noise(1.5))
            await room.until(lambda event: isinstance(event, TurnTimings))
            await room.until(lambda event: type(event).__name__ == "Finished")
            heard = recording.samples()
        assert room.of(WakeDetected) == [WakeDetected(phrase="okay_nabu")]
        (transcript,) = room.of(FinalTranscript)
        assert "capital of france" in transcript.text.lower()  # type: ignore[union-attr]
        assert "paris" in "".join(event.text for event in room.events if isinstance(event, TextDelta)).lower()
        assert "paris" in written_down(heard)


async def test_whoever_speaks_interrupts(daemon: DaemonProcess, server: SoundServer) -> None:
    async with in_the_room(daemon, server) as room:
        await room.says(noise(0.5), "Okay Nabu.", noise(0.4), "Tell me a long story about a dragon.", noise(1.5))
        await room.until(enters(VoiceState.SPEAKING))
        with server.recorded() as recording:
            await asyncio.sleep(1.5)
            saying = asyncio.create_task(room.says("Stop talking now.", noise(1.5)))
            interrupted = await room.until(lambda event: isinstance(event, Interrupted))
            await asyncio.sleep(0.3)  # what the sound server still held, and the recorder
            sound = recording.samples()
            await saying
        assert np.abs(sound[-RATE // 10 :]).max() == 0  # it is quiet now
        assert np.abs(sound[:RATE]).max() > 1000  # and was not before
        started = room.of(Started)[0]
        answer = await closed_answer(room.client, started)
        assert answer.state is MessageState.CANCELLED
        assert answer.text == interrupted.heard  # type: ignore[union-attr]
        told = "".join(event.text for event in room.events if isinstance(event, TextDelta))
        assert told.startswith(answer.text) and len(answer.text) < len(told)
        await room.until(lambda event: isinstance(event, FinalTranscript) and "dragon" not in event.text)


async def closed_answer(client: Client, started: VoiceEvent):  # type: ignore[no-untyped-def]
    assert isinstance(started, Started)
    for _ in range(200):
        messages = (await client.get_conversation(started.conversation_id)).messages
        answer = next(message for message in messages if message.id == started.answer_message_id)
        if answer.state is not MessageState.PENDING:
            return answer
        await asyncio.sleep(0.05)
    raise AssertionError("the answer stayed open")


@pytest.mark.parametrize("seconds", [12, pytest.param(60, marks=pytest.mark.soak)])
async def test_it_does_not_answer_its_own_voice(daemon: DaemonProcess, server: SoundServer, seconds: float) -> None:
    """Its speaker stands beside its microphone: it hears nothing but the one question."""
    async with in_the_room(daemon, server) as room:
        server.loop_echo()
        await room.says(noise(0.5), "Okay Nabu.", noise(0.4), "Tell me a long story about a dragon.", noise(1.5))
        await room.until(enters(VoiceState.SPEAKING))
        await asyncio.sleep(seconds)
        assert room.of(Interrupted) == []
        assert len(room.of(FinalTranscript)) == 1
        assert len(room.of(WakeDetected)) == 1


async def test_muted_is_closed_and_unplugged_comes_back(daemon: DaemonProcess, server: SoundServer) -> None:
    async with in_the_room(daemon, server) as room:
        await room.client.mute(True)
        await until_state(room.client, MicrophoneState.MUTED)
        for _ in range(50):
            if not server.listeners():
                break
            await asyncio.sleep(0.1)
        assert server.listeners() == []
        await room.client.mute(False)
        await until_state(room.client, MicrophoneState.OPEN)
        server.unplug()
        await until_state(room.client, MicrophoneState.LOST)
        server.replug()
        await until_state(room.client, MicrophoneState.OPEN)
        room.events.clear()
        await room.says(noise(1.0), "Okay Nabu.", noise(0.5), "What time is it?", noise(1.5))
        await room.until(lambda event: isinstance(event, FinalTranscript) and "time" in event.text.lower())
        status = await room.client.status()
        assert status.voice is not None and status.voice.reconnects >= 1


async def until_state(client: Client, state: MicrophoneState) -> None:
    async with asyncio.timeout(60):
        while True:
            voice = (await client.status()).voice
            if voice is not None and voice.microphone is state:
                return
            await asyncio.sleep(0.1)


async def test_nobody_listens_unless_somebody_wants_it(daemon: DaemonProcess, server: SoundServer) -> None:
    async with Client(daemon.address) as client, aclosing(client.watch_events()) as events:  # type: ignore[attr-defined]
        watching = asyncio.create_task(anext(events))
        await asyncio.sleep(1.0)
        voice = (await client.status()).voice
        assert voice is not None and voice.microphone is MicrophoneState.CLOSED
        assert server.listeners() == []
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
