"""One answer, a step at a time: prefill what the cache does not hold, then decode until it ends.

A step is one prefill chunk or one token, so whoever drives the generator decides after every step what
runs next. Nothing more is computed once it is closed or `cancelled` says so.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from edged.engine.answer import Answer, Step
from edged.engine.encoder import MediaType
from edged.engine.engine import Engine
from edged.engine.kv_cache import CachedSequence
from edged.engine.manifest import Tokens
from edged.engine.perception import Perception
from edged.engine.prompt import Prompt, PromptWriter
from edged.engine.readers import MEDIA_NAMES
from edged.engine.sampling import validate
from edged.engine.session import Logits, Memory
from edged.engine.silent_calls import SilentCalls, known_names
from edged.engine.tool_calls import ToolCalls
from edged.engine.tool_grammar import callable_tools, check_tools
from edged.errors import InvalidInput, UnsupportedPart
from edged.events import (
    Audio,
    ContextTrimmed,
    File,
    Finished,
    FinishReason,
    GenerationRequest,
    Image,
    Measured,
    Message,
    Metrics,
    Part,
    Text,
    ToolChoice,
    Usage,
)


def generate(
    engine: Engine[Memory],
    request: GenerationRequest,
    *,
    arrived: float,
    cancelled: Callable[[], bool],
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Step]:
    """Steps of one answer; the last one ends with Measured and Finished.

    arrived: `clock` when the request came in. Raises InvalidInput, UnsupportedPart, ContextOverflow before
    anything is computed.
    """
    validate_request(request, engine.manifest.vocab_size)
    require_readable(request, engine.name, engine.senses)
    stopwatch = Stopwatch(clock=clock, arrived=arrived, started=clock())
    prompt = prompt_of(engine.prompts, request, engine.senses)
    if prompt.dropped_messages:
        yield (ContextTrimmed(dropped_messages=prompt.dropped_messages),)
    answer = Answer(
        prompt,
        request.sampling,
        tokenizer=engine.tokenizer,
        marks=_marks(engine.manifest.tokens, request),
        max_tokens=min(request.sampling.max_tokens, engine.session.capacity - len(prompt.tokens)),
        constraint=engine.grammars.begin(request.output) if request.output else None,
        tools=_calls(engine, request),
        enable_thinking=request.enable_thinking,
        max_reasoning_tokens=request.max_reasoning_tokens,
        stop_thinking=request.stop_thinking,
    )
    with engine.cache.lease(prompt.tokens, anew=request.sampling.seed is not None) as sequence:
        cached = len(sequence.tokens)
        perception = Perception(
            prompt, engine.senses, hidden_size=engine.manifest.hidden_size, has_axes=engine.manifest.graph.mrope
        )
        logits = yield from _prefill(sequence, prompt.tokens, perception, engine.prefill_chunk, cancelled, stopwatch)
        if logits is not None:
            yield from _decode(sequence, answer, logits, perception.shift, cancelled, stopwatch)
    usage = Usage(
        prompt_tokens=len(prompt.tokens),
        completion_tokens=len(answer.tokens),
        cached_tokens=cached,
        reasoning_tokens=answer.reasoning_tokens,
    )
    yield (
        *answer.flush(),
        Measured(usage=usage, metrics=stopwatch.metrics(usage)),
        Finished(finish_reason=answer.finish_reason or FinishReason.CANCELLED),
    )


def _calls(engine: Engine[Memory], request: GenerationRequest) -> ToolCalls | SilentCalls | None:
    """What tells calls from words; None where there are only words, or the form of the answer says what they are."""
    if use := callable_tools(request.tool_use):
        return ToolCalls(use, engine.tool_form, engine.grammars.begin)
    names = known_names(request)
    return SilentCalls(engine.tool_form, names) if names and not request.output else None


def validate_request(request: GenerationRequest, vocab_size: int | None = None) -> None:
    """Raises InvalidInput whose field names the parameter that is out of range."""
    validate(request.sampling, vocab_size)
    if request.max_reasoning_tokens is not None and request.max_reasoning_tokens < 0:
        raise InvalidInput("max_reasoning_tokens must not be negative", field="max_reasoning_tokens")
    if request.tool_use and request.tool_use.choice is not ToolChoice.NONE:
        check_tools(request.tool_use)
        if request.output and request.tool_use.tools:
            raise InvalidInput("an answer has a form or calls tools: leave one of them out", field="output")


def _marks(tokens: Tokens, request: GenerationRequest) -> Tokens:
    """A plain text goes on plainly: nothing in it is taken for thinking."""
    return tokens if request.prompt is None else replace(tokens, reasoning_open=None, reasoning_close=None)


def prompt_of(prompts: PromptWriter, request: GenerationRequest, media: Collection[MediaType]) -> Prompt:
    """What the model, which reads text and these, reads first. Raises ContextOverflow, InvalidInput."""
    if request.prompt is not None:
        return prompts.plain(request.prompt)
    return prompts.fit(
        told(request.messages, media),
        enable_thinking=request.enable_thinking,
        max_tokens=request.sampling.max_tokens,
        tool_use=callable_tools(request.tool_use),
    )


def require_readable(request: GenerationRequest, name: str, media: Collection[MediaType]) -> None:
    """Raises UnsupportedPart if the last message holds what the model, which reads text and these, cannot read."""
    readable = " and ".join(["text", *(words for kind, words in MEDIA_NAMES.items() if kind in media)])
    for part in request.messages[-1].parts if request.messages else ():
        if isinstance(part, File) and type(part) not in media and not _in_words(part):
            kind = type(part).__name__.lower()
            only = "" if media else " only"
            raise UnsupportedPart(f"{name} reads {readable}{only}, not {kind}; choose another engine with --model")


def told(messages: Sequence[Message], media: Collection[MediaType]) -> tuple[Message, ...]:
    """The messages as text where the model reads no more: what was heard in a recording and seen in a picture."""

    def as_read(part: Part) -> Part:
        if not isinstance(part, File) or type(part) in media:
            return part
        if words := _in_words(part):
            return Text(text=words)
        return Text(text=f"(a {'picture' if isinstance(part, Image) else 'recording'} that you cannot perceive)")

    return tuple(replace(message, parts=tuple(map(as_read, message.parts))) for message in messages)


def _in_words(part: File) -> str:
    """What was heard or seen in it, for who cannot perceive it; empty where nobody wrote that down."""
    return part.transcript if isinstance(part, Audio) else part.description


def _prefill(
    sequence: CachedSequence[Memory],
    tokens: list[int],
    perception: Perception,
    chunk: int,
    cancelled: Callable[[], bool],
    stopwatch: Stopwatch,
) -> Generator[Step, None, Logits | None]:
    """Compute the prompt file by file and chunk by chunk; scores after its last token, None if cancelled."""
    while not cancelled():
        began = stopwatch.clock()
        done = len(sequence.tokens)
        end = min(done + chunk, len(tokens))
        logits = None
        if not perception.perceive(done, end, cancelled):
            logits = sequence.prefill(tokens[done:end], perception.of(done, end))
        stopwatch.prefill_seconds += stopwatch.clock() - began
        if len(sequence.tokens) == len(tokens):
            return logits
        yield ()
    return None


def _decode(
    sequence: CachedSequence[Memory],
    answer: Answer,
    logits: Logits,
    shift: int,
    cancelled: Callable[[], bool],
    stopwatch: Stopwatch,
) -> Iterator[Step]:
    """Choose and compute tokens until the answer is over or cancelled."""
    while True:
        step = answer.extend(logits)
        stopwatch.first_token = stopwatch.first_token or stopwatch.clock()
        yield step
        if answer.finish_reason or cancelled():
            return
        logits = sequence.decode(answer.tokens[-1], shift)


@dataclass(slots=True, kw_only=True)
class Stopwatch:
    """Times of one answer, in seconds of `clock`."""

    clock: Callable[[], float]
    arrived: float
    started: float
    first_token: float | None = None
    prefill_seconds: float = 0.0
    """Spent computing the prompt, without what other answers did between its chunks."""

    def metrics(self, usage: Usage) -> Metrics:
        """What is reported once the answer is over."""
        now = self.clock()
        first = self.first_token or now
        computed = usage.prompt_tokens - usage.cached_tokens
        following = max(0, usage.completion_tokens - 1)
        return Metrics(
            ttft_ms=(first - self.arrived) * 1000,
            prompt_tps=computed / self.prefill_seconds if self.prefill_seconds else 0.0,
            generation_tps=following / (now - first) if now > first else 0.0,
            peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            queue_ms=(self.started - self.arrived) * 1000,
        )
