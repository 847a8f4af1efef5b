"""Folders that GPTQ or AWQ has quantized already: their integers, scales and zero points, read as they are.

A matrix X.weight of `rows` outputs and `columns` inputs lies in the folder as
X.qweight  I32, 8 integers a word: GPTQ along the inputs (columns / 8, rows), AWQ along the outputs (columns, rows / 8)
X.qzeros   I32, along the outputs: (groups, rows / 8)
X.scales   (groups, rows)
X.g_idx    I32, GPTQ only: the group of each input
and stands for  w = scale * (q - zero).  A word holds its values from the lowest bits up; AWQ's GEMM layout takes
outputs 0, 2, 4, 6, 1, 3, 5, 7 of every eight. GPTQ's first format stores zeros less one, "gptq_v2" as they are.
Sources: AutoGPTQ's and GPTQModel's QuantLinear.pack, AutoAWQ's WQLinear_GEMM.from_linear.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edged.errors import CheckpointError
from engines.quantize.blocks import Blocks
from engines.tensor import Bytes, Floats, Tensor

from .int4 import joined_blocks, read_block_size

_BITS = 4
_PER_WORD = 8
_SHIFTS = np.arange(0, 32, _BITS, dtype=np.uint32)
_AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""The output that each four bits of a word belong to, from the lowest up."""
_ONE_EACH = np.uint32(0x11111111)
_BLOCK_SIZES = (128, 64, 32)
"""What the kernels know; larger groups are several blocks with the same scale."""
_LEAVES = ("qweight", "qzeros", "scales", "g_idx")


@dataclass(frozen=True, slots=True)
class Packing:
    """What quantization_config in config.json says."""

    method: str
    """"gptq", "awq", or "edged": the layout of int4.py."""
    group_size: int
    """Inputs that share a scale; -1 is all of them."""
    zeros_less_one: bool


def read_packing(config: Mapping[str, object]) -> Packing | None:
    """None where the checkpoint is not quantized. Raises CheckpointError for a form that cannot be read."""
    found = config.get("quantization_config")
    if found is None:
        return None
    if not isinstance(found, dict):
        raise CheckpointError("config.json: quantization_config must be an object")
    method = str(found.get("quant_method"))[:40]
    bits, group = found.get("bits", found.get("w_bit")), found.get("group_size", found.get("q_group_size"))
    if method not in ("gptq", "awq", "edged"):
        raise CheckpointError(f"config.json: weights quantized by {method!r} cannot be read, only by gptq or awq")
    if bits != _BITS:
        raise CheckpointError(f"config.json: {method} with {str(bits)[:10]} bits cannot be read, only with {_BITS}")
    if method == "edged":
        return Packing(method, read_block_size(found), zeros_less_one=False)
    if type(group) is not int or not (group == -1 or 0 < group < 2**24):
        raise CheckpointError(f"config.json: a group_size of {str(group)[:20]} is not possible")
    form = str(found.get("version", "gemm") if method == "awq" else found.get("checkpoint_format", "gptq")).lower()
    if form not in (("gemm",) if method == "awq" else ("gptq", "gptq_v2")):
        raise CheckpointError(f"config.json: the {method} layout {form[:20]!r} cannot be read")
    return Packing(method, group, zeros_less_one=form == "gptq")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedTensor(Tensor):
    """A matrix in four bits. Satisfies `InBlocks`; path, offset and encoding are those of its integers."""

    method: str
    qzeros: Tensor
    scales: Tensor
    block_size: int
    zeros_less_one: bool

    @property
    def bits(self) -> int:
        """See InBlocks."""
        return _BITS

    def part(self, start: int, stop: int) -> Tensor:
        """See Tensor."""
        order = np.arange(self.rows) if self.row_order is None else self.row_order
        return replace(self, row_order=order[start:stop], shape=(stop - start, self.columns))

    def blocks(self, start: int, stop: int) -> Blocks:
        """See InBlocks."""
        rows = np.arange(start, stop) if self.row_order is None else self.row_order[start:stop]
        scale, zero = self.scales.read()[:, rows].T, self._zeros(rows).T.astype(np.float32)
        repeats = -(-self.columns // self.block_size) // scale.shape[1]
        scale, zero = np.repeat(scale, repeats, axis=1), np.repeat(zero, repeats, axis=1)
        q = np.ascontiguousarray(self._integers(rows).T)
        filled = np.pad(q, ((0, 0), (0, -self.columns % self.block_size)))
        return Blocks(_BITS, scale, -zero * scale, filled.reshape(len(rows), -1, self.block_size))

    def decoded(self, start: int, stop: int) -> Floats:
        """See Tensor."""
        return self.blocks(start, stop).dense()[:, : self.columns]

    def _integers(self, rows: NDArray[np.int64]) -> Bytes:
        """(columns, rows)"""
        words = _words(replace(self.qzeros, name=self.name, path=self.path, offset=self.offset, shape=self._stored))
        if self.method == "awq":
            return _of_outputs(words, _AWQ_ORDER, rows)
        values = ((words[:, None, rows] >> _SHIFTS[None, :, None]) & 15).astype(np.uint8)
        return values.reshape(-1, len(rows))

    def _zeros(self, rows: NDArray[np.int64]) -> Bytes:
        """(groups, rows)"""
        words = _words(self.qzeros)
        if self.zeros_less_one:
            words = words + _ONE_EACH  # with carries: the ones were taken from whole words
        return _of_outputs(words, _AWQ_ORDER if self.method == "awq" else tuple(range(_PER_WORD)), rows)

    @property
    def _stored(self) -> tuple[int, int]:
        rows = self.scales.columns
        return (self.columns, rows // _PER_WORD) if self.method == "awq" else (self.columns // _PER_WORD, rows)


def joined(stored: Mapping[str, Tensor], packing: Packing | None) -> dict[str, Tensor]:
    """Tensors of a folder with each qweight, qzeros, scales and g_idx made one weight.

    Raises CheckpointError where they do not fit each other, or where the inputs of a group are not side by side
    (desc_act with its groups in another order): no kernel here reorders its inputs.
    """
    tensors = dict(stored)
    if packing and packing.method == "edged":
        return joined_blocks(stored, packing.group_size)
    for name in [name for name in stored if packing and name.endswith(".qweight")]:
        prefix = name.removesuffix("qweight")
        found = {leaf: tensors.pop(prefix + leaf) for leaf in _LEAVES if prefix + leaf in tensors}
        assert packing is not None
        tensors[f"{prefix}weight"] = _packed(prefix.rstrip("."), found, packing)
    for name, tensor in tensors.items():
        if tensor.encoding == "I32" and not isinstance(tensor, PackedTensor):
            raise CheckpointError(f"{tensor.path.name}: tensor {name[:80]} is I32, which only packed weights may be")
    return tensors


def _packed(name: str, found: Mapping[str, Tensor], packing: Packing) -> PackedTensor:
    if missing := [leaf for leaf in _LEAVES[:3] if leaf not in found]:
        raise CheckpointError(f"{name[:80]}: {missing[0]} is missing beside qweight")
    qweight, qzeros, scales = (found[leaf] for leaf in _LEAVES[:3])
    if any(len(tensor.shape) != 2 for tensor in (qweight, qzeros, scales)):
        raise _misfit(name, found)
    gptq = packing.method == "gptq"
    columns, rows = qweight.rows * (_PER_WORD if gptq else 1), scales.columns
    group = columns if packing.group_size == -1 else packing.group_size
    groups = -(-columns // group)
    expected = (columns // _PER_WORD, rows) if gptq else (columns, rows // _PER_WORD)
    fits = (qweight.shape, qzeros.shape, scales.shape) == (expected, (groups, rows // _PER_WORD), (groups, rows))
    if not fits or rows % _PER_WORD or {qweight.encoding, qzeros.encoding} != {"I32"} or scales.encoding == "I32":
        raise _misfit(name, found)
    size = next((size for size in _BLOCK_SIZES if group % size == 0), None)
    if size is None or (columns % group and group not in _BLOCK_SIZES):
        raise CheckpointError(f"{name[:80]}: groups of {group} inputs out of {columns} do not fit the kernels' blocks")
    if "g_idx" in found:
        _require_order(name, found["g_idx"], columns, group)
    return PackedTensor(
        name=f"{name}.qweight",
        path=qweight.path,
        offset=qweight.offset,
        shape=(rows, columns),
        encoding=packing.method.upper(),
        method=packing.method,
        qzeros=qzeros,
        scales=scales,
        block_size=size,
        zeros_less_one=packing.zeros_less_one,
    )


def _misfit(name: str, found: Mapping[str, Tensor]) -> CheckpointError:
    shapes = ", ".join(f"{leaf} {tensor.encoding} {list(tensor.shape)}" for leaf, tensor in found.items())
    return CheckpointError(f"{name[:80]}: packed weights do not fit each other: {shapes}")


def _require_order(name: str, index: Tensor, columns: int, group: int) -> None:
    if index.encoding != "I32" or index.shape != (columns,):
        raise CheckpointError(f"{name[:80]}: g_idx is {index.encoding} {list(index.shape)}, expected I32 [{columns}]")
    if not np.array_equal(_words(index)[:, 0], np.arange(columns) // group):
        raise CheckpointError(
            f"{name[:80]}: desc_act has put inputs into groups out of order, which no kernel here can follow; "
            "quantize with desc_act off"
        )


def _words(tensor: Tensor) -> NDArray[np.uint32]:
    """(rows, columns)"""
    return tensor.stored(0, tensor.rows).view(np.uint32)


def _of_outputs(words: NDArray[np.uint32], order: tuple[int, ...], rows: NDArray[np.int64]) -> Bytes:
    """The values of these outputs from (any, outputs / 8) words.  # (any, rows)"""
    shifts = np.empty(_PER_WORD, np.uint32)
    shifts[list(order)] = _SHIFTS
    return ((words[:, rows // _PER_WORD] >> shifts[rows % _PER_WORD]) & 15).astype(np.uint8)
