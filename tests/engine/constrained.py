"""Asks an engine for an answer of a certain form, and follows it to its end."""

from __future__ import annotations

import time

from edged.engine.device import LoadedEngine
from edged.engine.generate import generate
from edged.events import (
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    OutputFormat,
    OutputKind,
    Sampling,
    TextDelta,
)
from tests.engine.scripted import user


def events_of(engine: LoadedEngine, output: OutputFormat | None, sampling: Sampling) -> list[GenerationEvent]:
    request = GenerationRequest(messages=(user("Answer."),), sampling=sampling, output=output)
    steps = generate(engine, request, arrived=time.perf_counter(), cancelled=lambda: False)
    return [event for step in steps for event in step]


def answer(engine: LoadedEngine, output: OutputFormat | None, sampling: Sampling) -> tuple[str, FinishReason]:
    events = events_of(engine, output, sampling)
    assert isinstance(events[-1], Finished)
    return "".join(event.text for event in events if isinstance(event, TextDelta)), events[-1].finish_reason


def regex(text: str) -> OutputFormat:
    return OutputFormat(kind=OutputKind.REGEX, text=text)


def lark(text: str) -> OutputFormat:
    return OutputFormat(kind=OutputKind.LARK, text=text)


def schema(text: str) -> OutputFormat:
    return OutputFormat(kind=OutputKind.JSON_SCHEMA, text=text)


def choices(*texts: str) -> OutputFormat:
    return OutputFormat(kind=OutputKind.CHOICES, choices=texts)
