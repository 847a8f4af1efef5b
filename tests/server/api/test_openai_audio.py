"""Recordings and speech, as OpenAI's own client has them."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import av
import numpy as np
import openai
import pytest

from edged.audio.encode import ENCODINGS, SoundEncoder
from edged.events import Audio
from edged.records import SpokenWord, TranscriptionOptions
from edged.server.openai.transcripts import MAX_SEGMENT_CHARACTERS, segments
from tests.audio.recordings import wav
from tests.server.api.http_daemon import RATE, Ears, HttpDaemon

SECOND = ("x.wav", wav(bytes(2 * RATE)))


async def test_a_recording_is_written_down(daemon: HttpDaemon) -> None:
    async with daemon.client() as client:
        heard = await client.audio.transcriptions.create(
            model="whisper-1", file=SECOND, language="en", prompt="seconds", temperature=0.5
        )
        assert heard.text == "1.0 seconds of sound"
        assert (await client.audio.transcriptions.create(model="", file=SECOND, response_format="text")) == heard.text
        with pytest.raises(openai.BadRequestError) as raised:
            await client.audio.transcriptions.create(model="", file=SECOND, language="xx")
        assert raised.value.param == "language"
        with pytest.raises(openai.BadRequestError) as raised:
            await client.audio.transcriptions.create(model="", file=("x.wav", b"RIFFnothing"))
        assert raised.value.param == "file"
    ears = daemon.parts.recognizer
    assert isinstance(ears, Ears)
    assert ears.asked[0] == TranscriptionOptions(language="en", prompt="seconds", temperature=0.5)


@pytest.mark.parametrize("form", ["wav", "mp3"])
async def test_a_question_may_be_a_recording(daemon: HttpDaemon, form: str) -> None:
    encoder = SoundEncoder(ENCODINGS[form], sample_rate=RATE)
    data = base64.b64encode(encoder.push(np.zeros(3 * RATE, np.int16)) + encoder.flush()).decode()
    part = {"type": "input_audio", "input_audio": {"data": data, "format": form}}
    assert (await daemon.chat(content=[part])).status == 200
    (heard,) = daemon.model.requests[0].messages[-1].parts
    assert isinstance(heard, Audio) and heard.transcript.startswith("3.")


async def test_a_transcript_has_its_times(daemon: HttpDaemon) -> None:
    async with daemon.client() as client:
        heard = await client.audio.transcriptions.create(
            model="", file=SECOND, response_format="verbose_json", timestamp_granularities=["word", "segment"]
        )
        assert (heard.language, heard.duration, heard.text) == ("en", 1.0, "1.0 seconds of sound")
        assert heard.words and [(word.word, word.start, word.end) for word in heard.words][1] == ("seconds", 0.25, 0.5)
        assert heard.segments
        (segment,) = heard.segments
        assert (segment.id, segment.text, segment.start, segment.end) == (0, heard.text, 0.0, 1.0)
        assert segment.tokens == [0, 1, 2, 3] and segment.avg_logprob == pytest.approx(np.log(0.5))
        without: Any = await client.audio.transcriptions.create(model="", file=SECOND, response_format="verbose_json")
        assert without.words is None
        srt = await client.audio.transcriptions.create(model="", file=SECOND, response_format="srt")
        assert srt == "1\n00:00:00,000 --> 00:00:01,000\n1.0 seconds of sound\n"
        vtt = await client.audio.transcriptions.create(model="", file=SECOND, response_format="vtt")
        assert vtt == "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n1.0 seconds of sound\n"
        with pytest.raises(openai.BadRequestError):
            await client.audio.transcriptions.create(model="", file=SECOND, timestamp_granularities=["word"])


async def test_a_transcript_as_events(daemon: HttpDaemon) -> None:
    async with daemon.client() as client:
        stream = await client.audio.transcriptions.create(model="", file=SECOND, stream=True)
        events: list[Any] = [event async for event in stream]
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
    assert events[0].delta == events[1].text == "1.0 seconds of sound"


async def test_a_recording_in_english(daemon: HttpDaemon) -> None:
    async with daemon.client() as client:
        with pytest.deprecated_call():  # by the client, not by this API
            heard = await client.audio.translations.create(model="whisper-1", file=SECOND)
    assert heard.text == "1.0 seconds of sound"
    assert isinstance(daemon.parts.recognizer, Ears) and daemon.parts.recognizer.asked[0].translates


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav"])
async def test_a_text_is_read_aloud_as_a_file_that_players_know(daemon: HttpDaemon, form: Any) -> None:
    async with daemon.client() as client:
        said = await client.audio.speech.create(model="tts-1", voice="alloy", input="one two", response_format=form)
        slow = await client.audio.speech.create(model="", voice="x", input="one two", response_format="pcm", speed=0.5)
    with av.open(io.BytesIO(said.content)) as container:
        stream = container.streams.audio[0]
        samples = sum(frame.samples for frame in container.decode(stream))
    assert 0.19 < samples / stream.rate < 0.4, "codecs pad"
    assert len(slow.content) == 2 * 2 * RATE // 5


async def test_sound_comes_as_it_is_spoken(daemon: HttpDaemon) -> None:
    async with (
        daemon.client() as client,
        client.audio.speech.with_streaming_response.create(
            model="", voice="alloy", input="one two three", response_format="wav"
        ) as response,
    ):
        assert response.headers["content-type"] == "audio/wav" and "content-length" not in response.headers
        pieces = [piece async for piece in response.iter_bytes()]
    assert b"".join(pieces).startswith(b"RIFF") and len(b"".join(pieces)) == 44 + 2 * 3 * RATE // 10


async def test_sound_as_events(daemon: HttpDaemon) -> None:
    said = {"input": "one two", "response_format": "pcm", "stream_format": "sse"}
    answer = await daemon.post("/v1/audio/speech", said)
    assert answer.headers["content-type"].startswith("text/event-stream")
    sound = b"".join(map(base64.b64decode, re.findall(rb'"audio": "([^"]+)"', answer.body)))
    assert len(sound) == 2 * RATE // 5 and b"speech.audio.done" in answer.body


async def test_what_cannot_be_read_aloud_has_its_status(daemon: HttpDaemon) -> None:
    assert (await daemon.post("/v1/audio/speech", {"input": " "})).json()["error"]["param"] == "input"
    broken = await daemon.post("/v1/audio/speech", {"input": "BREAK"})
    assert broken.status >= 400 and "the voice broke" in broken.json()["error"]["message"]
    late = await daemon.post("/v1/audio/speech", {"input": "one BREAK", "response_format": "pcm"})
    assert late.status == 200 and not late.body.endswith(b"0\r\n\r\n"), "it ends before it is whole"


def words(*said: tuple[str, float, float]) -> list[SpokenWord]:
    return [
        SpokenWord(text=text, start_seconds=start, end_seconds=end, probability=1.0, tokens=())
        for text, start, end in said
    ]


def test_segments_are_sentences_pauses_and_what_can_be_read() -> None:
    said = words((" Hello.", 0, 1), (" Is", 1, 2), (" it", 2, 3), (" so", 5, 6))
    assert [one.text for one in segments(said)] == ["Hello.", "Is it", "so"]
    long = words(*((" word", float(place), place + 1.0) for place in range(100)))
    assert all(len(one.text) <= MAX_SEGMENT_CHARACTERS for one in segments(long))
    assert [word for one in segments(long) for word in one.words] == long
