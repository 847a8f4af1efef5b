"""What a generator gives: turns of questions with pictures and sounds in them, and their answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .canvas import Picture


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sound:
    """One recording of a question."""

    samples: NDArray[np.float32]
    """-1 to 1 at 16 kHz."""
    words: str
    """What is said in it."""
    utterance: int | None = None
    """Which one of the corpus is to be recorded; `samples` are silence until then."""


Part = str | Picture | Sound


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A question and its answer."""

    parts: tuple[Part, ...]
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A conversation to learn from, or to be judged by."""

    task: str
    turns: tuple[Turn, ...]
