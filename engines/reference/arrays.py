"""Which arrays the reference computes with: numpy's, or PyTorch's where there is a GPU for them."""

from __future__ import annotations

import ctypes
import importlib.util
from dataclasses import dataclass
from typing import Any

import array_api_compat
import array_api_compat.numpy
import numpy as np
from numpy.typing import NDArray

from engines.tensor import Floats

Array = Any
"""An array of whichever library computes: the array API standard has no type for it yet."""


@dataclass(frozen=True, slots=True)
class Arrays:
    """A library of arrays and the device that they lie on."""

    xp: Any
    """Namespace of the array API standard (https://data-apis.org/array-api/)."""
    device: Any = None
    """As the library names it; None is the library's default."""

    def of(self, values: NDArray[Any]) -> Array:
        """The same values as an array of this library."""
        return self.xp.asarray(values, device=self.device)


def to_numpy(values: Array) -> Floats:
    """The values in float32 in this process's memory."""
    return np.asarray(array_api_compat.to_device(values, "cpu"), np.float32)


def numpy_arrays() -> Arrays:
    """Arrays of numpy."""
    return Arrays(array_api_compat.numpy)


def torch_arrays(device: str = "cpu") -> Arrays:
    """Tensors of PyTorch, which must be installed."""
    import array_api_compat.torch

    return Arrays(array_api_compat.torch, device)


def fastest_arrays() -> Arrays:
    """PyTorch's on the GPU where both are there, else numpy's."""
    if _has_driver() and importlib.util.find_spec("torch"):
        import torch

        if torch.cuda.is_available():
            return torch_arrays("cuda")
    return numpy_arrays()


def _has_driver() -> bool:
    """Whether there is anything to ask PyTorch for, whose import takes seconds."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
