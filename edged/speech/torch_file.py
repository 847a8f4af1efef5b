"""Tensors out of a file as torch.save wrote it before version 1.6, without torch.

Such a file is a row of pickles and then the numbers. A pickle can run any program, so this one reads nothing but what
tensors are made of.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edged.errors import ArtefactError

_MAGIC = 0x1950A86A20F9469CFC6C
_MAX_BYTES = 256 << 20
_WIDTH = 4


@dataclass(frozen=True, slots=True)
class _Tensor:
    """Numbers in order, somewhere among others."""

    storage: str
    start: int
    shape: tuple[int, ...]

    def of(self, numbers: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Raises LookupError, ValueError where they are not there."""
        count = int(np.prod(self.shape, dtype=np.int64))
        return numbers[self.storage][self.start : self.start + count].reshape(self.shape)


class _Float32:
    """Stands for the type of the numbers; others are refused."""


def read_tensors(path: Path, group: str) -> Mapping[str, NDArray[np.float32]]:
    """The tensors of one group, such as "model_state", by name. Raises ArtefactError naming the file."""
    try:
        with path.open("rb") as file:
            if path.stat().st_size > _MAX_BYTES:
                raise ArtefactError(f"{path}: larger than {_MAX_BYTES} bytes")
            if _unpickled(file) != _MAGIC:
                raise ArtefactError(f"{path}: is no file of torch.save in its older format")
            _unpickled(file), _unpickled(file)  # version and sizes of types
            tensors = _unpickled(file)[group]
            numbers = {key: _numbers(file) for key in _unpickled(file)}
            return {name: tensor.of(numbers) for name, tensor in tensors.items()}
    except OSError as exc:
        raise ArtefactError(f"{path}: cannot be read: {exc.strerror}") from exc
    except ArtefactError:
        raise
    except Exception as exc:  # foreign pickles raise anything
        raise ArtefactError(f"{path}: damaged, or more than tensors") from exc


def _numbers(file: IO[bytes]) -> NDArray[np.float32]:
    """Raises ValueError where the file breaks off."""
    count = int.from_bytes(file.read(8), "little")
    if count * _WIDTH > _MAX_BYTES:
        raise ValueError
    return np.frombuffer(file.read(count * _WIDTH), "<f4", count).astype(np.float32, copy=False)


def _unpickled(file: IO[bytes]) -> Any:
    return _Unpickler(file).load()


class _Unpickler(pickle.Unpickler):
    """Of tensors in dictionaries, numbers and texts."""

    def find_class(self, module: str, name: str) -> Any:
        """Raises UnpicklingError for everything that is not listed."""
        known: dict[tuple[str, str], type | Callable[..., _Tensor]] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch", "FloatStorage"): _Float32,
            ("torch._utils", "_rebuild_tensor_v2"): _rebuilt,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return known[module, name]

    def persistent_load(self, pid: Any) -> str:
        """The key of a row of numbers."""
        kind, dtype, key, _device, _count, view = pid
        if kind != "storage" or dtype is not _Float32 or view is not None:
            raise pickle.UnpicklingError
        return str(key)


def _rebuilt(storage: str, start: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> _Tensor:
    """Raises UnpicklingError for numbers that do not lie in order."""
    dense = tuple(int(np.prod(shape[place + 1 :], dtype=np.int64)) for place in range(len(shape)))
    if start < 0 or strides != dense:
        raise pickle.UnpicklingError
    return _Tensor(storage, start, shape)
