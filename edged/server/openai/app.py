"""Which path is answered how."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

import edged
from edged.errors import ContextOverflow, EdgedError, InvalidInput, where_it_broke
from edged.events import Message, Part
from edged.records import DaemonState
from edged.server.caller import caller
from edged.server.interceptors import forget_frames
from edged.server.metrics import CONTENT_TYPE
from edged.server.openai.answer_schema import (
    ChatCompletion,
    ChatCompletionChunk,
    Health,
    Model,
    ModelList,
    TextCompletionChunk,
)
from edged.server.openai.answer_schema import TextCompletion as WholeTextCompletion
from edged.server.openai.answers import EventStream, answered, method_of
from edged.server.openai.audio import add_audio
from edged.server.openai.chat import Completion
from edged.server.openai.completions import TextCompletion, completion_requests
from edged.server.openai.conversation import generation_request
from edged.server.openai.description import EVERYWHERE, POSTED, DescribedApi, answers, errors
from edged.server.openai.embeddings import add_embeddings
from edged.server.openai.failures import body, failed, invalid
from edged.server.openai.forms import form_of
from edged.server.openai.parts import Parts
from edged.server.openai.schema import ChatRequest, CompletionRequest, GenerationOptions
from edged.server.openai.tools import request_field, with_pictures_told

DOCS = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>edged</title>
<link rel="stylesheet" href="/docs/swagger-ui.css"></head><body><div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger-ui", validatorUrl: null})</script></body></html>"""
FROM_HERE_ALONE = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
)
"""What a browser lets the page of documentation load."""

_log = logging.getLogger("edged.server.openai")
MultiPartParser.spool_max_size = sys.maxsize  # a recording never reaches a disk; `Door` bounds what it takes in memory


def make_app(parts: Parts) -> FastAPI:
    """The ASGI application; needs `Door` around it."""
    app = DescribedApi(
        title="edged", version=edged.__version__, docs_url=None, redoc_url=None, responses=errors(*EVERYWHERE)
    )
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(EdgedError, _on_refused)
    app.add_exception_handler(Exception, _on_broken)
    _add_state(app, parts)
    _add_models(app, parts)
    _add_chat(app, parts)
    _add_completions(app, parts)
    add_embeddings(app, parts)
    add_audio(app, parts)
    if parts.docs:
        app.mount("/docs/", StaticFiles(directory=parts.docs))
        app.add_api_route("/docs", _docs, include_in_schema=False)
        app.add_api_route("/", _front, include_in_schema=False)
    return app


def _docs() -> Response:
    return HTMLResponse(DOCS, headers={"content-security-policy": FROM_HERE_ALONE})


def _front() -> Response:
    return RedirectResponse("/docs")


def _add_state(app: FastAPI, parts: Parts) -> None:
    @app.get("/health", responses={**answers(Health), 503: {"model": Health}})
    async def health() -> Response:
        """Tell whether requests are taken. It needs no key and is not logged."""
        state = parts.state()
        return JSONResponse({"status": state.value}, 200 if state is DaemonState.SERVING else 503)

    @app.get("/metrics", response_class=PlainTextResponse, responses=errors(503))
    async def metrics(request: Request) -> Response:
        """Count requests, tokens, times and what waits, in the text format of Prometheus."""

        async def work() -> Response:
            return Response(parts.meter.text(), media_type=CONTENT_TYPE)

        return await answered(parts.border, request, work)


def _add_models(app: FastAPI, parts: Parts) -> None:
    @app.get("/v1/models", responses=answers(ModelList) | errors(401))
    async def list_models() -> Response:
        """List the names that a request may have as its model: the default engine comes first."""
        engines = sorted(parts.engines.models(), key=lambda info: not info.is_default)
        built = {info.name: info.built_at_seconds for info in engines}
        meant = parts.alias_engine or next(iter(built), "")
        told = [*built.items(), (parts.alias, built.get(meant, 0))]
        told += [(parts.embedder.name, 0)] if parts.embedder.is_installed else []
        return JSONResponse({"object": "list", "data": [_model(name, created) for name, created in told]})

    @app.get("/v1/models/{name:path}", responses=answers(Model) | errors(401, 404, 503))
    async def get_model(name: str, request: Request) -> Response:
        """Tell whether there is a model of that name."""

        async def work() -> Response:
            if parts.is_embedder(name):
                return JSONResponse(_model(name, 0))
            engine = await parts.model.resolve(parts.engine(name))
            built = {info.name: info.built_at_seconds for info in parts.engines.models()}
            return JSONResponse(_model(name, built.get(engine, 0)))

        return await answered(parts.border, request, work)


def _add_chat(app: FastAPI, parts: Parts) -> None:
    @app.post(
        "/v1/chat/completions",
        responses=answers(ChatCompletion, events=ChatCompletionChunk) | errors(404, *POSTED),
    )
    async def chat_completions(asked: ChatRequest, request: Request) -> Response:
        """Answer the last message of a conversation, which the request holds whole. `stream` sends it word by word.

        Messages may hold pictures and recordings; tools, forms of the answer and thinking are asked for here. Nothing
        is stored without `store`.
        """

        async def work() -> Response:
            with _named_as_asked(asked):
                return JSONResponse(await (await _completion(parts, asked)).whole())

        if asked.stream:
            chunks = _streamed(partial(_completion, parts, asked), asked)
            return EventStream(parts.border, method_of(request), chunks)
        return await answered(parts.border, request, work)


def _add_completions(app: FastAPI, parts: Parts) -> None:
    @app.post(
        "/v1/completions",
        responses=answers(WholeTextCompletion, events=TextCompletionChunk) | errors(404, *POSTED),
    )
    async def completions(asked: CompletionRequest, request: Request) -> Response:
        """Go on with a text, or with each of several, without making a conversation of it."""

        async def work() -> Response:
            with _named_as_asked(asked):
                return JSONResponse(await (await _text_completion(parts, asked)).whole())

        if asked.stream:
            chunks = _streamed(partial(_text_completion, parts, asked), asked)
            return EventStream(parts.border, method_of(request), chunks)
        return await answered(parts.border, request, work)


async def _streamed(
    begin: Callable[[], Awaitable[Completion | TextCompletion]], asked: GenerationOptions
) -> AsyncGenerator[dict[str, Any], None]:
    with _named_as_asked(asked):
        completion = await begin()
        with_usage = bool(asked.stream_options and asked.stream_options.include_usage)
        async with aclosing(completion.chunks(with_usage=with_usage)) as chunks:
            async for chunk in chunks:
                yield chunk


async def _completion(parts: Parts, asked: ChatRequest) -> Completion:
    """Checked as far as that is possible before it is computed."""
    name = await parts.model.resolve(parts.engine(asked.model or ""))
    wanted = generation_request(asked, parts.sampling, name)
    perceived = [replace(one, parts=await _perceived(parts, one, name)) for one in wanted.messages]
    wanted = replace(wanted, messages=tuple(told for one in perceived for told in with_pictures_told(one)))
    await parts.model.check(wanted)
    generate = partial(parts.keeper.run, reader=caller().reader) if asked.store else parts.model.generate
    return Completion(generate, wanted, asked.n or 1, asked.return_reasoning is not False)


async def _perceived(parts: Parts, message: Message, name: str) -> tuple[Part, ...]:
    try:
        return await parts.perceive(message.parts, name)
    except InvalidInput as exc:
        exc.field = "messages"  # which of its parts, is of no message of the request's
        raise


async def _text_completion(parts: Parts, asked: CompletionRequest) -> TextCompletion:
    name = await parts.model.resolve(parts.engine(asked.model or ""))
    wanted = completion_requests(asked, parts.sampling, name)
    for request in wanted:
        await parts.model.check(request)
    return TextCompletion(parts.model, wanted, asked.n or 1, bool(asked.echo))


@contextmanager
def _named_as_asked(asked: GenerationOptions) -> Iterator[None]:
    """What the engine finds wrong, or too long, names the field as the request has it."""
    try:
        yield
    except ContextOverflow as exc:
        exc.field = "messages" if isinstance(asked, ChatRequest) else "prompt"
        raise
    except InvalidInput as exc:
        form = form_of(asked) if exc.field.startswith("output") else None
        field = form.field if form else request_field(exc.field)
        if exc.field:
            exc.message = exc.message.replace(exc.field, field)
        exc.field = field
        raise


def _model(name: str, created: int) -> dict[str, Any]:
    """created: Unix time; 0 where it is not known."""
    return {"id": name, "object": "model", "created": created, "owned_by": "edged"}


async def _on_invalid(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    forget_frames(exc)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return invalid(exc.errors(), is_json=kind.endswith(("/json", "+json")))


async def _on_refused(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, EdgedError)
    forget_frames(exc)
    return failed(exc)


async def _on_http(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    forget_frames(exc)
    message, code = str(exc.detail).lower(), "invalid_input"
    if exc.status_code == 404:
        message, code = (
            "no such path: /docs and /openapi.json on the daemon's machine list those that are",
            "unknown_url",
        )
    elif exc.status_code == 405:
        message, code = f"this path takes {(exc.headers or {}).get('Allow', 'another method')}", "method_not_supported"
    return JSONResponse(body(message, exc.status_code, code=code), exc.status_code, exc.headers)


async def _on_broken(request: Request, exc: Exception) -> Response:
    _log.error("an answer over HTTP broke\n%s", where_it_broke(exc))
    return JSONResponse(body("internal error; the daemon's log says where", 500, code="internal"), 500)
