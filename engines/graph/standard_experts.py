"""A mixture of experts in standard operators, in a form that reads the weights of few experts for few tokens.

The first token of a run and those behind it go separate ways, for decoding has a first token only, and TensorRT
leaves out of its profile for one token what the others would need.
- The first token: the matrices of its experts are gathered, multiplied element by element and summed. TensorRT makes
  one kernel of dequantizing, gathering and summing: of 4-bit weights those of the chosen experts are read, once, and
  nothing but the results is written.
- The others: the experts that any of them is sent to are gathered, as many as there can be, min(tokens * k, experts), a
  number that follows from the shape. All tokens pass all of those, and what an expert makes of a token that was not
  sent to it counts 0. Gathered matrices are written in float16, which matrix products want.
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
    stacks = _stacks(to, node, attributes)
    choice, weights = _choice(to, out, _exact(to, node.input[1]), chosen)
    first = tuple(_part(to, f"{out}.first", name, axis, 0) for name, axis in ((x, 1), (choice, 0), (weights, 0)))
    others = tuple(_part(to, f"{out}.others", name, axis, 1) for name, axis in ((x, 1), (choice, 0), (weights, 0)))
    experts, double, _ = to.stored[node.input[2]].dims
    one = _first_token(to, f"{out}.first", first, stacks, double // 2)
    rest = _other_tokens(to, f"{out}.others", others, stacks, (experts, chosen, double // 2))
    to.node("Concat", [one, rest], out, axis=1)


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


def _part(to: Translation, out: str, name: str, axis: int, start: int) -> str:
    """The first along an axis, or all but the first: `start` is 0 or 1."""
    end = to.token_count() if start else to.integers(1)
    return to.node("Slice", [name, to.integers(start), end, to.integers(axis)], f"{out}.{name}")


def _first_token(to: Translation, out: str, inputs: tuple[str, ...], stacks: tuple[str, str], inner_size: int) -> str:
    """(1, 1, hidden)"""
    x, choice, weights = inputs
    ids = to.node("Reshape", [choice, to.integers(-1)], f"{out}.ids")  # (chosen,)
    rows = to.node("Gather", [stacks[0], ids], f"{out}.gate_up", axis=0)  # (chosen, 2 * I, hidden)
    inner = to.node(
        "ReduceSum", [to.node("Mul", [rows, x], f"{out}.gate_up.x"), to.integers(2)], f"{out}.inner", keepdims=0
    )
    gated = _gated(to, out, inner, [0, inner_size, 2])  # (chosen, I)
    gated = to.node("Unsqueeze", [gated, to.integers(1)], f"{out}.gated.row")
    rows = to.node("Gather", [stacks[1], ids], f"{out}.down", axis=0)  # (chosen, hidden, I)
    made = to.node(
        "ReduceSum", [to.node("Mul", [rows, gated], f"{out}.down.x"), to.integers(2)], f"{out}.made", keepdims=0
    )
    column = to.node("Reshape", [weights, to.integers(-1, 1)], f"{out}.weights.column")
    shared = to.node("Mul", [made, column], f"{out}.shared")
    total = to.node("ReduceSum", [shared, to.integers(0)], f"{out}.sum", keepdims=1)
    return to.node("Unsqueeze", [total, to.integers(0)], out)


def _other_tokens(
    to: Translation, out: str, inputs: tuple[str, ...], stacks: tuple[str, str], sizes: tuple[int, int, int]
) -> str:
    """(1, tokens - 1, hidden); sizes: experts, how many a token passes, their width."""
    x, choice, weights = inputs
    experts, chosen, inner_size = sizes
    used = _used(to, out, choice, experts, chosen)
    inner = to.node("MatMul", [x, _picked(to, stacks[0], used, f"{out}.gate_up")], f"{out}.inner")
    gated = _gated(to, out, inner, [0, 0, inner_size, 2])  # (used, tokens, I)
    counted = to.node("Mul", [gated, _shares(to, out, used, choice, weights)], f"{out}.counted")
    made = to.node("MatMul", [counted, _picked(to, stacks[1], used, f"{out}.down")], f"{out}.made")
    return to.node("ReduceSum", [made, to.integers(0)], out, keepdims=1)


def _gated(to: Translation, out: str, inner: str, shape: list[int]) -> str:
    """silu(gate) * up, which come by turns along the last axis; `shape` puts them beside each other."""
    pairs = to.node("Reshape", [inner, to.integers(*shape)], f"{out}.pairs")
    last = len(shape) - 1
    halves = [f"{out}.gate.column", f"{out}.up.column"]
    to.node("Split", [pairs, to.integers(1, 1)], halves, axis=last)
    gate, up = (to.node("Squeeze", [half, to.integers(last)], half.removesuffix(".column")) for half in halves)
    return to.node("Mul", [to.node("Swish", [gate], f"{out}.activated", alpha=1.0), up], f"{out}.gated")


def _used(to: Translation, out: str, choice: str, experts: int, chosen: int) -> str:
    """The experts that come up most, as many as so many tokens can be sent to.  # (used,)"""
    several = to.once("Sub", [to.token_count(), to.integers(1)], "others.count")
    count = to.once("Mul", [several, to.integers(chosen)], f"used.{chosen}")
    count = to.once("Max", [count, to.integers(1)], f"used.{chosen}.some")
    count = to.once("Min", [count, to.integers(experts)], f"used.{chosen}.{experts}")
    numbers = to.constant(f"experts.{experts}", np.arange(experts).reshape(-1, 1, 1))
    hits = to.node("Equal", [numbers, choice], f"{out}.hits")  # (experts, tokens, chosen)
    hits = to.node("Cast", [hits], f"{out}.hits.number", to=TensorProto.FLOAT)
    found = to.node("ReduceSum", [hits, to.integers(1, 2)], f"{out}.found", keepdims=0)
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
    weighted = to.node("Mul", [factors, weights], f"{out}.weighted")
    return to.node("ReduceSum", [weighted, to.integers(2)], f"{out}.shares", keepdims=1)


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
