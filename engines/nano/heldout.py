"""What the nano is judged by: other seeds, fonts, voices and noise than it was trained with."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from . import charts, dialogues, menus, pictures, speech
from .canvas import Look, Picture
from .fonts import HELD_OUT as HELD_OUT_FONTS
from .fonts import Fonts
from .samples import Part, Sample, Sound
from .voices import HELD_OUT as HELD_OUT_VOICES

SEED = 20261126
PER_TEXT = 9
"""Voices that say each word and question."""
TASKS = ("read", "shape", "chart", "menu", "several", "word", "number", "command", "emotion", "spoken question", "text")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Question:
    """One question with its pictures and recordings, and the only right answer."""

    task: str
    parts: tuple[Part, ...]
    answer: str


def heldout(count: int, *, seed: int = SEED, speech_cache: Path | None = None) -> Iterator[Question]:
    """That many questions of each task."""
    corpus = speech.spoken(HELD_OUT_VOICES, seed, PER_TEXT, speech_cache)
    look = Look(fonts=Fonts(HELD_OUT_FONTS, with_default=True), noise="held-out")
    for task, make in makers(corpus, look).items():
        rng = random.Random(f"{seed} {task}")
        found = (one for _ in iter(int, 1) for one in questions(make(rng)) if one.task == task)
        for _ in range(count):
            yield next(found)


def makers(corpus: speech.Corpus, look: Look) -> dict[str, Callable[[random.Random], Sample]]:
    """What makes a sample of each task from a seed."""

    def listening(task: str, seconds: float) -> Callable[[random.Random], Sample]:
        return partial(speech.listening, corpus=corpus, look=look, task=task, seconds=seconds)

    return {
        "read": partial(pictures.reading, look=look),
        "shape": partial(pictures.naming, look=look),
        "chart": partial(charts.charting, look=look),
        "menu": partial(menus.ordering, look=look),
        "several": partial(pictures.several, look=look),
        "word": listening("word", 1.8),
        "number": listening("number", 2.2),
        "command": listening("command", 3.2),
        "emotion": listening("word", 1.8),
        "spoken question": partial(speech.asking, corpus=corpus, look=look, seconds=2.4),
        "text": dialogues.talking,
    }


def questions(sample: Sample) -> Iterator[Question]:
    """Each turn by itself, with the pictures and recordings of the first."""
    media = tuple(part for part in sample.turns[0].parts if isinstance(part, Picture | Sound))
    for turn in sample.turns:
        words = tuple(part for part in turn.parts if isinstance(part, str))
        is_mood = bool(words) and words[0] in speech.FEELING
        yield Question(task="emotion" if is_mood else sample.task, parts=(*media, *words), answer=turn.answer)
