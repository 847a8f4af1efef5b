"""A mixture of experts in standard operators, in a form that reads the weights of few experts for few tokens.

The experts that any of the tokens is sent to are gathered from the dequantized stack of all, as many as there can be:
min(tokens * k, experts), a number that follows from the shape. All tokens pass all of those, and what an expert makes
of a token that was not sent to it counts 0. For one token these are exactly the k chosen; from experts / k tokens on
they are all, which is what a long chunk needs anyway, at experts / k times the work. TensorRT dequantizes and gathers
in one kernel, so the 4-bit weights of other experts are not read; what it gathers it writes once in float16.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import NodeProto, TensorProto

if TYPE_CHECKING:
    from .standard import Translation

_UNSIGNED = {4: TensorProto.UINT4, 8: TensorProto.UINT8}


def mixture(to: Translation, node: NodeProto, attributes: Mapping[str, Any]) -> None:
    """Translate a QMoE, or a MoE of floats, as engines/graph/expert_weights.py writes them."""
    out, x, chosen = node.output[0], node.input[0], attributes["k"]
    first, second = _stacks(to, node, attributes)
    experts = to.stored[node.input[2]].dims[0]
    choice, weights = _choice(to, out, _exact(to, node.input[1]), chosen)
    used = _used(to, out, choice, experts, chosen)
    inner = to.node("MatMul", [x, _picked(to, first, used, f"{out}.gate_up")], f"{out}.inner")  # (used, tokens, 2 * I)
    pairs = to.node("Reshape", [inner, to.integers(0, 0, -1, 2)], f"{out}.pairs")
    halves = [f"{out}.gate.column", f"{out}.up.column"]
    to.node("Split", [pairs, to.integers(1, 1)], halves, axis=3)
    gate, up = (to.node("Squeeze", [half, to.integers(3)], half.removesuffix(".column")) for half in halves)
    gated = to.node("Mul", [to.node("Swish", [gate], f"{out}.activated", alpha=1.0), up], f"{out}.gated")
    made = to.node("MatMul", [gated, _picked(to, second, used, f"{out}.down")], f"{out}.made")  # (used, tokens, hidden)
    shared = to.node("Mul", [made, _shares(to, out, used, choice, weights)], f"{out}.shared")
    to.node("ReduceSum", [shared, to.integers(0)], out, keepdims=1)


def _choice(to: Translation, out: str, scores: str, chosen: int) -> tuple[str, str]:
    """The experts of each token, and what each counts.  # (tokens, chosen) each"""
    best, choice = f"{out}.best", f"{out}.choice"
    to.node("TopK", [scores, to.integers(chosen)], [best, choice], axis=-1)
    exact = to.node("Softmax", [best], f"{out}.weights.exact", axis=-1)
    return choice, to.node("Cast", [exact], f"{out}.weights", to=to.activations)


def _exact(to: Translation, scores: str) -> str:
    """The router's scores before they are rounded to the type of activations."""
    maker = next((node for node in to.source.node if scores in node.output), None)
    return maker.input[0] if maker is not None and maker.op_type == "Cast" else scores


def _used(to: Translation, out: str, choice: str, experts: int, chosen: int) -> str:
    """The experts that come up, and others to fill up what the number of tokens allows.  # (used,)"""
    count = to.once("Mul", [to.token_count(), to.integers(chosen)], f"used.{chosen}")
    count = to.once("Min", [count, to.integers(experts)], f"used.{chosen}.{experts}")
    numbers = to.constant(f"experts.{experts}", np.arange(experts).reshape(-1, 1, 1))
    hits = to.node("Equal", [numbers, choice], f"{out}.hits")  # (experts, tokens, chosen)
    hits = to.node("Cast", [hits], f"{out}.hits.number", to=TensorProto.FLOAT)
    found = to.node("ReduceMax", [hits, to.integers(1, 2)], f"{out}.found", keepdims=0)
    to.node("TopK", [found, count], [f"{out}.found.sorted", f"{out}.used"], axis=0)
    return f"{out}.used"


def _picked(to: Translation, stack: str, used: str, out: str) -> str:
    """Matrices of these experts, to be multiplied with from the right.  # (used, inputs, outputs)"""
    rows = to.node("Gather", [stack, used], f"{out}.used", axis=0)
    return to.node("Transpose", [rows], f"{out}.columns", perm=[0, 2, 1])


def _shares(to: Translation, out: str, used: str, choice: str, weights: str) -> str:
    """What each used expert counts for each token; 0 where it was not chosen.  # (used, tokens, 1)"""
    column = to.node("Unsqueeze", [used, to.integers(1, 2)], f"{out}.used.column")
    is_chosen = to.node("Equal", [column, choice], f"{out}.chosen")
    factors = to.node("Cast", [is_chosen], f"{out}.chosen.number", to=to.activations)
    counted = to.node("Mul", [factors, weights], f"{out}.counted")
    return to.node("ReduceSum", [counted, to.integers(2)], f"{out}.shares", keepdims=1)


def _stacks(to: Translation, node: NodeProto, attributes: Mapping[str, Any]) -> tuple[str, str]:
    """Dequantized matrices of all experts: gate and up by turns, and down.  # (experts, outputs, inputs) each"""
    if node.op_type == "MoE":
        return node.input[2], node.input[4]
    bits, size = attributes["expert_weight_bits"], attributes["block_size"]
    first, second = (_dequantized(to, node.input[place], node.input[place + 1], bits, size) for place in (2, 5))
    return first, second


def _dequantized(to: Translation, codes: str, scale: str, bits: int, size: int) -> str:
    experts, rows, stored = to.stored[codes].dims
    shape = [experts, rows, stored * 8 // bits]
    scales = [experts, rows, shape[2] // size]
    inputs = [
        to.alias(f"{codes}.uint{bits}", codes, _UNSIGNED[bits], shape),
        to.alias(f"{codes}.scale", scale, to.stored[scale].data_type, scales),
        to.middle(bits, scales),
    ]
    return to.once("DequantizeLinear", inputs, f"{codes}.rows", axis=2, block_size=size)
