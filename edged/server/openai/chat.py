"""/v1/chat/completions: answers whole, or as they come."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from edged.errors import ContextOverflow
from edged.events import (
    ContextTrimmed,
    Finished,
    GenerationRequest,
    Measured,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolCallStarted,
    TurnEvent,
    Usage,
)
from edged.server.openai.conversation import numbered
from edged.server.openai.tools import add_call_delta, call_delta
from edged.server.openai.usage import chat_logprobs, usage_of


@dataclass
class Completion:
    """One answer of several, or of one, under one id."""

    generate: Callable[[GenerationRequest], AsyncGenerator[TurnEvent, None]]
    """By the model, kept or not."""
    request: GenerationRequest
    count: int
    returns_reasoning: bool
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_urlsafe(18)}")
    created: int = field(default_factory=lambda: int(time.time()))
    usages: list[Usage] = field(default_factory=list)

    async def chunks(self, *, with_usage: bool) -> AsyncGenerator[dict[str, Any], None]:
        """Of a stream. The first of each choice has the role, the last the reason; usage comes at the very end."""
        for index in range(self.count):
            has_begun = False
            async with aclosing(self.generate(numbered(self.request, index))) as events:
                async for event in events:
                    if isinstance(event, ContextTrimmed):
                        raise ContextOverflow(
                            "the messages do not fit the context with room for an answer; leave old ones out",
                            field="messages",
                        )
                    if not has_begun:  # only now, so that a request that cannot be answered still gets its status
                        has_begun = True
                        yield self._chunk(index, {"role": "assistant", "content": ""})
                    match event:
                        case TextDelta(text=text, logprobs=logprobs):
                            yield self._chunk(index, {"content": text}, logprobs=logprobs)
                        case ReasoningDelta(text=text) if self.returns_reasoning:
                            yield self._chunk(index, {"reasoning_content": text, "reasoning": text})
                        case ToolCallStarted() | ToolCallDelta():
                            yield self._chunk(index, call_delta(event))
                        case Measured(usage=usage):
                            self.usages.append(usage)
                        case Finished(finish_reason=reason):
                            yield self._chunk(index, {}, reason.value)
        if with_usage:
            cost = usage_of(self.usages[:1], self.usages)
            yield {**self._head("chat.completion.chunk"), "choices": [], "usage": cost}

    async def whole(self) -> dict[str, Any]:
        """All of it at once."""
        choices: list[dict[str, Any]] = [
            {"index": index, "message": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
            for index in range(self.count)
        ]
        async with aclosing(self.chunks(with_usage=False)) as chunks:
            async for chunk in chunks:
                (piece,) = chunk["choices"]
                choice = choices[piece["index"]]
                for name, text in piece["delta"].items():
                    if name == "tool_calls":
                        add_call_delta(choice["message"], text)
                    elif name != "role":
                        choice["message"][name] = choice["message"].get(name, "") + text
                if piece["logprobs"]:
                    told = choice["logprobs"] or {"content": [], "refusal": None}
                    told["content"] += piece["logprobs"]["content"]
                    choice["logprobs"] = told
                choice["finish_reason"] = piece["finish_reason"] or choice["finish_reason"]
        for choice in choices:
            if "tool_calls" in choice["message"] and not choice["message"]["content"]:
                choice["message"]["content"] = None
        usage = usage_of(self.usages[:1], self.usages)
        return {**self._head("chat.completion"), "choices": choices, "usage": usage}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.request.model}

    def _chunk(
        self, index: int, delta: dict[str, Any], reason: str | None = None, logprobs: Sequence[TokenLogprob] = ()
    ) -> dict[str, Any]:
        told = {"content": chat_logprobs(logprobs), "refusal": None} if logprobs else None
        choice = {"index": index, "delta": delta, "logprobs": told, "finish_reason": reason}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}
