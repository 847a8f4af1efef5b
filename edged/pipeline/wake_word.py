"""When a wake phrase was said: the mean of a model's last probabilities passes a threshold, once.

The models (microWakeWord) say several times a second how likely it is that their phrase just ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WakePhrase:
    """What a model's author found to be right for it."""

    threshold: float
    """The mean probability that counts, 0 to 1."""
    window: int
    """How many of the last probabilities are averaged."""


@dataclass(slots=True)
class _Heard:
    phrase: WakePhrase
    last: deque[float]

    @property
    def mean(self) -> float:
        return sum(self.last) / self.phrase.window  # what was not heard yet counts as 0


class WakeWordDetector:
    """Watches for several phrases at once."""

    def __init__(self, phrases: Mapping[str, WakePhrase], *, refractory_seconds: float = 2.0) -> None:
        """refractory_seconds: after a detection nothing counts, so that one saying is one detection."""
        self._heard = {name: _Heard(phrase, deque(maxlen=phrase.window)) for name, phrase in phrases.items()}
        self._refractory_seconds = refractory_seconds
        self._deaf_seconds = 0.0

    def push(self, probabilities: Iterable[tuple[str, float]], *, seconds: float) -> str | None:
        """The phrase that was said, likeliest first, given what the models said of the next `seconds` of sound."""
        for name, probability in probabilities:
            self._heard[name].last.append(probability)
        if self._deaf_seconds > 0:
            self._deaf_seconds -= seconds
            return None
        surest = max(self._heard, key=self._margin, default=None)
        if surest is None or self._margin(surest) < 0:
            return None
        self.reset()
        self._deaf_seconds = self._refractory_seconds
        return surest

    def reset(self) -> None:
        """Forget what was heard, and any detection: the sound that comes next is of another time."""
        self._deaf_seconds = 0.0
        for heard in self._heard.values():
            heard.last.clear()

    def _margin(self, name: str) -> float:
        heard = self._heard[name]
        return heard.mean - heard.phrase.threshold
