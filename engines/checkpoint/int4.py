"""Folders that edged itself has quantized: integers and scales of training, read as they are and written.

A matrix X.weight of `rows` outputs and `columns` inputs lies in the folder as
X.weight.q4     U8 (rows, columns / 2): a byte holds the even column in its low half, the odd one in its high half
X.weight.scale  F16 (rows, blocks)
and stands for  w = scale * (q - 8).  Blocks have the block_size of quantization_config, or all columns where
there are fewer, as in the second matrix of an adapter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edged.errors import CheckpointError
from engines.quantize.blocks import Blocks
from engines.tensor import Bytes, Floats, Tensor

_BITS = 4
_MIDDLE = 8
CODES, SCALE = ".q4", ".scale"
"""What comes after the name of a matrix."""
_TYPES = {"float32": "F32", "float16": "F16", "uint8": "U8"}


def read_block_size(found: Mapping[str, object]) -> int:
    """From quantization_config. Raises CheckpointError."""
    size = found.get("block_size")
    if type(size) is not int or size not in (16, 32, 64, 128):
        raise CheckpointError(f"config.json: a block_size of {str(size)[:20]} is not possible: 16, 32, 64 or 128")
    return size


@dataclass(frozen=True, slots=True, kw_only=True)
class Int4Tensor(Tensor):
    """A matrix in four bits. Satisfies `InBlocks`; path, offset and row order are those of its integers too."""

    scales: Tensor
    block_size: int

    @property
    def bits(self) -> int:
        """See InBlocks."""
        return _BITS

    @property
    def row_bytes(self) -> int:
        """See Tensor."""
        return self.columns // 2

    def part(self, start: int, stop: int) -> Tensor:
        """See Tensor."""
        order = np.arange(self.rows) if self.row_order is None else self.row_order
        return replace(self, row_order=order[start:stop], shape=(stop - start, self.columns))

    def blocks(self, start: int, stop: int) -> Blocks:
        """See InBlocks."""
        scales = self.scales if self.row_order is None else self.scales.reordered(self.row_order)
        scale = scales.read_rows(start, stop)
        codes = self.stored(start, stop)
        q = np.stack([codes & 15, codes >> 4], axis=-1).reshape(stop - start, -1, self.block_size)
        return Blocks(_BITS, scale, -_MIDDLE * scale, q)

    def decoded(self, start: int, stop: int) -> Floats:
        """See Tensor."""
        return self.blocks(start, stop).dense()


def joined_blocks(stored: Mapping[str, Tensor], block_size: int) -> dict[str, Tensor]:
    """Tensors of a folder with each pair of integers and scales made one weight. Raises CheckpointError."""
    tensors = dict(stored)
    for name in [name for name in stored if name.endswith(CODES)]:
        weight = name.removesuffix(CODES)
        codes, scale = tensors.pop(name), tensors.pop(weight + SCALE, None)
        if scale is None or weight in stored:
            raise CheckpointError(f"{name[:80]}: must come with one {SCALE[1:]} and without the weight itself")
        tensors[weight] = _int4(weight, codes, scale, block_size)
    for name, tensor in tensors.items():
        if tensor.encoding == "U8":
            raise CheckpointError(f"{name[:80]}: is U8, which only {CODES[1:]} may be")
    return tensors


def _int4(name: str, codes: Tensor, scale: Tensor, block_size: int) -> Int4Tensor:
    columns = 2 * codes.columns
    size = min(block_size, columns)
    expected = (codes.rows, columns // size)
    kinds = (codes.encoding, scale.encoding)
    if len(codes.shape) != 2 or columns % size or size % 16 or scale.shape != expected or kinds != ("U8", "F16"):
        shapes = f"{codes.encoding} {list(codes.shape)}, {scale.encoding} {list(scale.shape)}"
        raise CheckpointError(f"{name[:80]}: integers and scales do not fit each other: {shapes}")
    return Int4Tensor(
        name=name,
        path=codes.path,
        offset=codes.offset,
        shape=(codes.rows, columns),
        encoding="INT4",
        scales=scale,
        block_size=size,
    )


def packed_codes(q: NDArray[np.integer]) -> Bytes:
    """Integers from -8 to 7, as X.weight.q4 holds them.  # (rows, columns) -> (rows, columns / 2)"""
    if q.min() < -_MIDDLE or q.max() >= _MIDDLE:
        raise ValueError("integers of four bits are from -8 to 7")
    shifted = (q + _MIDDLE).astype(np.uint8)
    return np.asarray(shifted[:, 0::2] | (shifted[:, 1::2] << 4), np.uint8)


def write_int4_checkpoint(
    folder: Path,
    config: Mapping[str, object],
    floats: Mapping[str, NDArray[np.floating]],
    integers: Mapping[str, tuple[NDArray[np.integer], NDArray[np.float16]]],
    block_size: int,
) -> None:
    """Write config.json with its quantization_config, and model.safetensors; nothing else.

    floats: by name, stored in their own type, float32 or float16.
    integers: by the name of the matrix, e.g. "model.layers.0.mlp.experts.0.up_proj.weight": q from -8 to 7 (rows,
    columns) and scale (rows, columns / block), where a block is `block_size` or all columns where there are fewer.
    """
    tensors: dict[str, NDArray[np.generic]] = dict(floats)
    for name, (q, scale) in integers.items():
        size = min(block_size, q.shape[1])
        if scale.dtype != np.float16 or scale.shape != (q.shape[0], q.shape[1] // size) or q.shape[1] % size:
            raise ValueError(f"{name}: scales are {scale.dtype} {scale.shape} for integers {q.shape}")
        tensors |= {name + CODES: packed_codes(q), name + SCALE: scale}
    write_safetensors(folder / "model.safetensors", tensors)
    said = {"quant_method": "edged", "bits": _BITS, "block_size": block_size}
    text = json.dumps({**config, "quantization_config": said}, indent=1, ensure_ascii=False)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")


def write_safetensors(path: Path, tensors: Mapping[str, NDArray[np.generic]]) -> None:
    """Format: 8 bytes of header length, a JSON header filled up with spaces, the data one after the other."""
    entries, end = {}, 0
    for name, values in tensors.items():
        place = [end, end := end + values.nbytes]
        entries[name] = {"dtype": _TYPES[str(values.dtype)], "shape": list(values.shape), "data_offsets": place}
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for values in tensors.values():
            file.write(np.ascontiguousarray(values).tobytes())
