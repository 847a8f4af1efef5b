"""Float rows to the nearest blocks of integers, each weight for itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from engines.tensor import Bytes, Floats

from .blocks import Blocks

_ENDS = (-8.5, -8.0, -7.5, -7.0, 7.0, 7.5)
"""Where on the range of symmetric INT4 the weight of largest magnitude may come to lie."""
_SHARES = (1.0, 0.95, 0.9, 0.85, 0.8)
"""How much of a block's range the integers may be spread over; what lies beyond goes to the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """How weights become integers."""

    bits: Literal[4, 8]
    block_size: int
    symmetric: bool = True
    keep: bool = True
    """Take over blocks of the checkpoint that already have this form instead of rounding them again."""


def rounded(weights: Floats, rounding: Rounding, importance: Floats | None = None) -> Blocks:
    """Float rows as blocks; a last block that is not full is filled with zeros.

    `importance` says how much the squared error of each column counts, and then scales are fitted to it:
    (columns,), positive. Without it all count alike.
    """
    size = rounding.block_size
    fill = -weights.shape[1] % size
    blocks = np.pad(weights, ((0, 0), (0, fill))).reshape(len(weights), -1, size)
    if importance is not None:
        importance = np.pad(importance, (0, fill)).reshape(-1, size).astype(np.float32)
    if rounding.symmetric:
        return _symmetric(blocks, rounding.bits, importance)
    return _asymmetric(blocks, rounding.bits, importance)


def _symmetric(blocks: Floats, bits: int, importance: Floats | None) -> Blocks:
    """0 is the middle integer. Of a few scales around the one that maps the largest weight to the end of the
    range, the one with the least squared error; INT8 is fine enough to need no search."""
    middle = 2 ** (bits - 1)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(-1)[..., None], -1)[..., 0]
    if bits == 8:
        scale = np.abs(largest) / (middle - 1)
        return Blocks(bits, scale, -middle * scale, _integers(blocks, scale, middle, bits))
    best = _Best(bits)
    for end in _ENDS:
        scale = (largest / np.float32(end)).astype(np.float32)
        if importance is not None:
            scale = _fitted(blocks, _integers(blocks, scale, middle, bits) - np.float32(middle), scale, importance)
        best.offer(blocks, _integers(blocks, scale, middle, bits), scale, np.float32(middle), importance)
    return best.found()


def _asymmetric(blocks: Floats, bits: int, importance: Floats | None) -> Blocks:
    """The range of a block, stretched to hold 0, spread over all integers; 0 stays exact.

    With importances, ranges somewhat narrower are tried as well.
    """
    top = 2**bits - 1
    low, high = np.minimum(blocks.min(-1), 0), np.maximum(blocks.max(-1), 0)
    best = _Best(bits)
    for share in (1.0,) if importance is None or bits == 8 else _SHARES:
        scale = ((high - low) * np.float32(share / top)).astype(np.float32)
        zero = np.clip(np.rint(-low * np.float32(share) / _safe(scale)), 0, top).astype(np.float32)
        q = _integers(blocks, scale, zero[..., None], bits)
        if importance is not None and bits < 8:
            scale = _fitted(blocks, q - zero[..., None], scale, importance)
            q = _integers(blocks, scale, zero[..., None], bits)
        best.offer(blocks, q, scale, zero, importance)
    return best.found()


class _Best:
    """Of several ways to round the same blocks, for each block the one with the least squared error."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.blocks: Blocks | None = None
        self.error: Floats | None = None

    def offer(
        self, weights: Floats, q: Bytes, scale: Floats, zero: Floats | np.float32, importance: Floats | None
    ) -> None:
        zeros = np.broadcast_to(zero, scale.shape)
        difference = (q - zeros[..., None]) * scale[..., None] - weights
        if importance is None:
            error = np.einsum("rbi,rbi->rb", difference, difference)
        else:
            error = np.einsum("rbi,rbi,bi->rb", difference, difference, importance)
        trial = Blocks(self.bits, scale, -zeros * scale, q)
        if self.blocks is None or self.error is None:
            self.blocks, self.error = trial, error
            return
        better, old = error < self.error, self.blocks
        self.blocks = Blocks(
            self.bits,
            np.where(better, trial.scale, old.scale),
            np.where(better, trial.minimum, old.minimum),
            np.where(better[..., None], trial.q, old.q),
        )
        self.error = np.where(better, error, self.error)

    def found(self) -> Blocks:
        assert self.blocks is not None
        return self.blocks


def _fitted(blocks: Floats, integers: Floats, scale: Floats, importance: Floats) -> Floats:
    """The scale with which these integers come nearest to the weights; the one given where none does."""
    weighted = integers * importance
    product = np.einsum("rbi,rbi->rb", weighted, blocks)
    square = np.einsum("rbi,rbi->rb", weighted, integers)
    return np.where(square > 0, product / np.where(square > 0, square, 1), scale).astype(np.float32)


def _safe(scale: Floats) -> Floats:
    return np.where(scale == 0, np.float32(1), scale)


def _integers(blocks: Floats, scale: Floats, zero: Floats | int, bits: int) -> Bytes:
    return np.asarray(np.clip(np.rint(blocks / _safe(scale)[..., None]) + zero, 0, 2**bits - 1), np.uint8)
