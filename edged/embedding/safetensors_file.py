"""Tensors of a safetensors file: eight bytes that say how long its JSON header is, the header, the numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edged.errors import ArtefactError

_LENGTH_BYTES = 8
_FLOAT32 = np.dtype("<f4")


def read_tensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """Those of 32-bit floats, by name, in memory. Raises ArtefactError."""
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(_LENGTH_BYTES), "little")))
            numbers = np.fromfile(file, np.uint8)  # memory of its own, since those in the file need not be aligned
        return {
            name: numbers[slice(*entry["data_offsets"])].view(_FLOAT32).reshape(entry["shape"])
            for name, entry in header.items()
            if name != "__metadata__" and entry["dtype"] == "F32"
        }
    except OSError as exc:
        raise ArtefactError(f"{path}: cannot be read: {exc.strerror}") from exc
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError, MemoryError) as exc:
        raise ArtefactError(f"{path}: is no safetensors file") from exc
