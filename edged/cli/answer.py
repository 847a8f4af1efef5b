"""An answer on its way to the terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from edged.cli.output import human_count, printable, say
from edged.errors import Unavailable
from edged.events import (
    ContextTrimmed,
    Finished,
    FinishReason,
    Measured,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    ToolReturned,
    Transcribed,
    TurnEvent,
)
from edged.records import ModelInfo

if TYPE_CHECKING:
    from edged.client import Client

CUT_OFF = "cut off at the longest answer (--max-tokens, or else sampling.max_tokens) or at the end of the context"
"""What is said of an answer that ended for its length."""


async def warn_of_demo(client: Client, model: str) -> None:
    """Tell whoever sits at the terminal before a demo-size model answers. model: empty for the default one."""
    if sys.stderr.isatty():
        answering = await client.get_model(model)
        if answering.is_demo:
            say(demo_warning(answering))


def demo_warning(model: ModelInfo) -> str:
    """What is said of a demo-size model."""
    return (
        f"{model.name} is a demo-size model ({human_count(model.parameters)}), not to be relied on; for a useful one: "
        "`make run MODEL=NAME` in a checkout (`python -m engines catalog` has names) or `edged models import FILE.tar`"
    )


@dataclass(slots=True, kw_only=True)
class Answer:
    """Collects one turn's events; text goes to stdout as it arrives, thinking to stderr."""

    is_streamed: bool = True
    """False only collects."""
    text: str = ""
    reasoning: str = ""
    tool_calls: dict[str, dict[str, str]] = field(default_factory=dict)
    """By id: name, arguments, and what the daemon's tool returned."""
    transcript: str = ""
    """What was heard, where the model cannot hear for itself."""
    started: Started | None = None
    measured: Measured | None = None
    finish_reason: FinishReason | None = None
    _open_line: type[TextDelta | ReasoningDelta] | None = None
    """What the terminal's last line holds, until a newline ends it."""

    async def follow(self, events: AsyncGenerator[TurnEvent, None]) -> None:
        """Take all events. Cancelling this cancels the call, which stops the computation."""
        try:
            async with contextlib.aclosing(events):
                async for event in events:
                    self.push(event)
        finally:
            self._end_line()

    def push(self, event: TurnEvent) -> None:
        """Take the next event."""
        match event:
            case Started():
                self.started = event
            case Transcribed(text=text):
                self.transcript = text
                if self.is_streamed:
                    say(f"heard: {text}")
            case ContextTrimmed(dropped_messages=count):
                say(f"the conversation outgrew the context: left out its {count} oldest messages")
            case ReasoningDelta(text=text):
                self.reasoning += text
                self._write(event)
            case TextDelta(text=text):
                self.text += text
                self._write(event)
            case ToolCallStarted(id=call_id, name=name):
                self.tool_calls[call_id] = {"id": call_id, "name": name, "arguments": ""}
            case ToolCallDelta(text=text):
                next(reversed(self.tool_calls.values()))["arguments"] += text
            case ToolReturned(call_id=call_id, content=content):
                call = self.tool_calls[call_id]
                call["result"] = content
                if self.is_streamed:
                    self._end_line()
                    say(f"called {call['name']} {call['arguments']}")
            case Measured():
                self.measured = event
            case Finished(finish_reason=reason):
                self.finish_reason = reason

    def report(self) -> dict[str, object]:
        """The object that `edged ask --json` prints. Raises Unavailable if the turn did not come to its end."""
        if self.started is None or self.measured is None or self.finish_reason is None:
            raise Unavailable("the daemon broke off its answer")
        metrics = self.measured.metrics
        return {
            "text": self.text,
            "reasoning": self.reasoning,
            **({"transcript": self.transcript} if self.transcript else {}),
            **({"tool_calls": [*self.tool_calls.values()]} if self.tool_calls else {}),
            "finish_reason": self.finish_reason,
            "conversation_id": self.started.conversation_id,
            "model": self.started.model,
            "usage": self.measured.usage,
            "metrics": {
                "ttft_ms": round(metrics.ttft_ms, 2),
                "prompt_tps": round(metrics.prompt_tps, 2),
                "generation_tps": round(metrics.generation_tps, 2),
                "peak_bytes": metrics.peak_bytes,
            },
        }

    def _write(self, delta: TextDelta | ReasoningDelta) -> None:
        if not self.is_streamed or not delta.text:
            return
        if self._open_line not in (None, type(delta)):
            self._end_line()
        click.echo(printable(delta.text), nl=False, err=isinstance(delta, ReasoningDelta))
        self._open_line = None if delta.text.endswith("\n") else type(delta)

    def _end_line(self) -> None:
        if self._open_line:
            click.echo(err=self._open_line is ReasoningDelta)
            self._open_line = None
