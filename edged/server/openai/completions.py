"""/v1/completions: texts that go on, as programs older than chats have them."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from edged.errors import InvalidInput
from edged.events import Finished, GenerationRequest, Measured, Sampling, TextDelta, TokenLogprob, Usage
from edged.pipeline.ports import LanguageModel
from edged.server.openai.conversation import numbered, sampling_of
from edged.server.openai.forms import form_of
from edged.server.openai.schema import CompletionRequest
from edged.server.openai.usage import usage_of

DEFAULT_TOKENS = 16
"""How far a text goes on where the request says nothing, as OpenAI has it."""


def completion_requests(asked: CompletionRequest, defaults: Sampling, model: str) -> list[GenerationRequest]:
    """One for each prompt, for the engine `model`. Raises InvalidInput naming the field."""
    if asked.suffix:
        raise InvalidInput("texts are not filled in, they go on: leave suffix out", field="suffix")
    if asked.best_of not in (None, asked.n or 1):
        raise InvalidInput("all answers are returned: best_of is n", field="best_of")
    if asked.echo and asked.logprobs is not None:
        raise InvalidInput("a prompt has no logprobs: leave echo out", field="echo")
    sampling = replace(sampling_of(asked, replace(defaults, max_tokens=DEFAULT_TOKENS)), logprobs=asked.logprobs)
    form = form_of(asked)
    prompts = [asked.prompt] if isinstance(asked.prompt, str) else asked.prompt
    return [
        GenerationRequest(
            messages=(), prompt=prompt, sampling=sampling, model=model, output=form.output if form else None
        )
        for prompt in prompts
    ]


@dataclass
class TextCompletion:
    """What follows on several prompts, or on one, several times or once, under one id."""

    model: LanguageModel
    requests: Sequence[GenerationRequest]
    count: int
    """Of each prompt."""
    echo: bool
    """Each text begins with its prompt."""
    id: str = field(default_factory=lambda: f"cmpl-{secrets.token_urlsafe(18)}")
    created: int = field(default_factory=lambda: int(time.time()))
    usages: list[Usage] = field(default_factory=list)

    async def chunks(self, *, with_usage: bool) -> AsyncGenerator[dict[str, Any], None]:
        """Of a stream, one text after another; the last of each has the reason, usage comes at the very end."""
        for index in range(len(self.requests) * self.count):
            request = numbered(self.requests[index // self.count], index % self.count)
            offset = 0
            if self.echo:
                yield self._chunk(index, request.prompt or "")
            async with aclosing(self.model.generate(request)) as events:
                async for event in events:
                    match event:
                        case TextDelta(text=text, logprobs=logprobs):
                            yield self._chunk(index, text, logprobs=_logprobs(logprobs, offset))
                            offset += sum(len(token.text) for token in logprobs)
                        case Measured(usage=usage):
                            self.usages.append(usage)
                        case Finished(finish_reason=reason):
                            yield self._chunk(index, "", reason=reason.value)
        if with_usage:
            yield {**self._head(), "choices": [], "usage": self._usage()}

    async def whole(self) -> dict[str, Any]:
        """All of it at once."""
        choices = [self._choice(index, "") for index in range(len(self.requests) * self.count)]
        async with aclosing(self.chunks(with_usage=False)) as chunks:
            async for chunk in chunks:
                (piece,) = chunk["choices"]
                choice = choices[piece["index"]]
                choice["text"] += piece["text"]
                choice["finish_reason"] = piece["finish_reason"]
                if piece["logprobs"]:
                    told = choice["logprobs"] or {name: [] for name in piece["logprobs"]}
                    choice["logprobs"] = {name: told[name] + values for name, values in piece["logprobs"].items()}
        return {**self._head(), "choices": choices, "usage": self._usage()}

    def _head(self) -> dict[str, Any]:
        return {"id": self.id, "object": "text_completion", "created": self.created, "model": self.requests[0].model}

    def _chunk(self, index: int, text: str, **more: Any) -> dict[str, Any]:
        return {**self._head(), "choices": [self._choice(index, text, **more)]}

    def _choice(
        self, index: int, text: str, *, logprobs: dict[str, Any] | None = None, reason: str | None = None
    ) -> dict[str, Any]:
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}

    def _usage(self) -> dict[str, Any]:
        return usage_of(self.usages[:: self.count], self.usages)


def _logprobs(tokens: Sequence[TokenLogprob], offset: int) -> dict[str, Any] | None:
    """offset: characters of the tokens before."""
    if not tokens:
        return None
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.text)
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [{one.text: one.logprob for one in token.top} for token in tokens],
        "text_offset": offsets,
    }
