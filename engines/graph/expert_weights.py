"""Experts of a layer in the operators of ONNX Runtime: QMoE for blocks of integers, MoE for floats.

Both want the matrices of all experts in one tensor: of gate and up the rows by turns, and of down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from edged.errors import CheckpointError
from engines.quantize import Rounding, dividing, fitting, interleaved, packed, quantized
from engines.tensor import Bytes, Floats, Tensor

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


Kind = Literal["gate_up", "down"]
Stored = Callable[[str, Expert, Kind, Rounding], tuple[Bytes, Floats]]
"""From layers.N.experts.M, that expert and which of its matrices, to packed codes and scales."""


def integer_experts(
    file: ModelFile,
    name: str,
    inputs: tuple[str, str],
    experts: Sequence[Expert],
    chosen: int,
    rounding: Rounding,
    accuracy: int,
    stored: Stored | None = None,
) -> str:
    """Add them as blocks, an expert at a time in memory; inputs: x and scores; accuracy: as MatMulNBits'.

    stored: other codes and scales than those of the checkpoint.
    """
    stored = stored or _stored
    rounding = expert_rounding(experts, rounding)
    hidden, inner = experts[0].down.shape
    bits, size = rounding.bits, rounding.block_size
    names = []
    sizes: dict[Kind, tuple[int, int]] = {"gate_up": (2 * inner, hidden), "down": (hidden, inner)}
    for kind, (rows, columns) in sizes.items():
        scales: list[Floats] = []
        shape = [len(experts), rows, columns * bits // 8]
        codes = _codes(name, experts, kind, rounding, stored, scales)
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


def _codes(
    name: str, experts: Sequence[Expert], kind: Kind, rounding: Rounding, stored: Stored, scales: list[Floats]
) -> Iterator[Bytes]:
    """Of one expert after the other; scales are kept to be written behind them."""
    for number, expert in enumerate(experts):
        codes, scale = stored(f"{name}.{number}", expert, kind, rounding)
        scales.append(scale)
        yield codes


def _stored(name: str, expert: Expert, kind: Kind, rounding: Rounding) -> tuple[Bytes, Floats]:
    """Satisfies `Stored`: rounded, or kept as the checkpoint has them."""
    if kind == "down":
        blocks = quantized([expert.down], rounding)
    else:
        blocks = interleaved(quantized([expert.gate, expert.up], rounding))
    if (blocks.zero_points() != 2 ** (rounding.bits - 1)).any():
        raise CheckpointError(f"{name}: experts quantized with zero points cannot be taken over")
    return packed(blocks), blocks.scale


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
