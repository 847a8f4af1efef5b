"""Experts of a layer in the operators of ONNX Runtime: QMoE for blocks of integers, MoE for floats.

Both want the matrices of all experts in one tensor: of gate and up the rows by turns, and of down.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edged.errors import CheckpointError
from engines.quantize import Blocks, Rounding, dividing, fitting, interleaved, packed, quantized
from engines.tensor import Floats, Tensor

from .model_file import FUSED, ModelFile


@dataclass(frozen=True, slots=True)
class Expert:
    """down(silu(gate(x)) * up(x))"""

    gate: Tensor
    up: Tensor
    down: Tensor

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """All three."""
        return self.gate, self.up, self.down


def integer_experts(
    file: ModelFile,
    name: str,
    inputs: tuple[str, str],
    experts: Sequence[Expert],
    chosen: int,
    rounding: Rounding,
    accuracy: int,
) -> str:
    """Add them as blocks, an expert at a time in memory; inputs: x and scores; accuracy: as MatMulNBits'."""
    rounding = expert_rounding(experts, rounding)
    hidden, inner = experts[0].down.shape
    bits, size = rounding.bits, rounding.block_size
    names = []
    for kind, rows, columns in (("gate_up", 2 * inner, hidden), ("down", hidden, inner)):
        scales: list[Floats] = []
        shape = [len(experts), rows, columns * bits // 8]
        codes = (_packed(blocks, scales) for blocks in _blocks(name, experts, kind, rounding))
        names.append(file.streamed(f"{name}.{kind}.q", np.uint8, shape, codes))
        names.append(file.numbers(f"{name}.{kind}.scale", [len(experts), rows, columns // size], scales))
    return file.node(
        "QMoE",
        [*inputs, *names[:2], "", *names[2:]],
        f"{name}.out",
        domain=FUSED,
        expert_weight_bits=bits,
        block_size=size,
        weights_prepacked=0,  # as MatMulNBits has them; a GPU lays them out anew when the model is loaded
        accuracy_level=accuracy,
        **_attributes(chosen),
    )


def float_experts(file: ModelFile, name: str, inputs: tuple[str, str], experts: Sequence[Expert], chosen: int) -> str:
    """Add them as floats, an expert at a time in memory; inputs: x and scores."""
    hidden, inner = experts[0].down.shape
    count = len(experts)
    both = (_alternating(expert.gate.read(), expert.up.read()) for expert in experts)
    first = file.numbers(f"{name}.gate_up.weight", [count, 2 * inner, hidden], both)
    second = file.numbers(f"{name}.down.weight", [count, hidden, inner], (expert.down.read() for expert in experts))
    return file.node("MoE", [*inputs, first, "", second], f"{name}.out", domain=FUSED, **_attributes(chosen))


def expert_rounding(experts: Sequence[Expert], rounding: Rounding) -> Rounding:
    """Symmetric, in blocks of one size for all three matrices: the checkpoint's, or one that divides them."""
    rounding = replace(fitting([tensor for expert in experts for tensor in expert.tensors], rounding), symmetric=True)
    return replace(rounding, block_size=dividing(rounding.block_size, *experts[0].down.shape))


def _blocks(name: str, experts: Sequence[Expert], kind: str, rounding: Rounding) -> Iterator[Blocks]:
    for expert in experts:
        if kind == "down":
            blocks = quantized([expert.down], rounding)
        else:
            blocks = interleaved(quantized([expert.gate, expert.up], rounding))
        if (blocks.zero_points() != 2 ** (rounding.bits - 1)).any():
            raise CheckpointError(f"{name}: experts quantized with zero points cannot be taken over")
        yield blocks


def _packed(blocks: Blocks, scales: list[Floats]) -> np.ndarray[Any, Any]:
    """Codes; scales are kept to be written behind them."""
    scales.append(blocks.scale)
    return packed(blocks)


def _alternating(gate: Floats, up: Floats) -> Floats:
    """(inner, hidden) each, to (2 * inner, hidden)"""
    return np.stack([gate, up], axis=1).reshape(-1, gate.shape[1])


def _attributes(chosen: int) -> dict[str, Any]:
    """SwiGLU as Llama has it, and weights that are the softmax over the chosen scores."""
    return {
        "k": chosen,
        "activation_type": "swiglu",
        "swiglu_fusion": 1,
        "activation_alpha": 1.0,
        "activation_beta": 0.0,
        "swiglu_limit": float("inf"),
        "normalize_routing_weights": 1,
    }
