"""One matrix or vector of a checkpoint: on disk until its rows are asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize
from numpy.typing import NDArray

from edged.errors import CheckpointError

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_JOINED_ROWS = 4096
_JOINED_VALUES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """Where the values lie and how they are encoded. Shapes are written rows first, as in PyTorch."""

    name: str
    """As the file calls it, for messages."""
    path: Path
    offset: int
    shape: tuple[int, ...]
    encoding: str
    """A GGML type: "F32", "BF16", "Q4_1", "Q6_K" ..."""
    row_order: NDArray[np.int64] | None = None
    """Row i of this tensor is row row_order[i] of the file; None keeps the order."""
    added: float = 0.0
    """Every value is the file's plus this: folders of Gemma hold the weights of norms less one."""
    row_factors: Floats | None = None
    """Each row is then multiplied by its factor; None leaves them.  # (rows,)"""
    column_factors: Floats | None = None
    """Each column, likewise.  # (columns,)"""

    @property
    def rows(self) -> int:
        """Outputs of a matrix, values of a vector."""
        return self.shape[0]

    @property
    def columns(self) -> int:
        """Values in a row, of all dimensions but the first; a vector is made of rows of one value."""
        return math.prod(self.shape[1:])

    @property
    def row_bytes(self) -> int:
        """Bytes of a row in the file."""
        values, size = GGML_QUANT_SIZES[GGMLQuantizationType[self.encoding]]
        return self.columns * size // values

    def reordered(self, order: NDArray[np.int64]) -> Tensor:
        """The same tensor with its rows in another order."""
        return replace(self, row_order=order)

    def part(self, start: int, stop: int) -> Tensor:
        """Rows start..stop as a tensor of their own, of one whose rows are in the file's order."""
        assert self.row_order is None
        return replace(self, offset=self.offset + start * self.row_bytes, shape=(stop - start, *self.shape[1:]))

    def plus(self, value: float) -> Tensor:
        """The same tensor with a number added to every value."""
        return replace(self, added=value)

    def scaled(self, *, rows: Floats | None = None, columns: Floats | None = None) -> Tensor:
        """The same tensor with rows and columns multiplied by factors, besides those it has; rows keep their order."""
        return replace(
            self, row_factors=_times(self.row_factors, rows), column_factors=_times(self.column_factors, columns)
        )

    def stored(self, start: int, stop: int) -> Bytes:
        """Rows start..stop as the file encodes them.  # (rows, row_bytes)

        Read, not mapped: pages of a mapped file would count as this process's memory.
        """
        if self.row_order is None:
            return self._read(start, stop)
        order = self.row_order[start:stop]
        first = int(order.min())
        return np.ascontiguousarray(self._read(first, int(order.max()) + 1)[order - first])

    def read_rows(self, start: int, stop: int) -> Floats:
        """Rows start..stop as float32.  # (rows, columns)"""
        # Scales of a damaged file may be anything; what comes of them is judged below.
        with np.errstate(all="ignore"):
            values = self.decoded(start, stop)
        if not np.isfinite(values).all():
            raise CheckpointError(f"{self.path.name}: tensor {self.name} holds values that are not finite numbers")
        if self.added:
            values = values + np.float32(self.added)
        if self.row_factors is not None:
            values = values * self.row_factors[start:stop, None]
        return values if self.column_factors is None else values * self.column_factors

    def decoded(self, start: int, stop: int) -> Floats:
        """Rows start..stop as the file has them, with nothing added or multiplied.  # (rows, columns)"""
        stored = self._long_rows(self.stored(start, stop))
        values = np.asarray(dequantize(stored, GGMLQuantizationType[self.encoding]), np.float32)
        return values.reshape(stop - start, self.columns)

    def read(self) -> Floats:
        """The whole tensor as float32, in its own shape."""
        return self.read_rows(0, self.rows).reshape(self.shape)

    def _long_rows(self, stored: Bytes) -> Bytes:
        """Rows joined to longer ones: `dequantize` takes sixteen at a time, which is slow when they are short."""
        joined = math.gcd(len(stored), _JOINED_ROWS)
        while joined > 1 and joined * self.columns > _JOINED_VALUES:
            joined //= 2
        return stored.reshape(len(stored) // joined, -1)

    def _read(self, start: int, stop: int) -> Bytes:
        count = (stop - start) * self.row_bytes
        try:
            data = np.fromfile(self.path, np.uint8, count, offset=self.offset + start * self.row_bytes)
        except OSError as exc:
            raise CheckpointError(f"{self.path}: cannot be read: {exc.strerror}") from exc
        if len(data) != count:
            raise CheckpointError(f"{self.path.name}: tensor {self.name} runs past the end of the file")
        return data.reshape(stop - start, self.row_bytes)


def _times(factors: Floats | None, more: Floats | None) -> Floats | None:
    if factors is None or more is None:
        return factors if more is None else more
    return factors * more
