"""Rows of weights as blocks of integers, and how the kernels want them packed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engines.tensor import Bytes, Floats


@dataclass(frozen=True, slots=True)
class Blocks:
    """Rows of weights as integers:  w = scale * q + minimum."""

    bits: int
    scale: Floats  # (rows, blocks)
    minimum: Floats  # (rows, blocks)
    q: Bytes  # (rows, blocks, block_size)

    @property
    def rows(self) -> int:
        """Outputs of the matrix."""
        return len(self.q)

    @property
    def block_size(self) -> int:
        """Weights that share a scale."""
        return int(self.q.shape[2])

    @property
    def blocks(self) -> int:
        """Blocks in a row."""
        return int(self.q.shape[1])

    def zero_points(self) -> Bytes:
        """The integer nearest to what stands for 0 in each block.  # (rows, blocks)"""
        flat = self.scale == 0
        nearest = np.rint(-self.minimum / np.where(flat, 1, self.scale))
        return np.where(flat, 2 ** (self.bits - 1), np.clip(nearest, 0, 2**self.bits - 1)).astype(np.uint8)

    def remainder(self) -> Floats:
        """What integer zero points leave of the minimum: w = scale * (q - zero_point) + remainder.

        Zero for all but blocks kept from Q4_1.  # (rows, blocks)
        """
        return self.minimum + self.zero_points() * self.scale

    def dense(self) -> Floats:
        """The weights these integers stand for.  # (rows, blocks * block_size)"""
        values = self.q * self.scale[..., None] + self.minimum[..., None]
        return values.reshape(self.rows, -1).astype(np.float32)


def stacked(pieces: Sequence[Blocks]) -> Blocks:
    """Rows of all pieces, one piece after the other; they have the same bits and block size."""
    return Blocks(
        pieces[0].bits,
        np.concatenate([piece.scale for piece in pieces]),
        np.concatenate([piece.minimum for piece in pieces]),
        np.concatenate([piece.q for piece in pieces]),
    )


def beside(pieces: Sequence[Blocks]) -> Blocks:
    """Columns of all pieces, one piece after the other; they have the same bits, rows and block size."""
    return Blocks(
        pieces[0].bits,
        np.concatenate([piece.scale for piece in pieces], axis=1),
        np.concatenate([piece.minimum for piece in pieces], axis=1),
        np.concatenate([piece.q for piece in pieces], axis=1),
    )


def cut(blocks: Blocks, size: int) -> Blocks:
    """The same integers in smaller blocks, of a size that divides theirs."""
    times = blocks.block_size // size
    scale, minimum = (np.repeat(values, times, axis=1) for values in (blocks.scale, blocks.minimum))
    return Blocks(blocks.bits, scale, minimum, blocks.q.reshape(blocks.rows, -1, size))


def interleaved(blocks: Blocks) -> Blocks:
    """Rows of the second half between those of the first: gate and up as QMoE wants them."""
    half = blocks.rows // 2
    order = np.arange(blocks.rows).reshape(2, half).T.ravel()
    return Blocks(blocks.bits, blocks.scale[order], blocks.minimum[order], blocks.q[order])


def packed(blocks: Blocks) -> Bytes:
    """MatMulNBits' B: (rows, blocks, block_size * bits / 8), the first value of a pair in the low half."""
    if blocks.bits == 8:
        return blocks.q
    return np.asarray(blocks.q[..., 0::2] | (blocks.q[..., 1::2] << 4), np.uint8)


def packed_zero_points(zero: Bytes, bits: int) -> Bytes:
    """MatMulNBits' zero_points: a row's integers side by side, rows filled up to whole bytes."""
    if bits == 8:
        return zero
    even = np.pad(zero, ((0, 0), (0, zero.shape[1] % 2)), constant_values=8)
    return np.asarray(even[:, 0::2] | (even[:, 1::2] << 4), np.uint8)
