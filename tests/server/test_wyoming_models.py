"""The real models over the wire: Piper says it, Whisper writes it down, and the wake phrase is heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize
from wyoming.wake import Detect, Detection, NotDetected

from edged.audio.pcm import SAMPLE_RATE, Pcm, to_bytes
from edged.config import load_config
from edged.daemon.speech import Speech
from edged.daemon.wyoming import ports
from edged.errors import NotFound
from edged.pipeline.room import Room
from tests.speech.voices import in_a_quiet_room, spoken, wrong_words

SENTENCE = "Please turn on the kitchen light. It is 5 °C outside."


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    config = load_config({"HOME": str(tmp_path), "EDGED_WYOMING__LISTEN": "127.0.0.1:0", "EDGED_ENGINE__THREADS": "2"})
    speech = Speech(config)
    (server,) = ports(config, speech, cast(Room, None))
    port = int(server.listen().rpartition(":")[2])
    running = asyncio.create_task(server.run())
    yield port
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    speech.close()


def client(port: int) -> AsyncTcpClient:
    return AsyncTcpClient("127.0.0.1", port, read_timeout=60)


async def hear(client: AsyncTcpClient) -> Event:
    event = await client.read_event()
    assert event is not None
    return event


async def test_what_is_said_is_written_down(port: int) -> None:
    async with client(port) as voice:
        await voice.write_event(Describe().event())
        info = Info.from_event(await hear(voice))
        assert info.asr[0].models[0].name == "whisper-tiny.en"
        assert info.tts[0].voices[0].name == "en_US-joe-medium"
        await voice.write_event(Synthesize(text=SENTENCE).event())
        sound = [await hear(voice)]
        while not AudioStop.is_type(sound[-1].type):
            sound.append(await hear(voice))
    assert AudioStart.from_event(sound[0]).rate == 22_050
    async with client(port) as recognizer:
        await recognizer.write_event(Transcribe(language="en").event())
        for event in sound:  # as it came, at the voice's rate
            await recognizer.write_event(event)
        heard = Transcript.from_event(await hear(recognizer)).text
    assert wrong_words("Please turn on the kitchen light. It is five degrees Celsius outside.", heard) <= 2, heard


@pytest.mark.parametrize(
    ("sound", "is_heard"), [("Okay Nabu, what time is it?", True), ("What is the capital of France?", False)]
)
async def test_the_wake_phrase(port: int, sound: str, is_heard: bool) -> None:
    async with client(port) as ears:
        await ears.write_event(Detect(names=["okay_nabu"]).event())
        await ears.write_event(AudioStart(SAMPLE_RATE, 2, 1).event())
        for chunk in _chunks(in_a_quiet_room(spoken(sound))):
            await ears.write_event(chunk.event())
        await ears.write_event(AudioStop().event())
        event = await hear(ears)
    if is_heard:
        assert Detection.from_event(event).name == "okay_nabu"
    else:
        assert NotDetected.is_type(event.type)


def _chunks(pcm: Pcm) -> list[AudioChunk]:
    return [
        AudioChunk(SAMPLE_RATE, 2, 1, to_bytes(pcm[start : start + 1024]), timestamp=start * 1000 // SAMPLE_RATE)
        for start in range(0, len(pcm), 1024)
    ]


def offered(tmp_path: Path, **voice: str) -> Info:
    environ: dict[str, Any] = {f"EDGED_VOICE__{key.upper()}": value for key, value in voice.items()}
    config = load_config({"HOME": str(tmp_path), "EDGED_WYOMING__LISTEN": "127.0.0.1:0", **environ})
    speech = Speech(config)
    try:
        (server,) = ports(config, speech, cast(Room, None))
    finally:
        speech.close()
    return cast(Any, server)._serve.__self__.info  # type: ignore[no-any-return]


def test_what_is_offered_is_what_is_configured(tmp_path: Path) -> None:
    chinese = offered(tmp_path, language="zh")
    assert (chinese.asr[0].models[0].name, chinese.asr[0].models[0].languages) == ("whisper-base", ["zh"])
    assert (chinese.tts[0].voices[0].name, chinese.tts[0].voices[0].languages) == ("espeak", ["zh"])
    voice = tmp_path / "de_DE-thorsten-high.onnx"
    for file in (voice, tmp_path / "de_DE-thorsten-high.onnx.json"):
        file.touch()
    any_ = offered(tmp_path, language="auto", voice=str(voice), recognizer="/models/whisper-small")
    assert any_.asr[0].models[0].name == "whisper-small" and {"de", "en"} < set(any_.asr[0].models[0].languages)
    assert (any_.tts[0].voices[0].name, any_.tts[0].voices[0].languages) == ("de_DE-thorsten-high", ["de"])
    two = offered(tmp_path, wake_words="hey_jarvis, alexa")
    assert [(model.name, model.phrase) for model in two.wake[0].models] == [
        ("hey_jarvis", "Hey Jarvis"),
        ("alexa", "Alexa"),
    ]


def test_a_wake_word_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="okay_nabuu"):
        offered(tmp_path, wake_words="okay_nabuu")
