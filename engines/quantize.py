"""Block-wise integers: rounding float weights, keeping the blocks of a GGUF file, packing for the kernels.

A row is cut into blocks; each block of weights is written  w = scale * q + minimum  with q in 0..2^bits-1.
Symmetric formats are the case minimum = -2^(bits-1) * scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edged.errors import CheckpointError

from .tensor import Bytes, Floats, Tensor

CHUNK_VALUES = 4 * 1024 * 1024
"""Weights looked at at a time: 16 MB as float32."""

_KEEPABLE = {"Q4_0": 4, "Q4_1": 4, "Q8_0": 8}
"""Bits of the GGUF encodings that are blocks of 32 of the form above."""
_GGUF_BLOCK = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """How weights become integers."""

    bits: Literal[4, 8]
    block_size: int
    symmetric: bool = True
    keep: bool = True
    """Take over blocks of a GGUF file that already have this form instead of rounding them again."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Rows of weights as integers."""

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


def quantized(tensors: Sequence[Tensor], rounding: Rounding) -> Blocks:
    """The tensors' rows, one tensor after the other, read and rounded a piece at a time."""
    pieces = [piece for tensor in tensors for piece in _pieces(tensor, rounding)]
    return Blocks(
        rounding.bits,
        np.concatenate([piece.scale for piece in pieces]),
        np.concatenate([piece.minimum for piece in pieces]),
        np.concatenate([piece.q for piece in pieces]),
    )


def row_chunks(tensor: Tensor) -> Iterator[tuple[int, int]]:
    """(start, stop) of pieces of a tensor that are small as float32."""
    step = max(1, CHUNK_VALUES // tensor.columns)
    for start in range(0, tensor.rows, step):
        yield start, min(start + step, tensor.rows)


def kept(tensor: Tensor, rounding: Rounding) -> bool:
    """Whether the file's own blocks are taken over."""
    return rounding.keep and rounding.block_size == _GGUF_BLOCK and _KEEPABLE.get(tensor.encoding) == rounding.bits


def _pieces(tensor: Tensor, rounding: Rounding) -> Iterator[Blocks]:
    for start, stop in row_chunks(tensor):
        if kept(tensor, rounding):
            yield _gguf_blocks(tensor, start, stop)
        else:
            yield rounded(tensor.read_rows(start, stop), rounding)


def _gguf_blocks(tensor: Tensor, start: int, stop: int) -> Blocks:
    """Q4_0: f16 scale, 16 bytes. Q4_1: f16 scale, f16 minimum, 16 bytes. Q8_0: f16 scale, 32 signed bytes.

    The low halves of the bytes are the first 16 values of a block, the high halves the last 16.
    """
    bits = _KEEPABLE[tensor.encoding]
    head = 4 if tensor.encoding == "Q4_1" else 2
    data = tensor.stored(start, stop).reshape(stop - start, tensor.columns // _GGUF_BLOCK, -1)
    halves = np.ascontiguousarray(data[..., :head]).view(np.float16).astype(np.float32)
    if not np.isfinite(halves).all():
        raise CheckpointError(f"{tensor.path.name}: tensor {tensor.name} holds values that are not finite numbers")
    scale = np.ascontiguousarray(halves[..., 0])
    body = data[..., head:]
    if bits == 8:
        return Blocks(8, scale, -128 * scale, body ^ np.uint8(128))  # from two's complement to 0..255
    q = np.concatenate([body & 15, body >> 4], axis=-1)
    return Blocks(4, scale, np.ascontiguousarray(halves[..., 1]) if head == 4 else -8 * scale, q)


def rounded(weights: Floats, rounding: Rounding) -> Blocks:
    """Float rows as blocks; a last block that is not full is filled with zeros."""
    size = rounding.block_size
    padded = np.pad(weights, ((0, 0), (0, -weights.shape[1] % size)))
    blocks = padded.reshape(len(weights), -1, size)
    return _symmetric(blocks, rounding.bits) if rounding.symmetric else _asymmetric(blocks, rounding.bits)


def _symmetric(blocks: Floats, bits: int) -> Blocks:
    """0 is the middle integer. Of a few scales around the one that maps the largest weight to the end of the
    range, the one with the least squared error; INT8 is fine enough to need no search."""
    middle = 2 ** (bits - 1)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(-1)[..., None], -1)[..., 0]
    if bits == 8:
        scale = np.abs(largest) / (middle - 1)
        return Blocks(bits, scale, -middle * scale, _integers(blocks, scale, middle, bits))
    scale, q, error = None, None, None
    for end in (-8.5, -8.0, -7.5, -7.0, 7.0, 7.5):
        trial = (largest / np.float32(end)).astype(np.float32)
        trial_q = _integers(blocks, trial, middle, bits)
        difference = (trial_q.astype(np.float32) - middle) * trial[..., None] - blocks
        trial_error = np.einsum("rbi,rbi->rb", difference, difference)
        if scale is None or q is None or error is None:
            scale, q, error = trial, trial_q, trial_error
            continue
        better = trial_error < error
        scale, error = np.where(better, trial, scale), np.where(better, trial_error, error)
        q = np.where(better[..., None], trial_q, q)
    assert scale is not None and q is not None
    return Blocks(bits, scale, -middle * scale, q)


def _asymmetric(blocks: Floats, bits: int) -> Blocks:
    """The range of a block, stretched to hold 0, spread over all integers; 0 stays exact."""
    top = 2**bits - 1
    low, high = np.minimum(blocks.min(-1), 0), np.maximum(blocks.max(-1), 0)
    scale = ((high - low) / top).astype(np.float32)
    zero = np.clip(np.rint(-low / np.where(scale == 0, 1, scale)), 0, top).astype(np.float32)
    return Blocks(bits, scale, -zero * scale, _integers(blocks, scale, zero[..., None], bits))


def _integers(blocks: Floats, scale: Floats, zero: Floats | int, bits: int) -> Bytes:
    safe = np.where(scale == 0, 1, scale)[..., None]
    return np.asarray(np.clip(np.rint(blocks / safe) + zero, 0, 2**bits - 1), np.uint8)


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
