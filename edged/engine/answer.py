"""The answer as it grows: tokens chosen, and the text and thinking they make."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from threading import Event

import numpy as np

from edged.engine.grammar import Constraint
from edged.engine.manifest import Tokens
from edged.engine.prompt import Prompt
from edged.engine.reasoning import ReasoningSplitter
from edged.engine.sampling import likeliest, log_probabilities, make_sampler
from edged.engine.session import Logits
from edged.engine.silent_calls import SilentCalls
from edged.engine.stop_strings import StopStrings
from edged.engine.tokenizer import Detokenizer, Tokenizer
from edged.engine.tool_calls import Delta, ToolCalls
from edged.events import (
    FinishReason,
    GenerationEvent,
    ReasoningDelta,
    Sampling,
    TextDelta,
    TokenLogprob,
    ToolCallStarted,
)

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
        tools: ToolCalls | SilentCalls | None = None,
        enable_thinking: bool = False,
        max_reasoning_tokens: int | None = None,
        stop_thinking: Event | None = None,
    ) -> None:
        """constraint: holds what is said, not what is thought before, to the form it was asked for.

        tools: those that may be called, or what keeps calls from being shown; there is no constraint then.
        enable_thinking: think before a form, or before a call that has to come; otherwise the model knows itself
        whether to.
        max_reasoning_tokens: how many may be thought before the thinking is closed; None for any number.
        stop_thinking: closes the thinking once it is set.
        """
        self.tokens: list[int] = []
        self.finish_reason: FinishReason | None = None
        self.reasoning_tokens = 0
        """Those that were thought, with the marks around them."""
        self._ends = marks.eos
        self._limit = max_tokens
        self._sampler = make_sampler(sampling, [token for token in prompt.tokens if token >= 0])
        self._tokenizer = tokenizer
        self._detokenizer = Detokenizer(tokenizer)
        self._reasoning = ReasoningSplitter(marks.reasoning_open, marks.reasoning_close, is_thinking=prompt.is_thinking)
        self._thought_left = max_reasoning_tokens
        self._stop_thinking = stop_thinking
        self._closing = tokenizer.encode(marks.reasoning_close or "")
        self._stops = StopStrings(sampling.stop)
        self._constraint = constraint
        self._logprobs = sampling.logprobs
        self._scored: list[TokenLogprob] = []
        """Of tokens whose text is still held back."""
        self._tools = tools
        has_form = constraint is not None or bool(tools and tools.opening)
        opening = marks.reasoning_open if has_form and enable_thinking and not prompt.is_thinking else None
        self._forced = deque(tokenizer.encode(opening or ""))
        """Tokens that come next, whatever the scores."""
        self._thinks_first = has_form
        if has_form and not self._forced and not prompt.is_thinking:
            self._begin_form()

    def extend(self, logits: Logits) -> Step:
        """Choose the next token; sets finish_reason when it is the last one."""
        token = self._choose(logits)
        if token in self._ends:
            self.finish_reason = self._reason_to_stop
            return ()
        self.tokens.append(token)
        is_thought = self._thinks_first or self._reasoning.is_thinking
        was_in_call = self._tools is not None and self._tools.in_call
        taken = self._take(token)
        if is_thought or self._reasoning.is_thinking:
            self.reasoning_tokens += 1
        elif was_in_call or (self._tools and self._tools.in_call):
            self._scored.clear()  # the mark turned out to be no words
        elif self._logprobs is not None:
            self._scored.append(self._score(logits, token, self._logprobs))
        deltas = self._with_logprobs(self._without_stops(taken))
        is_whole = self._tools.is_over if self._tools else self._constraint and self._constraint.is_complete
        if self._stops.met or is_whole:
            self.finish_reason = self._reason_to_stop
        elif len(self.tokens) >= self._limit:
            has_whole_calls = self._tools is not None and self._tools.has_calls and not self._tools.in_call
            self.finish_reason = FinishReason.TOOL_CALLS if has_whole_calls else FinishReason.LENGTH
        return deltas

    @property
    def _reason_to_stop(self) -> FinishReason:
        return FinishReason.TOOL_CALLS if self._tools and self._tools.has_calls else FinishReason.STOP

    @property
    def _must_answer(self) -> bool:
        """It was thought for long enough."""
        if self._stop_thinking and self._stop_thinking.is_set():
            return True
        return self._thought_left is not None and self._thought_left <= 0

    def _choose(self, logits: Logits) -> int:
        if self._reasoning.is_thinking:
            if self._must_answer and not self._forced:
                self._forced.extend(self._closing)
            if self._thought_left is not None:
                self._thought_left -= 1
        if self._forced:
            return self._forced.popleft()
        if self._thinks_first:
            logits = logits.copy()
            logits[list(self._ends)] = -np.inf  # what was asked for is still to come
        token = self._sampler(logits, self.tokens)
        constraint = self._tools.constraint if self._tools else self._constraint
        if constraint and not self._thinks_first and not constraint.allows(token):
            # Models mostly keep to the form by themselves, so what else is allowed is only found out when they do not.
            # That leaves each token as likely as drawing among the allowed at once: p + (1 - A) p / A = p / A.
            token = self._sampler(constraint.allow(logits), self.tokens)
        return token

    def _take(self, token: int) -> list[Delta]:
        was_thinking = self._reasoning.is_thinking
        text = self._detokenizer.push(token)
        if self._tools and self._tools.in_call:  # marks of thinking in arguments are like any others
            return self._tools.push(token, [TextDelta(text=text)])
        deltas = self._reasoning.push(text)
        if self._thinks_first:
            deltas = _thoughts(deltas)
            if was_thinking and not self._reasoning.is_thinking:
                self._begin_form()
        elif self._constraint:
            self._constraint.push(token)
        return self._tools.push(token, deltas) if self._tools else [*deltas]

    def _begin_form(self) -> None:
        """From here on every character counts, and marks of thinking are like any others; or a call has to come."""
        self._thinks_first = False
        if self._tools:
            self._forced.extend(self._tokenizer.encode(self._tools.opening))
            return
        self._detokenizer = Detokenizer(self._tokenizer, is_literal=True)
        self._reasoning = ReasoningSplitter(None, None)

    def flush(self) -> Step:
        """What was held back while it could still become a mark, a stop string or a character."""
        left = [*self._reasoning.push(self._detokenizer.flush()), *self._reasoning.flush()]
        if self._thinks_first:
            left = _thoughts(left)
        deltas = self._without_stops(self._tools.flush(left) if self._tools else left)
        held = self._stops.flush()
        has_more = held or (self._scored and not self._stops.met)
        return self._with_logprobs((*deltas, TextDelta(text=held)) if has_more else deltas)

    def _without_stops(self, deltas: Sequence[Delta]) -> Step:
        """Stop strings end the answer; the thinking, and the arguments of a call, may mention them."""
        shown: list[GenerationEvent] = []
        for delta in deltas:
            if isinstance(delta, ToolCallStarted) and (held := self._stops.flush()):
                shown.append(TextDelta(text=held))
            if not isinstance(delta, TextDelta):
                shown.append(delta)
            elif text := self._stops.push(delta.text):
                shown.append(TextDelta(text=text))
        return tuple(shown)

    def _score(self, logits: Logits, token: int, count: int) -> TokenLogprob:
        """The token and the `count` likeliest ones in its place, as the model itself has them."""
        logprobs = log_probabilities(logits)

        def scored(one: int) -> TokenLogprob:
            spelled = self._tokenizer.spell(one)
            return TokenLogprob(text=spelled.decode(errors="replace"), data=spelled, logprob=float(logprobs[one]))

        return replace(scored(token), top=tuple(scored(int(one)) for one in likeliest(logprobs, count)))

    def _with_logprobs(self, step: Step) -> Step:
        """What is told of tokens goes with the first text that is shown after them."""
        place = next((place for place, event in enumerate(step) if isinstance(event, TextDelta)), None)
        if place is None or not self._scored:
            return step
        logprobs, self._scored = tuple(self._scored), []
        shown = step[place]
        assert isinstance(shown, TextDelta)
        return (*step[:place], replace(shown, logprobs=logprobs), *step[place + 1 :])


def _thoughts(deltas: Sequence[ReasoningDelta | TextDelta]) -> list[ReasoningDelta | TextDelta]:
    """What was thought, without what may stand around it before a form begins."""
    return [delta for delta in deltas if isinstance(delta, ReasoningDelta)]
