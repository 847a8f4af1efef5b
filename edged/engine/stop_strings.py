"""Ends an answer at the first stop string, without ever showing a part of it."""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """Holds back what may be the beginning of a stop string until it is decided."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.met = False
        """A stop string occurred; all later text is dropped."""
        self.rest = ""
        """What followed the stop string in the text that completed it."""

    def push(self, text: str) -> str:
        """The text that can be shown by now: everything up to a stop string or its possible beginning."""
        if self.met:
            return ""
        text = self._held + text
        found = [(place, -len(stop)) for stop in self._stops if (place := text.find(stop)) >= 0]
        if found:
            place, negative_length = min(found)
            self.met, self._held, self.rest = True, "", text[place - negative_length :]
            return text[:place]
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """What was held back, once nothing follows."""
        text, self._held = self._held, ""
        return text


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop` without completing it."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
