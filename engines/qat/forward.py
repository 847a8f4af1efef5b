"""A Llama's forward pass for a GPU: matrices that see the same input are one, products are in bfloat16.

What is added up from layer to layer, and norms, stay in float32. It computes what `decoder.Decoder` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from edged.errors import InvalidInput
from engines.architecture import Architecture

from .decoder import Decoder, Layer

GROUPS = (("q", "k", "v"), ("o",), ("gate", "up"), ("down",))
"""Matrices of a layer, those together that see the same input."""
NORMS = ("attention_norm", "mlp_norm")


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """Of one layer; matrices in the type of products, norms in float32."""

    qkv: Tensor  # (q + 2 kv, hidden)
    o: Tensor
    gate_up: Tensor  # (2 inner, hidden)
    down: Tensor
    attention_norm: Tensor
    mlp_norm: Tensor


@dataclass(frozen=True, slots=True)
class Weights:
    """All that a text passes."""

    arch: Architecture
    layers: list[LayerWeights]
    norm: Tensor
    table: Tensor  # (vocabulary, hidden)
    head: Tensor
    cosines: Tensor  # (positions, head_dim / 2), float32
    sines: Tensor


def require_plain(model: Decoder) -> None:
    """Raise InvalidInput for a model with more than these weights."""
    arch = model.arch
    others = {
        "norms of heads": arch.head_norms,
        "biases": any(name.endswith(".bias") for name, _ in model.named_parameters()),
        "positions of several kinds": any(rope != arch.ropes[0] for rope in arch.ropes),
        "heads turned in part": 2 * cast(Layer, model.layers[0]).cosines.shape[1] != arch.head_dim,
    }
    if found := [name for name, is_there in others.items() if is_there]:
        raise InvalidInput(f"this {arch.model_type} is trained on a CPU only: it has {', '.join(found)}")


def weights_of(model: Decoder, kind: torch.dtype) -> Weights:
    """Copies of a model's own, matrices in that type. Raises InvalidInput."""
    require_plain(model)
    with torch.no_grad():
        layers = []
        for layer in model.layers:
            parts = [[cast(Tensor, layer.get_submodule(part).weight) for part in group] for group in GROUPS]
            norms = [cast(Tensor, layer.get_submodule(name).weight).float() for name in NORMS]
            layers.append(LayerWeights(*(torch.cat(group).to(kind) for group in parts), *norms))
        return with_layers(model, kind, layers, model.norm.weight.float())


def with_layers(model: Decoder, kind: torch.dtype, layers: list[LayerWeights], norm: Tensor) -> Weights:
    """Those layers, and what else the model has."""
    first = cast(Layer, model.layers[0])
    return Weights(
        arch=model.arch,
        layers=layers,
        norm=norm,
        table=model.table.to(kind),
        head=model.head.to(kind),
        cosines=first.cosines,
        sines=first.sines,
    )


def forward(weights: Weights, tokens: Tensor) -> Tensor:
    """States after the last norm, in the type of products.  # (batch, tokens) -> (batch, tokens, hidden)"""
    length = tokens.shape[1]
    cosines, sines = weights.cosines[:length], weights.sines[:length]
    x = functional.embedding(tokens, weights.table).float()
    for layer in weights.layers:
        q, k, v = heads(weights.arch, layer, x, cosines, sines)
        k, v = (_for_each_query(values, weights.arch) for values in (k, v))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=weights.arch.query_scale)
        x = behind_attention(weights.arch, layer, x, mixed)
    return normed(weights.arch, x, weights.norm, weights.head.dtype)


def heads(
    arch: Architecture, layer: LayerWeights, x: Tensor, cosines: Tensor, sines: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of a layer, turned by their positions.  # (batch, heads, tokens, head_dim) each"""
    found = functional.linear(normed(arch, x, layer.attention_norm, layer.qkv.dtype), layer.qkv)
    found = found.view(*found.shape[:-1], -1, arch.head_dim).transpose(1, 2)
    turning = arch.heads + arch.kv_heads
    first, second = found[:, :turning].chunk(2, dim=-1)
    turned = torch.cat([first * cosines - second * sines, second * cosines + first * sines], dim=-1).to(found.dtype)
    return turned[:, : arch.heads], turned[:, arch.heads :], found[:, turning:]


def behind_attention(arch: Architecture, layer: LayerWeights, x: Tensor, mixed: Tensor) -> Tensor:
    """What leaves the layer; mixed: (batch, heads, tokens, head_dim)."""
    x = x + functional.linear(mixed.transpose(1, 2).flatten(2), layer.o)
    gate, up = functional.linear(normed(arch, x, layer.mlp_norm, layer.down.dtype), layer.gate_up).chunk(2, dim=-1)
    return x + functional.linear(functional.silu(gate) * up, layer.down)


def normed(arch: Architecture, x: Tensor, weight: Tensor, kind: torch.dtype) -> Tensor:
    """By the root of its mean square, in float32, then in that type."""
    return functional.rms_norm(x, (arch.hidden_size,), weight, arch.norm_epsilon).to(kind)


def _for_each_query(values: Tensor, arch: Architecture) -> Tensor:
    """Keys or values, repeated for the heads that share them."""
    batch, kv_heads, length, size = values.shape
    group = arch.heads // kv_heads
    return values[:, :, None].expand(batch, kv_heads, group, length, size).reshape(batch, -1, length, size)
