"""Memory that a graph reads and writes in place: on the host, or through the same few methods on a GPU."""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edged.errors import Unavailable

Array = NDArray[Any]


class Buffer(Protocol):
    """An array at a fixed address."""

    @property
    def pointer(self) -> int:
        """Address in the memory of its device."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Its extents."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its elements."""
        ...

    def write(self, values: Array | int) -> None:
        """Replace the whole content."""
        ...

    def read(self, target: Array) -> None:
        """Copy the whole content to the host."""
        ...

    def copy(self, source: Self) -> None:
        """Take over the whole content of a buffer of the same shape, wherever it is."""
        ...

    def copy_prefix(self, source: Self, length: int) -> None:
        """Take over the first `length` entries of the last axis but one."""
        ...


class Device(Protocol):
    """Where a stage of the model computes."""

    @property
    def kind(self) -> str:
        """As ONNX Runtime calls it: "cpu" or "cuda"."""
        ...

    @property
    def index(self) -> int:
        """Which one of its kind."""
        ...

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> Buffer:
        """A new buffer of zeros. Raises Unavailable when the device has no room."""
        ...


@dataclass(frozen=True, slots=True)
class HostBuffer:
    """Satisfies `Buffer`."""

    array: Array

    @property
    def pointer(self) -> int:
        """See Buffer."""
        return int(self.array.ctypes.data)

    @property
    def shape(self) -> tuple[int, ...]:
        """See Buffer."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """See Buffer."""
        return self.array.dtype

    def write(self, values: Array | int) -> None:
        """See Buffer."""
        self.array[...] = values

    def read(self, target: Array) -> None:
        """See Buffer."""
        np.copyto(target, self.array)

    def copy(self, source: HostBuffer) -> None:
        """See Buffer."""
        np.copyto(self.array, source.array)

    def copy_prefix(self, source: HostBuffer, length: int) -> None:
        """See Buffer."""
        self.array[..., :length, :] = source.array[..., :length, :]


@dataclass(frozen=True, slots=True)
class Host:
    """The CPU and its memory: satisfies `Device`. The index only tells several of them apart."""

    index: int = 0
    kind: str = "cpu"

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> HostBuffer:
        """Zeros over a private mapping, which costs memory only where it is written.

        A mapping instead of np.empty: malloc may hand out (and keep) used heap, and huge pages would
        commit two megabytes for the first token of every head. Raises Unavailable where there is no memory.
        """
        size = math.prod(shape) * np.dtype(dtype).itemsize
        try:
            mapping = mmap.mmap(-1, max(1, size), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError as exc:
            raise Unavailable(
                "the memory has no room left: lower engine.kv_cache_mb, engine.max_seq_len or engine.max_active"
            ) from exc
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            mapping.madvise(mmap.MADV_NOHUGEPAGE)
        return HostBuffer(np.frombuffer(mapping, dtype=dtype, count=math.prod(shape)).reshape(shape))
