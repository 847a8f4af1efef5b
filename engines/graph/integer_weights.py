"""Weights as blocks of integers, in the operators MatMulNBits and GatherBlockQuantized.

A block kept from Q4_1 is  w = scale * q + minimum.  The kernels know only integer zero points, and
rounding minimum / scale to one of them leaves a remainder per block, at most half a scale. What
becomes of it is a choice of the recipe (`Minimum`), made for each kind of matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np

from edged.errors import InvalidInput
from engines.quantize import Blocks, Rounding, packed, packed_zero_points, quantized, quantized_beside, rounded
from engines.tensor import Bytes, Floats, Tensor

from .expert_weights import Expert, integer_experts
from .float_weights import FloatWeights
from .model_file import FUSED, ModelFile

Minimum = Literal["drop", "columns", "exact", "int8"]
"""The remainders of a matrix are
drop     left out;
columns  appended to the same product as INT4 columns, which act on the block means of the input;
exact    multiplied with the block means of the input in float32 and added;
int8     taken up by storing the block as INT8: 17 q needs no new scale and its zero point is 17 times finer.
"""

INT8_INPUTS, FLOAT_INPUTS = 4, 1
"""MatMulNBits' accuracy_level: inputs rounded to INT8 in blocks and sums in INT32, or everything in float32,
which is exact and slower: a token of autoglm-phone-nano takes 0.50 instead of 0.22 ms on two cores."""

Inputs = Literal["int8", "float"]
"""Rounded in blocks, or left exact."""

Bits = Literal[4, 8, 16]
"""Of a weight; 16 are floats, in whatever type the graph computes."""

USUAL_KINDS = ("qkv", "o", "gate_up", "down")
"""Matrices of a layer with neither experts nor adapters."""

Quantize = Callable[[str, Sequence[Tensor], Rounding], Blocks]
"""From the name of a matrix, layers.N.{qkv,o,gate_up,down}, and its parts to integers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerFormat:
    """What a recipe says about weights."""

    linear: Rounding
    minimum: Mapping[str, Minimum]
    """By kind of matrix: qkv, o, gate_up, down."""
    embedding: Rounding
    head: Rounding
    inputs: Inputs = "int8"
    """What the inputs of products become on a CPU."""
    bits: tuple[tuple[str, Bits], ...] = ()
    """Glob patterns of the matrices of layers (layers.N.qkv ...), embedding and head, with the bits for what they
    match; the first that matches counts."""

    def rounding(self, name: str) -> Rounding | None:
        """How the matrix of that name becomes integers; None where it stays as it is."""
        usual = {"embedding": self.embedding, "head": self.head}.get(name, self.linear)
        bits = next((bits for pattern, bits in self.bits if fnmatchcase(name, pattern)), usual.bits)
        return None if bits == 16 else replace(usual, bits=bits)


def require_matches(format_: IntegerFormat, layers: int, kinds: Sequence[str] = USUAL_KINDS) -> None:
    """Raise InvalidInput for a pattern of `bits` that no matrix of a model of so many layers matches.

    kinds: of the matrices of a layer.
    """
    names = [f"layers.{layer}.{kind}" for layer in range(layers) for kind in kinds]
    names += ["embedding", "head"]
    for pattern, _ in format_.bits:
        if not any(fnmatchcase(name, pattern) for name in names):
            *most, last = [f".{kind}" for kind in kinds]
            raise InvalidInput(
                f"bits: {pattern!r} matches nothing; there are layers.N{', '.join(most)} and {last} "
                f"with N from 0 to {layers - 1}, embedding and head"
            )


def each_for_itself(name: str, parts: Sequence[Tensor], rounding: Rounding) -> Blocks:
    """Satisfies `Quantize`: plain rounding, or what the checkpoint has."""
    return quantized(parts, rounding)


class IntegerWeights:
    """Satisfies `Weights`."""

    def __init__(
        self,
        file: ModelFile,
        format_: IntegerFormat,
        accuracy: int | None = None,
        quantize: Quantize = each_for_itself,
    ) -> None:
        """accuracy: INT8_INPUTS or FLOAT_INPUTS instead of what the format says."""
        self.file = file
        self.format = format_
        self.accuracy = accuracy or (INT8_INPUTS if format_.inputs == "int8" else FLOAT_INPUTS)
        self.quantize = quantize
        self.written: dict[str, Bits] = {}
        """What each matrix has become."""

    def linear(self, name: str, x: str, parts: Sequence[Tensor], bias: Floats | None, factor: float = 1.0) -> str:
        """See Weights."""
        rounding = self.format.rounding(name)
        if rounding is None:
            self.written[name] = 16
            return FloatWeights(self.file).linear(name, x, parts, bias, factor)
        blocks = self.quantize(name, parts, rounding)
        if factor != 1:
            small = np.float32(factor)
            blocks = replace(blocks, scale=blocks.scale * small, minimum=blocks.minimum * small)
            bias = None if bias is None else bias * small
        columns = parts[0].columns
        remainder = blocks.remainder()
        # Where nothing is left of the minimum, as in every format but Q4_1, there is nothing to choose.
        minimum = self.format.minimum[name.rpartition(".")[2]] if remainder.any() else "drop"
        self.written[name] = 8 if minimum == "int8" or blocks.bits == 8 else 4
        if minimum == "columns":
            return self._with_columns(name, x, blocks, remainder, bias)
        if minimum == "exact":
            product = self._product(f"{name}.product", x, blocks, columns, bias)
            means = self._block_means(name, x, blocks)
            factors = self.file.number(f"{name}.remainder", blocks.block_size * remainder.T)
            rest = self.file.node("MatMul", [means, factors], f"{name}.rest")
            return self.file.node("Add", [product, rest], f"{name}.out")
        return self._product(f"{name}.out", x, _as_int8(blocks) if minimum == "int8" else blocks, columns, bias)

    def beside(self, name: str, x: str, parts: Sequence[Tensor]) -> str:
        """See Weights. Rounded or kept, not calibrated."""
        if (rounding := self.format.rounding(name)) is None:
            self.written[name] = 16
            return FloatWeights(self.file).beside(name, x, parts)
        blocks = quantized_beside(parts, rounding)
        self.written[name] = rounding.bits
        return self._product(f"{name}.out", x, blocks, blocks.blocks * blocks.block_size, None)

    def experts(self, name: str, x: str, scores: str, experts: Sequence[Expert], chosen: int) -> str:
        """See Weights. Rounded or kept, not calibrated."""
        if (rounding := self.format.rounding(name)) is None:
            self.written[name] = 16
            return FloatWeights(self.file).experts(name, x, scores, experts, chosen)
        self.written[name] = rounding.bits
        return integer_experts(self.file, name, (x, scores), experts, chosen, rounding, self.accuracy)

    def embedding(self, tokens: str, table: Tensor) -> str:
        """See Weights."""
        if (usual := self.format.rounding("embedding")) is None:
            self.written["embedding"] = 16
            return FloatWeights(self.file).embedding(tokens, table)
        rounding = self._table_rounding(table, usual)
        self.written["embedding"] = rounding.bits
        codes, scale, shape = self._table(table, rounding)
        blocks = shape[1]
        # GatherBlockQuantized wants the scales to have the rank of the table.
        scale = self.file.reshaped(f"{scale}.column", scale, [shape[0], blocks, 1])
        self.file.node(
            "GatherBlockQuantized",
            [codes, tokens, scale],
            "embedding.blocks",
            domain=FUSED,
            bits=rounding.bits,
            block_size=rounding.block_size,
            gather_axis=0,
            quantize_axis=2,
        )
        flat = self.file.weight("embedding.shape", np.array([0, 0, table.columns], np.int64))
        return self.file.node("Reshape", ["embedding.blocks", flat], "embedding")

    def head(self, x: str, table: Tensor, output: str) -> str:
        """See Weights."""
        if (usual := self.format.rounding("head")) is None:
            self.written["head"] = 16
            return FloatWeights(self.file).head(x, table, output)
        rounding = self._table_rounding(table, usual)
        self.written["head"] = rounding.bits
        codes, scale, _ = self._table(table, rounding)
        return self._matmul(output, [x, codes, scale], table.rows, table.columns, rounding.bits, rounding.block_size)

    def _table(self, table: Tensor, rounding: Rounding) -> tuple[str, str, tuple[int, int]]:
        """Codes and scales of an embedding table or head; written once where both are the same."""
        name = f"{table.name}.int{rounding.bits}.block{rounding.block_size}"
        blocks = table.columns // rounding.block_size
        if not self.file.has_weight(name):
            values = quantized([table], rounding)
            self.file.weight(name, packed(values))
            self.file.number(f"{name}.scale", values.scale)
        return name, f"{name}.scale", (table.rows, blocks)

    def _table_rounding(self, table: Tensor, rounding: Rounding) -> Rounding:
        """Both kernels read symmetric whole blocks: GGUF blocks only of such a kind, sizes that divide a row."""
        size = next(size for size in (rounding.block_size, 64, 32, 16) if table.columns % size == 0)
        keep = rounding.keep and table.encoding in ("Q4_0", "Q8_0")
        return Rounding(bits=rounding.bits, block_size=size, symmetric=True, keep=keep)

    def _with_columns(self, name: str, x: str, blocks: Blocks, remainder: Floats, bias: Floats | None) -> str:
        """One product of [input, its block means] with [q, remainder as INT4]."""
        rounding = Rounding(bits=4, block_size=blocks.block_size)
        extra = rounded(blocks.block_size * remainder, rounding)
        both = Blocks(
            4,
            np.concatenate([blocks.scale, extra.scale], axis=1),
            np.concatenate([blocks.minimum, extra.minimum], axis=1),
            np.concatenate([blocks.q, extra.q], axis=1),
        )
        columns = blocks.blocks * blocks.block_size
        wide = self.file.node("Concat", [x, self._block_means(name, x, blocks)], f"{name}.wide", axis=2)
        return self._product(f"{name}.out", wide, both, columns + blocks.blocks, bias)

    def _block_means(self, name: str, x: str, blocks: Blocks) -> str:
        """(1, tokens, columns) to (1, tokens, blocks): kept blocks are always whole."""
        size = [blocks.block_size]
        return self.file.node("AveragePool", [x], f"{name}.means", kernel_shape=size, strides=size)

    def _product(self, output: str, x: str, blocks: Blocks, columns: int, bias: Floats | None) -> str:
        name = output.rpartition(".")[0]
        codes = self.file.weight(f"{name}.q", packed(blocks))
        scale = self.file.number(f"{name}.scale", blocks.scale)
        inputs = [x, codes, scale, self._zero_points(name, blocks.zero_points(), blocks.bits)]
        if bias is not None:
            inputs += ["", self.file.number(f"{name}.bias", bias)]
        return self._matmul(output, inputs, blocks.rows, columns, blocks.bits, blocks.block_size)

    def _zero_points(self, name: str, zero: Bytes, bits: int) -> str:
        """Left out where they are the middle, which the kernels assume."""
        if (zero == 2 ** (bits - 1)).all():
            return ""
        return self.file.weight(f"{name}.zero", packed_zero_points(zero, bits))

    def _matmul(self, output: str, inputs: list[str], rows: int, columns: int, bits: int, block_size: int) -> str:
        while not inputs[-1]:
            inputs.pop()
        return self.file.node(
            "MatMulNBits",
            inputs,
            output,
            domain=FUSED,
            N=rows,
            K=columns,
            bits=bits,
            block_size=block_size,
            accuracy_level=self.accuracy,
        )


def _as_int8(blocks: Blocks) -> Blocks:
    """INT4 blocks as INT8 ones that hold the minimum 17 times more finely."""
    return Blocks(8, blocks.scale / np.float32(17), blocks.minimum, blocks.q * np.uint8(17))
