"""Tensors out of a file as whisper.cpp writes them for voice activity models.

Little-endian: a magic number, the name of the kind of model, its version, sizes of its layers, then tensors: number of
dimensions, length of the name, type, dimensions from the innermost outwards, name, values.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edged.errors import ArtefactError

_MAGIC = 0x67676D6C
_TYPES: Mapping[int, np.dtype[np.floating]] = {0: np.dtype("<f4"), 1: np.dtype("<f2")}
_MAX_BYTES = 64 << 20
_MAX_DIMENSIONS = 4


def read_tensors(path: Path, kind: str, header_integers: int) -> Mapping[str, NDArray[np.float32]]:
    """By name, outermost dimension first.

    kind: what the file has to say it is. header_integers: how many follow that, before the first tensor.
    Raises ArtefactError naming the file.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ArtefactError(f"{path}: larger than {_MAX_BYTES} bytes")
        data = path.read_bytes()
    except OSError as exc:
        raise ArtefactError(f"{path}: cannot be read: {exc.strerror}") from exc
    start = struct.pack("<II", _MAGIC, len(kind)) + kind.encode()
    if not data.startswith(start):
        raise ArtefactError(f"{path}: is no {kind} of whisper.cpp")
    try:
        return dict(_tensors(data, len(start) + 4 * header_integers))
    except (struct.error, ValueError, KeyError) as exc:
        raise ArtefactError(f"{path}: damaged or tampered with") from exc


def _tensors(data: bytes, place: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Raises struct.error, ValueError, KeyError for what is none."""
    while place < len(data):
        dimensions, name_length, kind = struct.unpack_from("<iii", data, place)
        if not 0 <= dimensions <= _MAX_DIMENSIONS or name_length < 0:
            raise ValueError
        shape = struct.unpack_from(f"<{dimensions}i", data, place + 12)
        place += 12 + 4 * dimensions
        name = data[place : place + name_length].decode("ascii")
        count = int(np.prod(shape, dtype=np.int64))
        if min(shape, default=1) < 1 or count > _MAX_BYTES:
            raise ValueError
        values = np.frombuffer(data, _TYPES[kind], count, place + name_length)
        place += name_length + values.nbytes
        yield name, values.astype(np.float32).reshape(shape[::-1])
