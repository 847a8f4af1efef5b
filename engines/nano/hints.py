"""What the towers are told directly while they learn: which letter or shape is where, which letters were said.

An answer of a few letters says little of what a picture holds; the place of every letter of it says nearly all. Only
training has the two layers that read towers' states; what is shipped does not.
"""

from __future__ import annotations

from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.autoglm_phone.config import PhoneConfig

from .canvas import Picture
from .pictures import HUES, SHAPES
from .samples import Sound

_LETTERS = [chr(code) for code in range(33, 127)]
NAMES = ("", *_LETTERS, *(f"{hue} {shape}" for hue in HUES for shape in SHAPES))
"""Of marks; the first is that there is nothing."""
_NUMBERS = {name: number for number, name in enumerate(NAMES)}
_SAID = {letter: number for number, letter in enumerate(" abcdefghijklmnopqrstuvwxyz", 1)}
"""0 is CTC's blank."""
_NOTHING_WEIGHT = 0.03
"""Most cells hold nothing."""


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

    def of_pictures(self, states: Tensor, cells: Tensor) -> tuple[Tensor, float]:
        """Loss, and the share of marks that are named rightly. cells: (pictures, rows, columns), numbers of NAMES."""
        logits, numbers = self.seen(states).float().flatten(0, 2), cells.flatten()
        is_marked = numbers > 0
        right = (logits.argmax(-1) == numbers)[is_marked].float().mean().item() if is_marked.any() else 0.0
        return functional.cross_entropy(logits, numbers, self.weights), right

    def of_recordings(self, states: Tensor, said: Tensor) -> Tensor:
        """Loss of connectionist temporal classification (Graves et al. 2006): letters in their order, at any time.

        said: numbers of the letters, then zeros  # (recordings, letters)
        """
        log_probabilities = self.said(states).float().log_softmax(-1).transpose(0, 1)  # (states, recordings, letters)
        lengths = torch.full((len(said),), states.shape[1])
        return functional.ctc_loss(log_probabilities, said, lengths, (said > 0).sum(1), zero_infinity=True)

    def spelled(self, states: Tensor) -> list[list[int]]:
        """The letters that are likeliest at each time, as CTC reads them: repeated ones and blanks left out."""
        likeliest = self.said(states).argmax(-1).tolist()
        return [[letter for letter, _ in groupby(row) if letter] for row in likeliest]


def cells(picture: Picture, stride: int) -> Tensor:
    """The number of what is in each stride x stride pixels; the last of several.  # (rows, columns)"""
    rows, columns = picture.pixels.shape[0] // stride, picture.pixels.shape[1] // stride
    grid = torch.zeros(rows, columns, dtype=torch.long)
    for mark in picture.marks:
        row, column = int(mark.y // stride), int(mark.x // stride)
        if 0 <= row < rows and 0 <= column < columns:
            grid[row, column] = _NUMBERS.get(mark.name, 0)
    return grid


def letters(sound: Sound) -> Tensor:
    """Numbers of what is said."""
    return torch.tensor([_SAID[letter] for letter in sound.words])
