"""Wyoming as Home Assistant speaks it: the package's own client against a real server on a loopback port."""

from __future__ import annotations

import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped
from wyoming.wake import Detect, Detection, NotDetected

from edged.audio.pcm import Pcm, from_bytes
from edged.errors import QueueFull
from tests.pipeline.stages import EvenVoice, silence, speech, wake
from tests.server.scripted import until
from tests.server.wyoming_ears import START, Ears, chunk, hear, refusal, say, transcript


async def test_what_there_is(ears: Ears) -> None:
    async with ears.client() as client:
        await say(client, Describe())
        info = Info.from_event(await hear(client))
    assert [model.languages for model in info.asr[0].models] == [["en"]]
    assert [voice.name for voice in info.tts[0].voices] == ["en_US-joe-medium"]
    assert info.tts[0].supports_synthesize_streaming
    assert [(model.name, model.phrase) for model in info.wake[0].models] == [("okay_nabu", "Okay Nabu")]
    assert info.satellite is None, "Home Assistant uses no service of what is a satellite"
    assert all(program.installed for program in (*info.asr, *info.tts, *info.wake))


async def test_a_ping(ears: Ears) -> None:
    async with ears.client() as client:
        await say(client, Ping(text="a"))
        assert Pong.from_event(await hear(client)).text == "a"


async def test_what_nobody_knows_is_dropped(ears: Ears) -> None:
    async with ears.client() as client:
        await client.write_event(Event(type="brew-coffee", data={"sugar": 2}, payload=b"milk"))
        await say(client, AudioStop(), SynthesizeStop(), SynthesizeChunk(text="lost"), Ping())
        assert Pong.is_type((await hear(client)).type)


async def test_sound_is_written_down(ears: Ears) -> None:
    async with ears.client() as client:
        events = [Transcribe(language="en-US"), START, *(chunk(speech(0.064)) for _ in range(10)), AudioStop()]
        heard = await transcript(client, *events)
        assert (heard.text, heard.language) == ("turn on the light", "en")
        assert (await transcript(client, START, chunk(speech(1)), AudioStop())).text == "turn on the light"
    assert ears.speech.seconds == pytest.approx([0.64, 1.0])


@pytest.mark.parametrize(
    ("rate", "width", "channels"), [(8000, 2, 1), (44100, 2, 2), (48000, 4, 2), (16000, 1, 1), (22050, 3, 1)]
)
async def test_sound_of_any_kind(ears: Ears, rate: int, width: int, channels: int) -> None:
    data = bytes(rate * width * channels)
    pieces = [data[start : start + 9999] for start in range(0, len(data), 9999)]  # cut within samples
    sound = [AudioChunk(rate=rate, width=width, channels=channels, audio=piece) for piece in pieces]
    async with ears.client() as client:
        await transcript(client, Transcribe(), AudioStart(rate, width, channels), *sound, AudioStop())
    assert ears.speech.seconds == pytest.approx([1.0], abs=0.001)


async def test_a_recording_that_is_empty(ears: Ears) -> None:
    async with ears.client() as client:
        assert (await transcript(client, Transcribe(), START, AudioStop())).text == "turn on the light"
    assert ears.speech.seconds == [0.0]


async def test_a_client_that_leaves_wants_no_transcript(ears: Ears) -> None:
    ears.speech.release.clear()
    async with ears.client() as client:
        await say(client, START, chunk(speech(1)), AudioStop())
        await until(lambda: ears.speech.seconds)
        await say(client, Ping())
        assert Pong.is_type((await hear(client)).type), "meanwhile it is answered"
    await until(lambda: ears.speech.cancelled)
    await until(lambda: not ears.services.recording)


async def test_failures_reach_the_client(ears: Ears) -> None:
    ears.speech.failure = QueueFull("too many recordings")
    async with ears.client() as client:
        await say(client, START, chunk(speech(1)), AudioStop())
        failure = Error.from_event(await hear(client))
        assert (failure.text, failure.code) == ("too many recordings", "QUEUE_FULL")
        assert await client.read_event() is None


async def sounds(client: AsyncTcpClient, rate: int = EvenVoice.sample_rate) -> Pcm:
    start = AudioStart.from_event(await hear(client))
    assert (start.rate, start.width, start.channels) == (rate, 2, 1)
    audio, at = b"", 0
    while not AudioStop.is_type((event := await hear(client)).type):
        piece = AudioChunk.from_event(event)
        assert (piece.rate, piece.timestamp) == (rate, at)
        audio += piece.audio
        at += piece.milliseconds
    return from_bytes(audio)


async def test_text_is_said_sentence_by_sentence(ears: Ears) -> None:
    async with ears.client() as client:
        await say(client, Synthesize(text="It is 5 °C. **Take** a coat."))
        said = await sounds(client)
    assert ears.voice.said == ["It is five degrees Celsius.", "Take a coat."]
    assert len(said) == 100 * sum(map(len, ears.voice.said))


async def test_text_is_said_while_it_is_written(ears: Ears) -> None:
    async with ears.client() as client:
        await say(client, SynthesizeStart(), SynthesizeChunk(text="One is here. Two "))
        await until(lambda: ears.voice.said == ["One is here."])
        whole = Synthesize(text="One is here. Two is, too.")  # as Home Assistant does
        await say(client, SynthesizeChunk(text="is, too."), whole, SynthesizeStop())
        await sounds(client)
        assert SynthesizeStopped.is_type((await hear(client)).type)
        await say(client, Synthesize(text="Again."))
        await sounds(client)
    assert ears.voice.said == ["One is here.", "Two is, too.", "Again."]


@pytest.mark.parametrize("text", ["", "   ", "```\ncode\n```"])
async def test_text_without_a_sound(ears: Ears, text: str) -> None:
    async with ears.client() as client:
        await say(client, Synthesize(text=text))
        assert len(await sounds(client)) == 0


async def test_wake_words(ears: Ears) -> None:
    async with ears.client() as client:
        await say(client, Detect(names=["okay_nabu"]), START, chunk(silence(0.5)), chunk(wake(), timestamp=500))
        found = Detection.from_event(await hear(client))
        assert (found.name, found.timestamp) == ("okay_nabu", 500)
        await say(client, chunk(silence(1)), chunk(wake(), timestamp=1600), AudioStop())
        assert Detection.from_event(await hear(client)).timestamp == 1600
        await say(client, Detect(), START, chunk(silence(3)), AudioStop())
        assert NotDetected.is_type((await hear(client)).type)
        await say(client, Detect(names=["alexa"]))
        assert "okay_nabu" in refusal(await hear(client))
