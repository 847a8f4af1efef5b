"""Samples to what the model reads: tokens, their types, which of them count, pictures and spectra."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import IterableDataset

from edged.audio.mel import AUTOGLM_PHONE, log_mel
from engines.autoglm_phone.model import AUDIO, IMAGE, TEXT

from . import charts, dialogues, hints, menus, pictures, speech
from .canvas import SIZES, Look, Picture
from .samples import Part, Sample, Sound, Turn
from .tokenizer import ASSISTANT, END, USER, tokenizer

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

STRIDE = 32
"""Pixels of a token's side."""
_SECONDS = {"word": (1.6, 2.4, 3.2), "number": (1.6, 2.4, 3.2), "command": (3.2,), "asking": (2.4, 3.2)}
"""Of recordings. No length tells that a word or a number was said: who has learned from it mishears what is longer."""
_LENGTHS = {"menu": 128, "lines": 192, "picture": 128, "several": 128, "sound": 112, "both": 144, "text": 80}
"""Tokens of a draft's rows: few shapes, since a GPU records a step for each. Longer samples are left out."""
_LARGE = ("several", "lines")
"""Kinds of which half as many make a batch."""
Mixture = Mapping[str, float]
"""How often each kind of batch comes; what is in one of them has about the same length."""
EVERYTHING: Mixture = MappingProxyType(
    {"menu": 0.21, "lines": 0.06, "picture": 0.34, "several": 0.07, "sound": 0.16, "both": 0.13, "text": 0.03}
)
SENSES: Mixture = MappingProxyType({"menu": 0.25, "picture": 0.4, "sound": 0.35})
_Maker = Callable[[random.Random, Look], Sample]
_PICTURED: tuple[tuple[_Maker, float], ...] = (
    (pictures.reading, 0.45),
    (pictures.naming, 0.2),
    (charts.charting, 0.15),
    (charts.comparing, 0.15),
    (charts.listing, 0.05),
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
    """From 0 to 255.  # uint8 or float32 (pictures, 3, height, width)"""
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


_Tensors = TypeVar("_Tensors", bound="DataclassInstance")


def _mapped(given: _Tensors, change: Callable[[Tensor], Tensor]) -> _Tensors:
    named = {field.name: getattr(given, field.name) for field in fields(given)}
    return replace(given, **{name: change(value) for name, value in named.items() if isinstance(value, Tensor)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A batch as other processes draw it: what a camera and a microphone do to it comes later."""

    seed: int
    """Of what they do."""
    tokens: Tensor
    """This and the next three: as in a batch."""
    types: Tensor
    targets: Tensor
    used: Tensor
    pixels: Tensor | None
    """uint8 (pictures, 3, height, width)"""
    marks: Tensor | None
    """x, y and number of what is drawn, then zeros.  # (pictures, marks, 3)"""
    tilts: Tensor | None
    """Degrees.  # (pictures,)"""
    utterances: Tensor | None
    """Of the corpus.  # (recordings,)"""
    length: int
    """Samples of a recording."""

    def pin_memory(self) -> Draft:
        """The same where a GPU can fetch it from; PyTorch's loader calls this by its name."""
        return _mapped(self, Tensor.pin_memory)

    def to(self, device: torch.device) -> Draft:
        """The same in another memory."""
        return _mapped(self, lambda value: value.to(device, non_blocking=True))


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

    def length(self, sample: Sample) -> int:
        """Tokens of a conversation."""
        return len(self.rows(sample.turns))

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
    return AUTOGLM_PHONE.tokens(len(part.samples))


def spectrum(sound: Sound) -> NDArray[np.float32]:
    """What the ears read.  # (mel bins, frames)"""
    return log_mel(sound.samples)


def collate(encoder: Encoder, samples: Sequence[Sample]) -> Batch:
    """One batch; pictures and recordings in the order of their tokens."""
    rows = [encoder.rows(sample.turns) for sample in samples]
    seen, heard = _media(samples)
    return Batch(
        **_tensors(rows, -(-max(map(len, rows)) // 16) * 16),
        pixels=_pixels(seen) if seen else None,
        mels=torch.from_numpy(np.stack([spectrum(part) for part in heard])) if heard else None,
        cells=None,
        said=None,
    )


def drafted(encoder: Encoder, samples: Sequence[Sample], tokens: int, seed: int) -> Draft:
    """Samples whose pictures are still to be photographed, and whose recordings to be made; rows of so many tokens."""
    seen, heard = _media(samples)
    marks = [torch.tensor(hints.numbered(part.marks)).view(-1, 3) for part in seen]
    return Draft(
        seed=seed,
        **_tensors([encoder.rows(sample.turns) for sample in samples], tokens),
        pixels=_pixels(seen) if seen else None,
        marks=pad_sequence(marks, batch_first=True) if seen else None,
        tilts=torch.tensor([part.tilt for part in seen]) if seen else None,
        utterances=torch.tensor([part.utterance for part in heard]) if heard else None,
        length=len(heard[0].samples) if heard else 0,
    )


def _media(samples: Sequence[Sample]) -> tuple[list[Picture], list[Sound]]:
    media = [part for sample in samples for turn in sample.turns for part in turn.parts]
    return [part for part in media if isinstance(part, Picture)], [part for part in media if isinstance(part, Sound)]


def _pixels(pictures: Sequence[Picture]) -> Tensor:
    return torch.from_numpy(np.stack([part.pixels for part in pictures])).permute(0, 3, 1, 2).contiguous()


def _tensors(rows: Sequence[Sequence[tuple[int, int, bool]]], length: int) -> dict[str, Tensor]:
    """Fields that batches and drafts share, padded to that length."""
    shape = (len(rows), length)
    tokens, types = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    targets, used = np.full(shape, -100, np.int64), np.zeros(shape, np.bool_)
    for index, row in enumerate(rows):
        numbers, kinds, answered = np.array(row, np.int64).T
        tokens[index, : len(row)], types[index, : len(row)], used[index, : len(row)] = numbers, kinds, True
        targets[index, : len(row) - 1] = np.where(answered, numbers, -100)[1:]
    found = {"tokens": tokens, "types": types, "targets": targets, "used": used}
    return {name: torch.from_numpy(value) for name, value in found.items()}


def normalised(pixels: Tensor) -> Tensor:
    """Pixels from 0 to 255 as the eyes read them: mean and deviation 0.5."""
    return pixels.float() / 127.5 - 1


class Drafts(IterableDataset[Draft]):
    """Drafts without end, each of its seed and number alone: whoever goes on at a number gets what would have come."""

    def __init__(
        self, corpus: speech.Corpus, look: Look, *, seed: int, size: int, first: int = 0, mixture: Mixture = EVERYTHING
    ) -> None:
        """first: number of the draft to begin with."""
        self._corpus, self._look, self._seed, self._size, self._first = corpus, look, seed, size, first
        self._mixture = mixture

    def __iter__(self) -> Iterator[Draft]:
        worker = torch.utils.data.get_worker_info()
        start, step = (worker.id, worker.num_workers) if worker else (0, 1)
        encoder = Encoder()
        for number in itertools.count(self._first + start, step):
            rng = random.Random(f"{self._seed}/{number}")
            kind = rng.choices(list(self._mixture), list(self._mixture.values()))[0]
            make = _maker(kind, rng, self._corpus, replace(self._look, sizes=(rng.choice(SIZES),)))
            fitting = (one for _ in iter(int, 1) if encoder.length(one := make()) <= _LENGTHS[kind])
            samples = list(itertools.islice(fitting, self._size // 2 if kind in _LARGE else self._size))
            yield drafted(encoder, samples, _LENGTHS[kind], number)


def _maker(kind: str, rng: random.Random, corpus: speech.Corpus, look: Look) -> Callable[[], Sample]:
    """What makes samples of one kind that fit a batch."""
    match kind:
        case "menu":
            return lambda: rng.choice((menus.ordering, menus.finding))(rng, look)
        case "lines":
            return partial(menus.reading, rng, look)
        case "picture":
            makers, shares = [maker for maker, _ in _PICTURED], [share for _, share in _PICTURED]
            return lambda: rng.choices(makers, shares)[0](rng, look)
        case "several":
            return partial(pictures.several, rng, look)
        case "sound":
            task = rng.choices(("word", "number", "command"), (0.6, 0.15, 0.25))[0]
            return partial(speech.listening, rng, corpus, look, task, rng.choice(_SECONDS[task]))
        case "both":
            return partial(speech.asking, rng, corpus, look, rng.choice(_SECONDS["asking"]))
        case _:
            return partial(dialogues.talking, rng)
