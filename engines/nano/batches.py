"""Samples to what the model reads: tokens, their types, which of them count, pictures and spectra."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import IterableDataset

from edged.audio.mel import log_mel
from engines.autoglm_phone.model import AUDIO, IMAGE, TEXT

from . import charts, dialogues, hints, menus, pictures, speech
from .canvas import SIZES, Look, Picture
from .samples import Part, Sample, Sound, Turn
from .tokenizer import ASSISTANT, END, USER, tokenizer

STRIDE, FRAMES = 32, 8
"""Pixels of a token's side, mel frames of a token."""
_SECONDS = {"word": (1.6, 2.0), "number": (2.0, 2.4), "command": (3.2,), "asking": (2.4,)}
Mixture = Mapping[str, float]
"""How often each kind of batch comes; what is in one of them has about the same length."""
EVERYTHING: Mixture = MappingProxyType(
    {"menu": 0.16, "picture": 0.32, "several": 0.03, "sound": 0.3, "both": 0.15, "text": 0.04}
)
SENSES: Mixture = MappingProxyType({"menu": 0.25, "picture": 0.4, "sound": 0.35})
_Maker = Callable[[random.Random, Look], Sample]
_PICTURED: tuple[tuple[_Maker, float], ...] = (
    (pictures.reading, 0.55),
    (pictures.naming, 0.26),
    (charts.charting, 0.19),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Samples whose pictures share a size, and whose recordings a length."""

    tokens: Tensor
    """(samples, tokens)"""
    types: Tensor
    """TEXT, IMAGE or AUDIO.  # (samples, tokens)"""
    targets: Tensor
    """The token that follows where it is part of an answer, else -100.  # (samples, tokens)"""
    used: Tensor
    """False for padding.  # (samples, tokens)"""
    pixels: Tensor | None
    """uint8 (pictures, 3, height, width)"""
    mels: Tensor | None
    """(recordings, mel bins, frames)"""
    cells: Tensor | None
    """What is where in the pictures, see `hints`.  # (pictures, rows, columns)"""
    said: Tensor | None
    """Letters of the recordings, then zeros, see `hints`.  # (recordings, letters)"""

    @property
    def kind(self) -> str:
        """What is in it, in a word."""
        match self.pixels is not None, self.mels is not None:
            case True, True:
                return "both"
            case True, False:
                return "picture"
            case False, True:
                return "sound"
            case _:
                return "text"

    def to(self, device: torch.device) -> Batch:
        """The same in another memory."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {name: value.to(device) for name, value in given.items() if isinstance(value, Tensor)}
        return replace(self, **moved)


class Encoder:
    """Conversations as token numbers, as the chat template writes them."""

    def __init__(self) -> None:
        made = tokenizer()
        self._encode = made.encode
        numbers = made.get_vocab()
        self._user, self._assistant, self._end = numbers[USER], numbers[ASSISTANT], numbers[END]
        self._around = {
            kind: (numbers[f"<|begin_of_{name}|>"], numbers[f"<|{name}|>"], numbers[f"<|end_of_{name}|>"])
            for kind, name in ((IMAGE, "image"), (AUDIO, "audio"))
        }

    def text(self, words: str) -> list[int]:
        """Without control tokens."""
        return self._encode(words, add_special_tokens=False).ids

    def rows(self, turns: Sequence[Turn], *, is_open: bool = False) -> list[tuple[int, int, bool]]:
        """(token, type, is part of an answer) of a conversation; is_open: without the last answer."""
        rows: list[tuple[int, int, bool]] = []
        for number, turn in enumerate(turns):
            rows.append((self._user, TEXT, False))
            for part in turn.parts:
                rows += self._part(part)
            rows.append((self._assistant, TEXT, False))
            if not (is_open and number + 1 == len(turns)):
                rows += [(token, TEXT, True) for token in (*self.text(turn.answer), self._end)]
        return rows

    def _part(self, part: Part) -> list[tuple[int, int, bool]]:
        if isinstance(part, str):
            return [(token, TEXT, False) for token in self.text(part)]
        kind = IMAGE if isinstance(part, Picture) else AUDIO
        first, middle, last = self._around[kind]
        return [(first, TEXT, False), *[(middle, kind, False)] * media_tokens(part), (last, TEXT, False)]


def media_tokens(part: Picture | Sound) -> int:
    """How many tokens stand for it."""
    if isinstance(part, Picture):
        height, width = len(part.pixels), len(part.pixels[0])
        return (height // STRIDE) * (width // STRIDE)
    return len(spectrum(part).T) // FRAMES


def spectrum(sound: Sound) -> NDArray[np.float32]:
    """What the ears read.  # (mel bins, frames)"""
    return log_mel(sound.samples)


def collate(encoder: Encoder, samples: Sequence[Sample]) -> Batch:
    """One batch; pictures and recordings in the order of their tokens."""
    rows = [encoder.rows(sample.turns) for sample in samples]
    longest = -(-max(map(len, rows)) // 16) * 16
    tokens, types = torch.zeros(len(rows), longest, dtype=torch.long), torch.zeros(len(rows), longest, dtype=torch.long)
    targets, used = torch.full((len(rows), longest), -100), torch.zeros(len(rows), longest, dtype=torch.bool)
    for index, row in enumerate(rows):
        numbers, kinds, answered = (torch.tensor(column) for column in zip(*row, strict=True))
        tokens[index, : len(row)], types[index, : len(row)], used[index, : len(row)] = numbers, kinds, True
        targets[index, : len(row) - 1] = torch.where(answered, numbers, -100)[1:]
    media = [part for sample in samples for turn in sample.turns for part in turn.parts]
    seen = [part for part in media if isinstance(part, Picture)]
    heard = [part for part in media if isinstance(part, Sound)]
    return Batch(
        tokens=tokens,
        types=types,
        targets=targets,
        used=used,
        pixels=torch.from_numpy(np.stack([part.pixels for part in seen])).permute(0, 3, 1, 2).contiguous()
        if seen
        else None,
        mels=torch.from_numpy(np.stack([spectrum(part) for part in heard])) if heard else None,
        cells=torch.stack([hints.cells(part, STRIDE // 2) for part in seen]) if seen else None,
        said=pad_sequence([hints.letters(part) for part in heard], batch_first=True) if heard else None,
    )


def normalised(pixels: Tensor) -> Tensor:
    """uint8 pixels as the eyes read them: mean and deviation 0.5."""
    return pixels.float() / 127.5 - 1


class TrainingBatches(IterableDataset[Batch]):
    """Batches without end, each of its seed and number alone: whoever goes on at a number gets what would have come."""

    def __init__(
        self, corpus: speech.Corpus, look: Look, *, seed: int, size: int, first: int = 0, mixture: Mixture = EVERYTHING
    ) -> None:
        """first: number of the batch to begin with."""
        self._corpus, self._look, self._seed, self._size, self._first = corpus, look, seed, size, first
        self._mixture = mixture

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        start, step = (worker.id, worker.num_workers) if worker else (0, 1)
        encoder = Encoder()
        for number in itertools.count(self._first + start, step):
            rng = random.Random(f"{self._seed}/{number}")
            yield collate(encoder, draw(rng, self._corpus, self._look, self._size, self._mixture))


def draw(
    rng: random.Random, corpus: speech.Corpus, look: Look, size: int, mixture: Mixture = EVERYTHING
) -> list[Sample]:
    """Samples of one kind that fit a batch."""
    look = replace(look, sizes=(rng.choice(SIZES),))
    match rng.choices(list(mixture), list(mixture.values()))[0]:
        case "menu":
            return [menus.ordering(rng, look) for _ in range(size)]
        case "picture":
            makers = rng.choices([maker for maker, _ in _PICTURED], [share for _, share in _PICTURED], k=size)
            return [maker(rng, look) for maker in makers]
        case "several":
            return [pictures.several(rng, look) for _ in range(size // 2)]
        case "sound":
            task = rng.choices(("word", "number", "command"), (0.6, 0.15, 0.25))[0]
            seconds = rng.choice(_SECONDS[task])
            return [speech.listening(rng, corpus, look, task, seconds) for _ in range(size)]
        case "both":
            ask = partial(speech.asking, rng, corpus, look, rng.choice(_SECONDS["asking"]))
            return [ask() for _ in range(size)]
        case _:
            return [dialogues.talking(rng) for _ in range(size)]
