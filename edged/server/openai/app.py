"""Which path is answered how."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Protocol

from fastapi import FastAPI, File, Form, UploadFile
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles

import edged
from edged.errors import InvalidInput, MissingExtra, where_it_broke
from edged.events import Audio, Part, Sampling
from edged.pipeline.hearing import transcript_of, write_down
from edged.pipeline.ports import LanguageModel, SpeechToText, TextToSpeech
from edged.records import DaemonState, ModelInfo
from edged.server.call_border import CallBorder
from edged.server.openai.answers import EventStream, answered, method_of
from edged.server.openai.chat import Completion
from edged.server.openai.conversation import generation_request
from edged.server.openai.failures import RESPONSES, body, invalid
from edged.server.openai.schema import ChatRequest, SpeechRequest

DOCS = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>edged</title>
<link rel="stylesheet" href="/docs/swagger-ui.css"></head><body><div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger-ui"})</script></body></html>"""

_log = logging.getLogger("edged.server.openai")
MultiPartParser.spool_max_size = sys.maxsize  # a recording never reaches a disk; `Door` bounds what it takes in memory


class Models(Protocol):
    """Which engines there are."""

    def models(self) -> Sequence[ModelInfo]:
        """The default one first."""
        ...


class Voice(TextToSpeech, Protocol):
    """Reads aloud once its models are loaded."""

    def load(self) -> None:
        """Blocks. Raises MissingExtra, ArtefactError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the API is made of."""

    model: LanguageModel
    engines: Models
    border: CallBorder
    state: Callable[[], DaemonState]
    sampling: Sampling
    """What requests leave unset."""
    alias: str
    """A name that stands for the engine below."""
    alias_engine: str
    """Empty for the default one."""
    perceive: Callable[[tuple[Part, ...], str], Awaitable[tuple[Part, ...]]]
    """Puts in words what the named engine cannot hear or see."""
    speech: SpeechToText
    voice: Voice
    max_recording_seconds: int
    docs: Path | None
    """Folder of Swagger UI; None where it is not installed."""


def make_app(parts: Parts) -> FastAPI:
    """The ASGI application; needs `Door` around it."""
    app = FastAPI(title="edged", version=edged.__version__, docs_url=None, redoc_url=None, responses=RESPONSES)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_broken)
    _add_models(app, parts)
    _add_chat(app, parts)
    _add_audio(app, parts)
    if parts.docs:
        app.mount("/docs/", StaticFiles(directory=parts.docs))
        app.add_api_route("/docs", lambda: HTMLResponse(DOCS), include_in_schema=False)
    return app


def _add_models(app: FastAPI, parts: Parts) -> None:
    @app.get("/health")
    async def health() -> Response:
        state = parts.state()
        return JSONResponse({"status": state.value}, 200 if state is DaemonState.SERVING else 503)

    @app.get("/v1/models")
    async def list_models() -> dict[str, Any]:
        names = [info.name for info in sorted(parts.engines.models(), key=lambda info: not info.is_default)]
        return {"object": "list", "data": [_model(name) for name in (*names, parts.alias)]}

    @app.get("/v1/models/{name:path}")
    async def get_model(name: str, request: Request) -> Response:
        async def work() -> Response:
            await parts.model.resolve(_engine(parts, name))
            return JSONResponse(_model(name))

        return await answered(parts.border, request, work)


def _add_chat(app: FastAPI, parts: Parts) -> None:
    @app.post("/v1/chat/completions")
    async def chat_completions(asked: ChatRequest, request: Request) -> Response:
        async def work() -> Response:
            return JSONResponse(await (await _completion(parts, asked)).whole())

        if asked.stream:
            return EventStream(parts.border, method_of(request), _streamed(parts, asked))
        return await answered(parts.border, request, work)


async def _streamed(parts: Parts, asked: ChatRequest) -> AsyncGenerator[dict[str, Any], None]:
    with_usage = bool(asked.stream_options and asked.stream_options.include_usage)
    completion = await _completion(parts, asked)
    async with aclosing(completion.chunks(with_usage=with_usage)) as chunks:
        async for chunk in chunks:
            yield chunk


async def _completion(parts: Parts, asked: ChatRequest) -> Completion:
    """Checked as far as that is possible before it is computed."""
    name = await parts.model.resolve(_engine(parts, asked.model or ""))
    wanted = generation_request(asked, parts.sampling, name)
    messages = [replace(one, parts=await parts.perceive(one.parts, name)) for one in wanted.messages]
    wanted = replace(wanted, messages=tuple(messages))
    await parts.model.check(wanted)
    return Completion(parts.model, wanted, asked.n or 1, asked.return_reasoning is not False)


def _add_audio(app: FastAPI, parts: Parts) -> None:
    @app.post("/v1/audio/transcriptions")
    async def transcriptions(
        request: Request,
        file: Annotated[UploadFile, File()],
        model: Annotated[str, Form()] = "",
        response_format: Annotated[str, Form()] = "json",
    ) -> Response:
        if response_format not in ("json", "text"):
            raise RequestValidationError(
                [{"loc": ("body", "response_format"), "msg": "must be json or text", "type": "value_error"}]
            )
        recording = Audio(data=await file.read(), media_type=file.content_type or "audio/wav")

        async def work() -> Response:
            heard = await write_down((recording,), parts.speech, max_seconds=parts.max_recording_seconds)
            text = transcript_of(heard)
            return PlainTextResponse(text) if response_format == "text" else JSONResponse({"text": text})

        return await answered(parts.border, request, work)

    @app.post("/v1/audio/speech")
    async def speech(asked: SpeechRequest, request: Request) -> Response:
        async def work() -> Response:
            return await _said(parts.voice, asked)

        return await answered(parts.border, request, work)


async def _said(voice: Voice, asked: SpeechRequest) -> Response:
    try:
        import numpy as np

        from edged.audio.pcm import to_bytes, to_wav
    except ImportError as exc:
        raise MissingExtra("speech needs an extra: `make setup EXTRAS=voice` or pip install 'edged[voice]'") from exc
    await asyncio.to_thread(voice.load)
    pieces = [piece async for piece in voice.say(asked.input)]
    if not pieces:
        raise InvalidInput("there is nothing in it that can be read aloud", field="input")
    sound = np.concatenate(pieces)
    if asked.response_format == "pcm":
        return Response(to_bytes(sound), media_type=f"audio/pcm;rate={voice.sample_rate}")
    return Response(to_wav(sound, sample_rate=voice.sample_rate), media_type="audio/wav")


def _engine(parts: Parts, name: str) -> str:
    return parts.alias_engine if name == parts.alias else name


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "edged"}


async def _on_invalid(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    return invalid(exc.errors())


async def _on_http(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    return JSONResponse(body(str(exc.detail).lower(), exc.status_code, code="http"), exc.status_code, exc.headers)


async def _on_broken(request: Request, exc: Exception) -> Response:
    _log.error("an answer over HTTP broke\n%s", where_it_broke(exc))
    return JSONResponse(body("internal error; the daemon's log says where", 500, code="internal"), 500)
