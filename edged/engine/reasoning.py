"""Tells the model's thinking from its answer by the marks around it."""

from __future__ import annotations

from edged.engine.stop_strings import StopStrings
from edged.events import ReasoningDelta, TextDelta


class ReasoningSplitter:
    """Cuts a stream of text at `<think>` and `</think>` (or the manifest's own marks).

    The marks may be spread over any number of pieces; they and the line breaks right after them are left out.
    """

    def __init__(self, open_mark: str | None, close_mark: str | None, *, is_thinking: bool = False) -> None:
        """is_thinking: the prompt itself already opened the thinking."""
        self._marks = (open_mark or "", close_mark or "")
        self.is_thinking = is_thinking
        """Whether what comes next is thinking, as far as it is certain."""
        self._at_start = is_thinking
        """Nothing was shown yet since the last mark."""
        self._search = self._next_mark()

    def push(self, text: str) -> list[ReasoningDelta | TextDelta]:
        """The deltas that are certain by now."""
        deltas = []
        while True:
            shown = self._search.push(text)
            deltas += self._delta(shown)
            if not self._search.met:
                return deltas
            text = self._search.rest
            self.is_thinking = not self.is_thinking
            self._at_start = True
            self._search = self._next_mark()

    def flush(self) -> list[ReasoningDelta | TextDelta]:
        """What was held back, once nothing follows."""
        return self._delta(self._search.flush())

    def _next_mark(self) -> StopStrings:
        mark = self._marks[self.is_thinking]
        return StopStrings((mark,) if mark else ())

    def _delta(self, text: str) -> list[ReasoningDelta | TextDelta]:
        if self._at_start:
            text = text.lstrip("\n")
        if not text:
            return []
        self._at_start = False
        return [ReasoningDelta(text=text) if self.is_thinking else TextDelta(text=text)]
