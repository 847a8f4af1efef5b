"""/v1/chat/completions: answers whole, or as they come."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from edged.errors import ContextOverflow
from edged.events import (
    ContextTrimmed,
    Finished,
    GenerationRequest,
    Measured,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from edged.pipeline.ports import LanguageModel


@dataclass
class Completion:
    """One answer of several, or of one, under one id."""

    model: LanguageModel
    request: GenerationRequest
    count: int
    returns_reasoning: bool
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_urlsafe(18)}")
    created: int = field(default_factory=lambda: int(time.time()))
    usages: list[Usage] = field(default_factory=list)

    async def chunks(self, *, with_usage: bool) -> AsyncGenerator[dict[str, Any], None]:
        """Of a stream. The first of each choice has the role, the last the reason; usage comes at the very end."""
        for index in range(self.count):
            if index and self.request.output:
                await self.model.check(self.request)  # a compiled grammar serves one answer
            has_begun = False
            async with aclosing(self.model.generate(self._seeded(index))) as events:
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
                        case TextDelta(text=text):
                            yield self._chunk(index, {"content": text})
                        case ReasoningDelta(text=text) if self.returns_reasoning:
                            yield self._chunk(index, {"reasoning_content": text, "reasoning": text})
                        case Measured(usage=usage):
                            self.usages.append(usage)
                        case Finished(finish_reason=reason):
                            yield self._chunk(index, {}, reason.value)
        if with_usage:
            yield {**self._head("chat.completion.chunk"), "choices": [], "usage": self._usage()}

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
                    if name != "role":
                        choice["message"][name] = choice["message"].get(name, "") + text
                choice["finish_reason"] = piece["finish_reason"] or choice["finish_reason"]
        return {**self._head("chat.completion"), "choices": choices, "usage": self._usage()}

    def _seeded(self, index: int) -> GenerationRequest:
        """Several answers to one seed are several."""
        seed = self.request.sampling.seed
        if index == 0 or seed is None:
            return self.request
        return replace(self.request, sampling=replace(self.request.sampling, seed=(seed + index) % 2**64))

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.request.model}

    def _chunk(self, index: int, delta: dict[str, str], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def _usage(self) -> dict[str, Any]:
        prompt = self.usages[0].prompt_tokens if self.usages else 0
        completion = sum(usage.completion_tokens for usage in self.usages)
        cached = self.usages[0].cached_tokens if self.usages else 0
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": cached},
        }
