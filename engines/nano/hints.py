"""What the towers are told directly while they learn: which letter or shape is where, which letters were said.

An answer of a few letters says little of what a picture holds; the place of every letter of it says nearly all. Only
training has the two layers that read towers' states; what is shipped does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.autoglm_phone.config import PhoneConfig
from engines.autoglm_phone.experts import can_look_at

from .canvas import Mark
from .pictures import HUES, SHAPES

_LETTERS = [chr(code) for code in range(33, 127)]
NAMES = ("", *_LETTERS, *(f"{hue} {shape}" for hue in HUES for shape in SHAPES))
"""Of marks; the first is that there is nothing."""
_NUMBERS = {name: number for number, name in enumerate(NAMES)}
_SAID = {letter: number for number, letter in enumerate(" abcdefghijklmnopqrstuvwxyz", 1)}
"""0 is CTC's blank."""
_NOTHING_WEIGHT = 0.03
"""Most cells hold nothing."""
_NEVER = -1e5
"""Logarithm of a probability of 0 that gradients survive."""


class Hints(nn.Module):
    """From states of the towers to names, for the loss alone."""

    weights: Tensor

    def __init__(self, config: PhoneConfig) -> None:
        super().__init__()
        self.seen = nn.Linear(config.vision.hidden_size, len(NAMES))
        self.said = nn.Linear(config.audio.hidden_size, len(_SAID) + 1)
        weights = torch.ones(len(NAMES))
        weights[0] = _NOTHING_WEIGHT
        self.register_buffer("weights", weights)

    def of_pictures(self, states: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Loss, and the share of marks that are named rightly. cells: (pictures, rows, columns), numbers of NAMES."""
        logits, numbers = self.seen(states).float().flatten(0, 2), cells.flatten()
        is_marked = numbers > 0
        right = ((logits.argmax(-1) == numbers) & is_marked).sum() / is_marked.sum().clamp(min=1)
        return functional.cross_entropy(logits, numbers, self.weights), right

    def of_recordings(self, states: Tensor, said: Tensor) -> Tensor:
        """Loss of connectionist temporal classification (Graves et al. 2006): letters in their order, at any time.

        said: numbers of the letters, then zeros  # (recordings, letters)
        """
        log_probabilities = self.said(states).float().log_softmax(-1)
        if can_look_at(states):
            lengths = torch.full((len(said),), states.shape[1])
            found = log_probabilities.transpose(0, 1)
            return functional.ctc_loss(found, said, lengths, (said > 0).sum(1), zero_infinity=True)
        return ctc_loss(log_probabilities, said)

    def spelled(self, states: Tensor) -> list[list[int]]:
        """The letters that are likeliest at each time, as CTC reads them: repeated ones and blanks left out."""
        likeliest = self.said(states).argmax(-1).tolist()
        return [[letter for letter, _ in groupby(row) if letter] for row in likeliest]


def numbered(marks: Sequence[Mark]) -> list[tuple[float, float, int]]:
    """x and y of each, and the number of its name."""
    return [(mark.x, mark.y, _NUMBERS.get(mark.name, 0)) for mark in marks]


def spelling(text: str) -> Tensor:
    """Numbers of the letters of what is said."""
    return torch.tensor([_SAID[letter] for letter in text])


def ctc_loss(log_probabilities: Tensor, said: Tensor) -> Tensor:
    """PyTorch's with `zero_infinity`, in operations that do not ask a GPU for lengths and hence can be recorded.

    log_probabilities: (recordings, states, letters); said: (recordings, letters), numbers, then zeros.
    """
    states = log_probabilities.shape[1]
    labels = torch.stack((torch.zeros_like(said), said), -1).flatten(1)
    labels = functional.pad(labels, (0, 1))  # blank, letter, blank, ... blank
    emitted = log_probabilities.gather(2, labels[:, None].expand(-1, states, -1))
    # A letter may follow the one before it without a blank, if it is another.
    leaps = functional.pad((labels[:, 2:] != labels[:, :-2]) & (labels[:, 2:] > 0), (2, 0))
    never = emitted.new_full((), _NEVER)
    is_first = torch.arange(labels.shape[1], device=said.device) < 2
    paths = torch.where(is_first, emitted[:, 0], never)
    for state in range(1, states):
        one = functional.pad(paths[:, :-1], (1, 0), value=_NEVER)
        two = torch.where(leaps, functional.pad(paths[:, :-2], (2, 0), value=_NEVER), never)
        paths = torch.stack((paths, one, two)).logsumexp(0) + emitted[:, state]
    lengths = (said > 0).sum(1)
    ends = paths.gather(1, torch.stack((2 * lengths, (2 * lengths - 1).clamp(min=0)), 1))
    loss = -ends.logsumexp(1)
    return torch.where(loss < -_NEVER / 2, loss / lengths.clamp(min=1), 0.0).mean()
