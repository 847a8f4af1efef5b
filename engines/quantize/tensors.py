"""Tensors of a checkpoint as blocks: read and rounded a piece at a time, or taken over as the file has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np

from edged.errors import CheckpointError
from engines.tensor import Tensor

from .blocks import Blocks, beside, cut, stacked
from .rounding import Rounding, rounded

CHUNK_VALUES = 4 * 1024 * 1024
"""Weights looked at at a time: 16 MB as float32."""

_KEEPABLE = {"Q4_0": 4, "Q4_1": 4, "Q8_0": 8}
"""Bits of the GGUF encodings that are blocks of 32 of the form  w = scale * q + minimum."""
_GGUF_BLOCK = 32


@runtime_checkable
class InBlocks(Protocol):
    """A tensor that the checkpoint has as blocks of integers already."""

    @property
    def bits(self) -> int:
        """Of an integer."""
        ...

    @property
    def block_size(self) -> int:
        """Weights that share a scale."""
        ...

    def blocks(self, start: int, stop: int) -> Blocks:
        """Rows start..stop."""
        ...


def quantized(tensors: Sequence[Tensor], rounding: Rounding) -> Blocks:
    """The tensors' rows, one tensor after the other."""
    rounding = fitting(tensors, rounding)
    return stacked([piece for tensor in tensors for piece in _pieces(tensor, rounding)])


def quantized_beside(tensors: Sequence[Tensor], rounding: Rounding) -> Blocks:
    """The tensors' columns, one tensor after the other; they have equally many rows, and blocks that divide a row.

    Blocks of all are made as small as the smallest, which changes no integer and no scale.
    """
    pieces = []
    for tensor in tensors:
        fit = fitting([tensor], rounding)
        if not kept(tensor, fit):
            fit = replace(fit, block_size=dividing(fit.block_size, tensor.columns))
        pieces.append(quantized([tensor], fit))
    size = min(piece.block_size for piece in pieces)
    return beside([cut(piece, size) for piece in pieces])


def dividing(block_size: int, *columns: int) -> int:
    """The largest block size up to this one that the kernels know and that divides all these."""
    return next(size for size in (block_size, 64, 32, 16) if all(count % size == 0 for count in columns))


def fitting(tensors: Sequence[Tensor], rounding: Rounding) -> Rounding:
    """With the block size that tensors already in blocks have, so that they can be kept: all get the same."""
    sizes = {tensor.block_size for tensor in tensors if isinstance(tensor, InBlocks) and tensor.bits == rounding.bits}
    if not rounding.keep or len(sizes) != 1:
        return rounding
    return replace(rounding, block_size=sizes.pop())


def row_chunks(tensor: Tensor) -> Iterator[tuple[int, int]]:
    """(start, stop) of pieces of a tensor that are small as float32."""
    step = max(1, CHUNK_VALUES // tensor.columns)
    for start in range(0, tensor.rows, step):
        yield start, min(start + step, tensor.rows)


def kept(tensor: Tensor, rounding: Rounding) -> bool:
    """Whether the file's own blocks are taken over; `rounding` as it is `fitting`."""
    if not rounding.keep or tensor.row_factors is not None or tensor.column_factors is not None:
        return False
    if isinstance(tensor, InBlocks):
        return (tensor.bits, tensor.block_size) == (rounding.bits, rounding.block_size)
    return rounding.block_size == _GGUF_BLOCK and _KEEPABLE.get(tensor.encoding) == rounding.bits


def _pieces(tensor: Tensor, rounding: Rounding) -> Iterator[Blocks]:
    for start, stop in row_chunks(tensor):
        if not kept(tensor, rounding):
            yield rounded(tensor.read_rows(start, stop), rounding)
        elif isinstance(tensor, InBlocks):
            yield tensor.blocks(start, stop)
        else:
            yield _gguf_blocks(tensor, start, stop)


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
