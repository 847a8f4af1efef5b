"""The answer as it grows: tokens chosen, and the text and thinking they make."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from edged.engine.grammar import Constraint
from edged.engine.manifest import Tokens
from edged.engine.prompt import Prompt
from edged.engine.reasoning import ReasoningSplitter
from edged.engine.sampling import make_sampler
from edged.engine.session import Logits
from edged.engine.stop_strings import StopStrings
from edged.engine.tokenizer import Detokenizer, Tokenizer
from edged.events import FinishReason, GenerationEvent, ReasoningDelta, Sampling, TextDelta

Step = tuple[GenerationEvent, ...]
"""What one step of computing brought to show; often nothing."""


class Answer:
    """The tokens chosen so far and the text they make."""

    def __init__(
        self,
        prompt: Prompt,
        sampling: Sampling,
        *,
        tokenizer: Tokenizer,
        marks: Tokens,
        max_tokens: int,
        constraint: Constraint | None = None,
        enable_thinking: bool = False,
        max_reasoning_tokens: int | None = None,
    ) -> None:
        """constraint: holds what is said, not what is thought before, to the form it was asked for.

        enable_thinking: think before a form; without one the model knows itself whether to.
        max_reasoning_tokens: how many may be thought before the thinking is closed; None for any number.
        """
        self.tokens: list[int] = []
        self.finish_reason: FinishReason | None = None
        self._ends = marks.eos
        self._limit = max_tokens
        self._sampler = make_sampler(sampling, [token for token in prompt.tokens if token >= 0])
        self._tokenizer = tokenizer
        self._detokenizer = Detokenizer(tokenizer)
        self._reasoning = ReasoningSplitter(marks.reasoning_open, marks.reasoning_close, is_thinking=prompt.is_thinking)
        self._thought_left = max_reasoning_tokens
        self._closing = tokenizer.encode(marks.reasoning_close or "")
        self._stops = StopStrings(sampling.stop)
        self._constraint = constraint
        opening = marks.reasoning_open if constraint and enable_thinking and not prompt.is_thinking else None
        self._forced = deque(tokenizer.encode(opening or ""))
        """Tokens that come next, whatever the scores."""
        self._thinks_first = constraint is not None
        if constraint and not self._forced and not prompt.is_thinking:
            self._begin_form()

    def extend(self, logits: Logits) -> Step:
        """Choose the next token; sets finish_reason when it is the last one."""
        token = self._choose(logits)
        if token in self._ends:
            self.finish_reason = FinishReason.STOP
            return ()
        self.tokens.append(token)
        deltas = self._without_stops(self._take(token))
        if self._stops.met or (self._constraint and self._constraint.is_complete):
            self.finish_reason = FinishReason.STOP
        elif len(self.tokens) >= self._limit:
            self.finish_reason = FinishReason.LENGTH
        return deltas

    def _choose(self, logits: Logits) -> int:
        if self._reasoning.is_thinking and self._thought_left is not None:
            if self._thought_left <= 0 and not self._forced:
                self._forced.extend(self._closing)
            self._thought_left -= 1
        if self._forced:
            return self._forced.popleft()
        if self._thinks_first:
            logits = logits.copy()
            logits[list(self._ends)] = -np.inf  # what was asked for is still to come
        token = self._sampler(logits, self.tokens)
        if self._constraint and not self._thinks_first and not self._constraint.allows(token):
            # Models mostly keep to the form by themselves, so what else is allowed is only found out when they do not.
            # That leaves each token as likely as drawing among the allowed at once: p + (1 - A) p / A = p / A.
            token = self._sampler(self._constraint.allow(logits), self.tokens)
        return token

    def _take(self, token: int) -> list[ReasoningDelta | TextDelta]:
        was_thinking = self._reasoning.is_thinking
        deltas = self._reasoning.push(self._detokenizer.push(token))
        if self._thinks_first:
            deltas = _thoughts(deltas)
            if was_thinking and not self._reasoning.is_thinking:
                self._begin_form()
        elif self._constraint:
            self._constraint.push(token)
        return deltas

    def _begin_form(self) -> None:
        """From here on every character counts, and marks of thinking are like any others."""
        self._thinks_first = False
        self._detokenizer = Detokenizer(self._tokenizer, is_literal=True)
        self._reasoning = ReasoningSplitter(None, None)

    def flush(self) -> Step:
        """What was held back while it could still become a mark, a stop string or a character."""
        left = [*self._reasoning.push(self._detokenizer.flush()), *self._reasoning.flush()]
        deltas = self._without_stops(_thoughts(left) if self._thinks_first else left)
        held = self._stops.flush()
        return (*deltas, TextDelta(text=held)) if held else deltas

    def _without_stops(self, deltas: Sequence[ReasoningDelta | TextDelta]) -> Step:
        """Stop strings end the answer; the thinking may mention them."""
        shown: list[GenerationEvent] = []
        for delta in deltas:
            if isinstance(delta, ReasoningDelta):
                shown.append(delta)
            elif text := self._stops.push(delta.text):
                shown.append(TextDelta(text=text))
        return tuple(shown)


def _thoughts(deltas: Sequence[ReasoningDelta | TextDelta]) -> list[ReasoningDelta | TextDelta]:
    """What was thought, without what may stand around it before a form begins."""
    return [delta for delta in deltas if isinstance(delta, ReasoningDelta)]
