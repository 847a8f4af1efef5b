"""The answer as it grows: tokens chosen, and the text and thinking they make."""

from __future__ import annotations

from collections.abc import Sequence

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
        self, prompt: Prompt, sampling: Sampling, *, tokenizer: Tokenizer, marks: Tokens, max_tokens: int
    ) -> None:
        self.tokens: list[int] = []
        self.finish_reason: FinishReason | None = None
        self._ends = frozenset(marks.eos)
        self._limit = max_tokens
        self._sampler = make_sampler(sampling, [token for token in prompt.tokens if token >= 0])
        self._detokenizer = Detokenizer(tokenizer)
        self._reasoning = ReasoningSplitter(marks.reasoning_open, marks.reasoning_close, is_thinking=prompt.is_thinking)
        self._stops = StopStrings(sampling.stop)

    def extend(self, logits: Logits) -> Step:
        """Choose the next token; sets finish_reason when it is the last one."""
        token = self._sampler(logits, self.tokens)
        if token in self._ends:
            self.finish_reason = FinishReason.STOP
            return ()
        self.tokens.append(token)
        deltas = self._without_stops(self._reasoning.push(self._detokenizer.push(token)))
        if self._stops.met:
            self.finish_reason = FinishReason.STOP
        elif len(self.tokens) >= self._limit:
            self.finish_reason = FinishReason.LENGTH
        return deltas

    def flush(self) -> Step:
        """What was held back while it could still become a mark, a stop string or a character."""
        deltas = self._without_stops([*self._reasoning.push(self._detokenizer.flush()), *self._reasoning.flush()])
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
