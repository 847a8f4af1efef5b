"""A request's conversation as the engine takes it."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import replace

from edged.errors import InvalidInput
from edged.events import (
    Audio,
    GenerationRequest,
    Image,
    Message,
    OutputFormat,
    OutputKind,
    Part,
    Role,
    Sampling,
    Text,
)
from edged.server.openai.schema import AudioPart, ChatMessage, ChatRequest, ImagePart, ResponseFormat

_DATA_URL = re.compile(r"data:(image/[a-z0-9.+-]{1,40});base64,", re.IGNORECASE)
_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg", "flac": "audio/flac", "ogg": "audio/ogg"}
_ROLES = {"system": Role.SYSTEM, "developer": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT}
MAX_STOPS = 4
_OTHER_FORMS = (
    "grammar",
    "json_schema",
    "structured_outputs",
    *map("guided_{}".format, ("json", "regex", "choice", "grammar")),
)
"""How llama.cpp and vLLM name the form of an answer besides."""


def generation_request(request: ChatRequest, defaults: Sampling, model: str) -> GenerationRequest:
    """What is asked of the engine `model`. Raises InvalidInput naming the field."""
    _refuse_what_is_not_there(request)
    messages = tuple(_message(message, number) for number, message in enumerate(request.messages))
    if messages[-1].role is not Role.USER:
        raise InvalidInput("the last message must be the user's", field=f"messages.{len(messages) - 1}.role")
    return GenerationRequest(
        messages=messages,
        sampling=_sampling(request, defaults),
        enable_thinking=request.thinks,
        max_reasoning_tokens=request.thinking.budget_tokens if request.thinking else None,
        model=model,
        output=_output(request.response_format),
    )


def _refuse_what_is_not_there(request: ChatRequest) -> None:
    """To ignore these would change what the answer means."""
    if request.tools and request.tool_choice != "none":
        raise InvalidInput("this version calls no tools: leave tools out, or ask for a json_schema", field="tools")
    if request.functions:
        raise InvalidInput("this version calls no functions: ask for a json_schema", field="functions")
    if request.logprobs or request.top_logprobs:
        field = "logprobs" if request.logprobs else "top_logprobs"
        raise InvalidInput("this version gives no logprobs", field=field)
    if "audio" in (request.modalities or ()):
        raise InvalidInput("answers are text; /v1/audio/speech reads them aloud", field="modalities")
    for name in _OTHER_FORMS:
        if getattr(request, name) is not None:
            raise InvalidInput("ask for a form as response_format, with a json_schema", field=name)
    if request.store:
        raise InvalidInput("this version stores nothing that comes over HTTP", field="store")


def _message(message: ChatMessage, number: int) -> Message:
    place = f"messages.{number}"
    if message.tool_calls:
        raise InvalidInput("this version calls no tools", field=f"{place}.tool_calls")
    if message.content is None:
        raise InvalidInput("content is missing", field=f"{place}.content")
    if isinstance(message.content, str):
        return Message(role=_ROLES[message.role], parts=(Text(text=message.content),))
    parts = tuple(_part(part, f"{place}.content.{index}") for index, part in enumerate(message.content))
    if message.role != "user" and not all(isinstance(part, Text) for part in parts):
        raise InvalidInput("only users send pictures and recordings", field=f"{place}.content")
    return Message(role=_ROLES[message.role], parts=parts)


def _part(part: object, place: str) -> Part:
    if isinstance(part, ImagePart):
        head = _DATA_URL.match(part.image_url.url)
        if head is None:
            message = "pictures come in the request itself, as data:image/png;base64,...: nothing is fetched"
            raise InvalidInput(message, field=f"{place}.image_url.url")
        data = _decoded(part.image_url.url[head.end() :], f"{place}.image_url.url")
        return Image(data=data, media_type=head[1].lower())
    if isinstance(part, AudioPart):
        data = _decoded(part.input_audio.data, f"{place}.input_audio.data")
        return Audio(data=data, media_type=_AUDIO_TYPES[part.input_audio.format])
    return Text(text=part.text)  # type: ignore[attr-defined]  # the third and last kind


def _decoded(text: str, field: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise InvalidInput("this is no base64", field=field) from exc


def _sampling(request: ChatRequest, defaults: Sampling) -> Sampling:
    names = ("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty")
    given = {name: value for name in names if (value := getattr(request, name)) is not None}
    if (limit := request.max_completion_tokens or request.max_tokens) is not None:
        given["max_tokens"] = limit
    if request.seed is not None:
        given["seed"] = request.seed % 2**64
    if request.stop is not None:
        stops = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop)
        if len(stops) > MAX_STOPS:
            raise InvalidInput(f"at most {MAX_STOPS} strings may stop an answer", field="stop")
        given["stop"] = stops
    if request.logit_bias:
        given["logit_bias"] = _bias(request.logit_bias)
    return replace(defaults, **given)


def _bias(given: dict[str, float]) -> dict[int, float]:
    if not all(token.isascii() and token.isdigit() and len(token) < 10 for token in given):
        raise InvalidInput("logit_bias is a mapping from numbers of tokens to -100 to 100", field="logit_bias")
    return {int(token): value for token, value in given.items()}


def _output(form: ResponseFormat | None) -> OutputFormat | None:
    if form is None or form.type == "text":
        return None
    if form.type == "json_object" and form.schema_ is None:
        return OutputFormat(kind=OutputKind.JSON)
    schema = form.schema_ if form.type == "json_object" else form.json_schema and form.json_schema.schema_
    if schema is None:
        raise InvalidInput("json_schema is missing", field="response_format.json_schema")
    return OutputFormat(kind=OutputKind.JSON_SCHEMA, text=json.dumps(schema, ensure_ascii=False))
