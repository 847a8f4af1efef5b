"""A request's conversation as the engine takes it."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import replace

from edged.errors import InvalidInput
from edged.events import (
    Audio,
    GenerationRequest,
    Image,
    Message,
    Part,
    Role,
    Sampling,
    Text,
    ToolResult,
)
from edged.server.openai.forms import form_of
from edged.server.openai.schema import AudioPart, ChatMessage, ChatRequest, GenerationOptions, ImagePart, TextPart
from edged.server.openai.tools import calls_of, tool_use_of, with_results_joined

_DATA_URL = re.compile(r"data:(image/[a-z0-9.+-]{1,40});base64,", re.IGNORECASE)
_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg", "flac": "audio/flac", "ogg": "audio/ogg"}
_ROLES = {"system": Role.SYSTEM, "developer": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT}
MAX_STOPS = 4


def generation_request(request: ChatRequest, defaults: Sampling, model: str) -> GenerationRequest:
    """What is asked of the engine `model`. Raises InvalidInput naming the field."""
    _refuse_what_is_not_there(request)
    messages = with_results_joined([_message(message, number) for number, message in enumerate(request.messages)])
    if messages[-1].role not in (Role.USER, Role.TOOL):
        field = f"messages.{len(request.messages) - 1}.role"
        raise InvalidInput("the last message must be the user's or a tool's", field=field)
    sampling = sampling_of(request, defaults)
    if request.max_completion_tokens is not None:
        sampling = replace(sampling, max_tokens=request.max_completion_tokens)
    form = form_of(request)
    return GenerationRequest(
        messages=messages,
        sampling=replace(sampling, logprobs=_logprobs(request)),
        enable_thinking=request.thinks,
        max_reasoning_tokens=request.thinking.budget_tokens if request.thinking else None,
        model=model,
        output=form.output if form else None,
        tool_use=tool_use_of(request),
    )


def numbered(request: GenerationRequest, number: int) -> GenerationRequest:
    """The request of an answer of several; several answers to one seed are several."""
    seed = request.sampling.seed
    if number == 0 or seed is None:
        return request
    return replace(request, sampling=replace(request.sampling, seed=(seed + number) % 2**64))


def _refuse_what_is_not_there(request: ChatRequest) -> None:
    """To ignore these would change what the answer means."""
    if "audio" in (request.modalities or ()):
        raise InvalidInput("answers are text; /v1/audio/speech reads them aloud", field="modalities")
    if request.store and (request.n or 1) > 1:
        raise InvalidInput("one answer is kept, not several: leave n out", field="store")


def _message(message: ChatMessage, number: int) -> Message:
    place = f"messages.{number}"
    if message.tool_calls and message.role != "assistant":
        raise InvalidInput("only the assistant calls tools", field=f"{place}.tool_calls")
    calls = calls_of(message.tool_calls or (), f"{place}.tool_calls")
    if calls and not message.content:
        return Message(role=Role.ASSISTANT, parts=calls)
    if message.content is None:
        raise InvalidInput("content is missing", field=f"{place}.content")
    if isinstance(message.content, str):
        parts: tuple[Part, ...] = (Text(text=message.content),)
    else:
        parts = tuple(_part(part, f"{place}.content.{index}") for index, part in enumerate(message.content))
    shown = {"user": (Text, Image, Audio), "tool": (Text, Image)}.get(message.role, (Text,))
    if not all(isinstance(part, shown) for part in parts):
        raise InvalidInput("pictures come from users and tools, recordings from users", field=f"{place}.content")
    if message.role == "tool":
        if message.tool_call_id is None:
            raise InvalidInput("tool_call_id is missing", field=f"{place}.tool_call_id")
        words = "\n".join(part.text for part in parts if isinstance(part, Text))
        pictures = [part for part in parts if isinstance(part, Image)]
        result = ToolResult(call_id=message.tool_call_id, content=words)
        return Message(role=Role.TOOL, parts=(result, *pictures))
    return Message(role=_ROLES[message.role], parts=(*parts, *calls))


def _part(part: TextPart | ImagePart | AudioPart, place: str) -> Part:
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
    return Text(text=part.text)


def _decoded(text: str, field: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise InvalidInput("this is no base64", field=field) from exc


def _logprobs(request: ChatRequest) -> int | None:
    if request.logprobs:
        return request.top_logprobs or 0
    if request.top_logprobs is not None:
        raise InvalidInput("top_logprobs takes logprobs to be true", field="top_logprobs")
    return None


def sampling_of(request: GenerationOptions, defaults: Sampling) -> Sampling:
    """What the request has, the rest by default. Raises InvalidInput naming the field."""
    names = ("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty")
    given = {name: value for name in names if (value := getattr(request, name)) is not None}
    if request.max_tokens is not None:
        given["max_tokens"] = request.max_tokens
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
