"""Matrices of a tower as an ONNX graph holds them: integers of 4 or 8 bits, or floats.

Integers are dequantized by DequantizeLinear ahead of a MatMul, inputs first: ONNX Runtime makes one product of the
two (MatMulNBits) when it loads the graph, TensorRT when it compiles, both without ever writing the whole matrix of
floats. So two graphs, one for each, share the integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from edged.errors import CheckpointError
from engines.checkpoint.int4 import Int4Tensor
from engines.graph.model_file import Activations, ModelFile
from engines.quantize import Rounding, dividing, quantized, rounded
from engines.tensor import Floats, Tensor

Bits = Literal[4, 8, 16, 32]
"""Of the weights of products: integers with a scale for each block of 64 inputs (4) or each output (8), or floats.
Scales of blocks are float16, as training exports them.
A checkpoint's own integers of 4 bits are kept where 8 are asked for, which would add nothing to them."""
BLOCK_SIZE = 64
HALF, SINGLE = np.dtype(np.float16), np.dtype(np.float32)
_KINDS = {HALF: TensorProto.FLOAT16, SINGLE: TensorProto.FLOAT}
_LEAST_BLOCK = 16


class Products:
    """Writes products of one graph, and what lies between them."""

    def __init__(self, file: ModelFile, bits: Bits, dtype: Activations) -> None:
        """dtype: of products, "float32" for a CPU, "float16" for a GPU; everything else is float32."""
        self.file = file
        self.bits = bits
        self.dtype = np.dtype(dtype)

    def times(self, x: str, name: str, matrix: Tensor | Floats, *, bits: Bits | None = None) -> str:
        """x, of the type of products, times the transposed rows of the matrix.

        bits: instead of those asked for. Raises CheckpointError for a width that has no blocks.
        """
        bits = bits or self.bits
        if bits == 4 or (bits == 8 and isinstance(matrix, Int4Tensor)):
            weight = self._blocks(name, matrix)
        elif bits == 8:
            weight = self._rows(name, _values(matrix))
        else:
            weight = self.floats(name, _values(matrix).T, bits)
        return self.file.node("MatMul", [x, weight], f"{name}.product")

    def linear(self, x: str, name: str, matrix: Tensor, bias: Tensor) -> str:
        """The same in float32 with a bias of each output."""
        product = self.cast(self.times(self.cast(x, self.dtype), name, matrix), SINGLE)
        return self.file.node("Add", [product, self.vector(f"{name}.bias", bias)], f"{name}.biased")

    def floats(self, name: str, values: Floats, bits: Bits) -> str:
        """A constant of products, stored in half precision unless in 32 bits."""
        dtype = SINGLE if bits == 32 else HALF
        return self._in_products(self.file.weight(f"{name}.{dtype.name}", _cast(values, dtype)), dtype)

    def cast(self, x: str, dtype: np.dtype[Any]) -> str:
        """x, which is float32 where products are not, in another type."""
        if self.dtype == SINGLE:
            return x
        return self.file.node("Cast", [x], f"{x}.{dtype.name}", to=_KINDS[dtype])

    def vector(self, name: str, tensor: Tensor) -> str:
        """A constant of float32."""
        return self.file.weight(name, tensor.read())

    def shape(self, name: str, values: Sequence[int]) -> str:
        """A constant of whole numbers."""
        return self.file.weight(name, np.array(values, np.int64))

    def scalar(self, name: str, value: int) -> str:
        """A whole number without dimensions."""
        return self.file.weight(name, np.array(value, np.int64))

    def _blocks(self, name: str, matrix: Tensor | Floats) -> str:
        rounding = Rounding(bits=4, block_size=_block_size(name, matrix))
        codes = f"{name}.q4"
        if not self.file.has_weight(codes):
            blocks = quantized([matrix], rounding) if isinstance(matrix, Tensor) else rounded(matrix, rounding)
            inputs_first = np.ascontiguousarray(blocks.q.reshape(blocks.rows, -1).T)
            pairs = inputs_first.reshape(-1, 2) ^ np.uint8(8)  # from 0..15 to two's complement
            self.file.streamed(codes, ml_dtypes.int4, inputs_first.shape, [pairs[:, 0] | pairs[:, 1] << 4])
            self.file.weight(f"{codes}.scale", _cast(blocks.scale.T, HALF))
        scale, size = self._in_products(f"{codes}.scale", HALF), rounding.block_size
        return self.file.node("DequantizeLinear", [codes, scale], f"{name}.weight", axis=0, block_size=size)

    def _in_products(self, stored: str, dtype: np.dtype[Any]) -> str:
        """A stored constant in the type of products; the run time casts it once."""
        if dtype == self.dtype:
            return stored
        return self.file.node("Cast", [stored], f"{stored}.{self.dtype.name}", to=_KINDS[self.dtype])

    def _rows(self, name: str, matrix: Floats) -> str:
        q, scale = rounded_rows(matrix)
        codes = self.file.weight(f"{name}.q", q.T)
        scales = self.file.weight(f"{name}.scale.{self.dtype.name}", _cast(scale, self.dtype))
        return self.file.node("DequantizeLinear", [codes, scales], f"{name}.weight", axis=1)


def precision_of(matrices: Iterable[Tensor], bits: Bits) -> str:
    """What becomes of a tower's matrices for which so many bits are asked, in the manifest's words."""
    if bits > 8:
        return f"float{bits}"
    return "int4" if any(isinstance(matrix, Int4Tensor) for matrix in matrices) else f"int{bits}"


def rounded_rows(matrix: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Integers -127..127 and a scale for each row.  # (rows, columns), (rows,)"""
    scale = np.abs(matrix).max(axis=1) / np.float32(127)
    q = np.rint(matrix / np.where(scale == 0, 1, scale)[:, None]).astype(np.int8)
    return q, scale


def _block_size(name: str, matrix: Tensor | Floats) -> int:
    if isinstance(matrix, Int4Tensor):
        return matrix.block_size
    columns = matrix.columns if isinstance(matrix, Tensor) else matrix.shape[1]
    if columns % _LEAST_BLOCK:
        raise CheckpointError(f"{name}: {columns} inputs cannot be 4 bits each, which want multiples of {_LEAST_BLOCK}")
    return dividing(BLOCK_SIZE, columns)


def _values(matrix: Tensor | Floats) -> Floats:
    values = matrix.read() if isinstance(matrix, Tensor) else matrix
    return values.reshape(len(values), -1)


def _cast(values: Floats, dtype: np.dtype[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):  # infinite where float16 ends; the build measures what becomes of it
        return values.astype(dtype)
