"""Weights on their way from the artefact's file to the one that TensorRT reads: a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edged.errors import ArtefactError

CHUNK_VALUES = 8 * 1024 * 1024
"""Values of a weight looked at at a time."""

_INLINE_BYTES = 1024
_ALIGNMENT = 4096


def stored_bytes(tensor: TensorProto, graph: Path) -> NDArray[np.uint8]:
    """The bytes of a weight of that graph; those of another file are mapped, not read. Raises ArtefactError."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return np.frombuffer(tensor.raw_data or numpy_helper.to_array(tensor).tobytes(), np.uint8)
    place = {item.key: item.value for item in tensor.external_data}
    name = Path(place.get("location", ""))
    try:
        offset, length = int(place["offset"]), int(place["length"])
        if name.name != str(name) or offset < 0 or length != _size(tensor.data_type, tensor.dims):
            raise ValueError
        return np.memmap(graph.parent / name, np.uint8, "r", offset, (length,))
    except (KeyError, ValueError, OSError) as exc:
        raise ArtefactError(f"{graph}: {name.name or 'no file'} does not hold the weight {tensor.name}") from exc


class WeightsFile:
    """The weights of one graph: small ones in the graph itself, the others one after the other in a file."""

    def __init__(self, data: BinaryIO) -> None:
        self.data = data
        self.tensors: dict[str, TensorProto] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def write(self, name: str, kind: int, shape: list[int], chunks: Iterator[NDArray[Any]]) -> str:
        """Add a weight made of consecutive pieces, each of which is forgotten at once; returns its name."""
        proto = TensorProto(name=name, data_type=kind, dims=shape)
        if (size := _size(kind, shape)) <= _INLINE_BYTES:
            proto.raw_data = b"".join(chunk.tobytes() for chunk in chunks)
        else:
            self.data.write(b"\0" * (-self.data.tell() % _ALIGNMENT))
            place = {"location": Path(self.data.name).name, "offset": self.data.tell(), "length": size}
            for chunk in chunks:
                self.data.write(np.ascontiguousarray(chunk).data)
            proto.data_location = TensorProto.EXTERNAL
            for key, value in place.items():
                proto.external_data.add(key=key, value=str(value))
        self.tensors[name] = proto
        return name


def unpacked(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Integers of 4 bits, which lie in bytes low half first."""
    return np.stack([data & 15, data >> 4], axis=-1).reshape(*data.shape[:-1], -1)


def packed(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The reverse, without gaps between rows."""
    pairs = values.reshape(-1, 2)
    return np.asarray(pairs[:, 0] | (pairs[:, 1] << 4), np.uint8)


def _size(kind: int, shape: Any) -> int:
    """Bytes of a tensor."""
    four = kind in (TensorProto.UINT4, TensorProto.INT4)
    bits = 4 if four else int(helper.tensor_dtype_to_np_dtype(kind).itemsize) * 8
    return -(-int(np.prod(shape, dtype=np.int64)) * bits // 8)
