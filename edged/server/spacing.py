"""How often the deltas of an answer are sent."""

from __future__ import annotations

import math

from edged.events import ReasoningDelta, TextDelta, TurnEvent


class DeltaSpacing:
    """Joins deltas, so that two messages with deltas are at least `seconds` apart.

    Sending a message wakes two processes, which takes the processor from the engine for as long as a tenth of
    a token of a small model; nobody reads faster than 50 messages a second. The first delta goes out at once.
    A delta that is held goes out with the next event: there is no timer, an engine slower than that holds none.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._sent = -math.inf
        self._held: TextDelta | ReasoningDelta | None = None

    def push(self, event: TurnEvent, *, now: float) -> list[TurnEvent]:
        """What is to be sent now that `event` has come; `now` in seconds, of any clock that never steps back."""
        if not isinstance(event, TextDelta | ReasoningDelta):
            return [*self.flush(), event]
        due: list[TurnEvent] = []
        if self._held is None:
            self._held = event
        elif type(self._held) is type(event):
            self._held = type(event)(text=self._held.text + event.text)
        else:
            due = self.flush()
            self._held = event
        if now - self._sent >= self._seconds:
            self._sent = now
            due += self.flush()
        return due

    def flush(self) -> list[TurnEvent]:
        """What is still held."""
        held, self._held = self._held, None
        return [held] if held else []
