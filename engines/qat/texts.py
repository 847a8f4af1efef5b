"""What a student learns from and what its teacher and it are compared on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from tqdm import tqdm

from engines.checkpoint import Checkpoint

from .decoder import Decoder
from .novels import novels
from .prose import prose
from .sampling import LENGTH, sampled, user_turn

HELD_OUT = 2
"""Texts of each kind that are never learned from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """All of one length."""

    training: NDArray[np.uint32]
    held_out: NDArray[np.uint32]
    """For choosing among checkpoints."""

    def batches(self, size: int, first: int) -> Iterator[Tensor]:
        """From number `first` on, without end: the texts in a random order, then in another.  # (size, LENGTH)"""
        number, per_round = first, len(self.training) // size
        while True:
            turn, place = divmod(number, per_round)
            order = np.random.default_rng(turn).permutation(len(self.training))
            chosen = self.training[order[place * size : (place + 1) * size]]
            yield torch.from_numpy(chosen.astype(np.int64))
            number += 1


def written(checkpoint: Checkpoint, folder: Path, say: Callable[[str], object]) -> NDArray[np.uint32]:
    """Texts by people, kept in the folder: novels and documentation in turn, then what is left.  # (texts, LENGTH)"""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_str(checkpoint.vocabulary.tokenizer)
    told = prose(tokenizer, LENGTH, folder / "novels.npy", novels)
    if not len(told):
        say("no novels: apt-get install r-cran-janeaustenr")
    explained = prose(tokenizer, LENGTH, folder / "prose.npy")
    both = min(len(told), len(explained))
    in_turn = np.stack([told[:both], explained[:both]], axis=1).reshape(-1, LENGTH)
    return np.concatenate([in_turn, told[both:], explained[both:]])


def texts(
    checkpoint: Checkpoint, model: Decoder, tokens: int, folder: Path, say: Callable[[str], object], *, batch: int
) -> Texts:
    """So many tokens to learn from: half drawn from the model, half written by people, as far as there are such.

    Both are kept in the folder. batch: texts drawn at a time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    people = prose(Tokenizer.from_str(checkpoint.vocabulary.tokenizer), LENGTH, folder / "prose.npy")
    wanted = max(tokens // LENGTH, 2)
    written = people[HELD_OUT : HELD_OUT + wanted // 2]
    count = wanted - len(written)
    say(f"learning from {len(written) * LENGTH:,} tokens of documentation and {count * LENGTH:,} of the model's own")
    with tqdm(total=count, desc="drawing texts", unit="text", disable=None) as bar:
        own = sampled(model, user_turn(checkpoint), count + HELD_OUT, batch, folder / "drawn", bar.update)
    return Texts(
        training=np.concatenate([own[HELD_OUT:], written]), held_out=np.concatenate([own[:HELD_OUT], people[:HELD_OUT]])
    )
