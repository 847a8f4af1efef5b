"""/v1/audio: recordings written down, as they are or in English, and texts read aloud."""

from __future__ import annotations

import asyncio
import base64
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal

from fastapi import FastAPI, File, Form, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from edged.audio.decode import RecordingFormat, begin_samples
from edged.audio.encode import ENCODINGS, SoundEncoder
from edged.audio.pcm import SAMPLE_RATE
from edged.errors import InvalidInput
from edged.pipeline.sentences import SentenceSplitter
from edged.records import Transcription, TranscriptionOptions
from edged.server.openai.answer_schema import (
    SpeechDelta,
    SpeechDone,
    Transcript,
    TranscriptDelta,
    TranscriptDone,
    VerboseTranscript,
)
from edged.server.openai.answers import ByteStream, EventStream, answered, method_of
from edged.server.openai.description import POSTED, answers, errors
from edged.server.openai.parts import Parts
from edged.server.openai.schema import SpeechRequest, Switch
from edged.server.openai.transcripts import srt, verbose, vtt

TranscriptForm = Literal["json", "text", "srt", "verbose_json", "vtt"]
_SRT, _VTT = "application/x-subrip", "text/vtt"
_TEXTS = ("text/plain", _SRT, _VTT)
_TIMED = ("srt", "verbose_json", "vtt")
Temperature = Annotated[float, Form(ge=0, le=1)]
Prompt = Annotated[str, Form(max_length=8192, description="What was said before")]
_Language = Annotated[str, Form(max_length=20, description='Its code, such as "en"')]


def add_audio(app: FastAPI, parts: Parts) -> None:
    """The paths under /v1/audio."""

    written = Transcript | VerboseTranscript

    @app.post(
        "/v1/audio/transcriptions",
        responses=answers(written, events=TranscriptDelta | TranscriptDone, texts=_TEXTS) | errors(*POSTED),
    )
    async def transcriptions(
        request: Request,
        file: Annotated[UploadFile, File()],
        model: Annotated[str, Form()] = "",
        language: _Language = "",
        prompt: Prompt = "",
        response_format: Annotated[TranscriptForm, Form()] = "json",
        temperature: Temperature = 0.0,
        granularities: Annotated[
            list[Literal["word", "segment"]] | None, Form(alias="timestamp_granularities[]")
        ] = None,
        stream: Annotated[Switch, Form()] = False,
    ) -> Response:
        """Write a recording down, in its own language: as text, as subtitles, or with the time of each word."""
        has_words = "word" in (granularities or ())
        if has_words and response_format != "verbose_json":
            raise InvalidInput("words have their times in verbose_json alone", field="timestamp_granularities")
        options = TranscriptionOptions(
            language=language, prompt=prompt, temperature=temperature, has_words=response_format in _TIMED
        )
        data = await file.read()
        if stream:
            if response_format in _TIMED:
                raise InvalidInput("a stream is of text: leave response_format out", field="response_format")
            return EventStream(parts.border, method_of(request), _as_it_comes(parts, data, options))

        async def work() -> Response:
            heard = await _heard(parts, data, options)
            return _transcript(heard, response_format, task="transcribe", options=options, has_words=has_words)

        return await answered(parts.border, request, work)

    @app.post("/v1/audio/translations", responses=answers(written, texts=_TEXTS) | errors(*POSTED))
    async def translations(
        request: Request,
        file: Annotated[UploadFile, File()],
        model: Annotated[str, Form()] = "",
        prompt: Prompt = "",
        response_format: Annotated[TranscriptForm, Form()] = "json",
        temperature: Temperature = 0.0,
    ) -> Response:
        """Write a recording down in English, whatever language is spoken in it; takes a multilingual recognizer."""
        options = TranscriptionOptions(
            translates=True, prompt=prompt, temperature=temperature, has_words=response_format in _TIMED
        )
        data = await file.read()

        async def work() -> Response:
            heard = await _heard(parts, data, options)
            return _transcript(heard, response_format, task="translate", options=options, has_words=False)

        return await answered(parts.border, request, work)

    sounds = {encoding.media_type for encoding in ENCODINGS.values()}

    @app.post(
        "/v1/audio/speech",
        response_class=Response,
        responses=answers(events=SpeechDelta | SpeechDone, sounds=sorted(sounds)) | errors(*POSTED),
    )
    async def speech(asked: SpeechRequest, request: Request) -> Response:
        """Read a text aloud. The sound is sent as it is spoken."""
        sound = _said(parts, asked)
        if asked.stream_format == "sse":
            return EventStream(parts.border, method_of(request), _as_events(sound))
        encoding = ENCODINGS[asked.response_format]
        return ByteStream(parts.border, method_of(request), sound, encoding.media_type)


async def _heard(parts: Parts, data: bytes, options: TranscriptionOptions) -> Transcription:
    wanted = RecordingFormat(sample_rate=SAMPLE_RATE, max_seconds=parts.max_recording_seconds)
    try:
        samples = await asyncio.wrap_future(begin_samples(data, wanted))
        return await parts.recognizer.write_down(samples, options)
    except InvalidInput as exc:
        exc.field = exc.field.replace("parts", "file")  # where it is in this request
        raise


def _transcript(
    heard: Transcription, form: TranscriptForm, *, task: str, options: TranscriptionOptions, has_words: bool
) -> Response:
    match form:
        case "text":
            return PlainTextResponse(heard.text)
        case "srt":
            return PlainTextResponse(srt(heard), media_type=_SRT)
        case "vtt":
            return PlainTextResponse(vtt(heard), media_type=_VTT)
        case "verbose_json":
            return JSONResponse(verbose(heard, task=task, temperature=options.temperature, has_words=has_words))
        case "json":
            return JSONResponse({"text": heard.text, "usage": _usage(heard)})


async def _as_it_comes(
    parts: Parts, data: bytes, options: TranscriptionOptions
) -> AsyncGenerator[dict[str, Any], None]:
    """In two events, since it is heard as a whole."""
    heard = await _heard(parts, data, options)
    yield {"type": "transcript.text.delta", "delta": heard.text}
    yield {"type": "transcript.text.done", "text": heard.text, "usage": _usage(heard)}


def _usage(heard: Transcription) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(heard.seconds)}


async def _said(parts: Parts, asked: SpeechRequest) -> AsyncGenerator[bytes, None]:
    """The file, as it is spoken."""
    await asyncio.to_thread(parts.voice.load)
    encoder = await asyncio.to_thread(
        SoundEncoder, ENCODINGS[asked.response_format], sample_rate=parts.voice.sample_rate
    )
    is_silent = True
    splitter = SentenceSplitter()
    # The voice is everybody's: whoever else wants to speak may do so after each sentence.
    for sentence in (*splitter.push(asked.input), *splitter.finish()):
        async with aclosing(parts.voice.say(sentence, speed=asked.speed or 1.0)) as sounds:
            async for pcm in sounds:
                is_silent = False
                if data := await asyncio.to_thread(encoder.push, pcm):
                    yield data
    if is_silent:
        raise InvalidInput("there is nothing in it that can be read aloud", field="input")
    yield await asyncio.to_thread(encoder.flush)


async def _as_events(sound: AsyncGenerator[bytes, None]) -> AsyncGenerator[dict[str, Any], None]:
    async with aclosing(sound):
        async for data in sound:
            yield {"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()}
    yield {"type": "speech.audio.done"}
