"""The vision tower in float32: what its graph, and what quantization does to it, is held against.

Plain and complete rather than fast, in the array API's words like `engines.reference`, whose parts it shares.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engines.encoder.reference import Weights, attention, gelu, weights_of
from engines.reference.arrays import Array, Arrays, numpy_arrays
from engines.reference.decoder import rms_norm, rotate, silu

from .tower import MERGER_NORM_EPSILON, VisionTower


def stored_weights(tower: VisionTower, arrays: Arrays | None = None) -> Weights:
    """The checkpoint's own."""
    arrays = arrays or numpy_arrays()
    return lambda name: arrays.of(tower.tensors[name].read())


def embeddings(
    tower: VisionTower, inputs: Mapping[str, Array], weights: Weights, arrays: Arrays | None = None
) -> Array:
    """What the text model is given for one picture; inputs as of the graph.  # (patches / merge ** 2, out_hidden)"""
    arrays = arrays or numpy_arrays()
    xp = arrays.xp
    x = inputs["patches"] @ xp.reshape(weights("patch_embed.proj.weight"), (tower.hidden_size, -1)).T
    x = x + weights("patch_embed.proj.bias")
    x = rms_norm(arrays, x, weights("post_conv_layernorm.weight"), tower.norm_epsilon)
    x = x + _position_embeddings(inputs, weights("embeddings.position_embedding.weight"), xp)
    angles = inputs["places"] @ arrays.of(tower.frequencies())
    turns = xp.cos(angles), xp.sin(angles)  # (patches, head_dim / 2)
    for block in range(tower.depth):
        x = _block(tower, x, turns, weights_of(weights, f"blocks.{block}."), arrays)
    x = rms_norm(arrays, x, weights("post_layernorm.weight"), tower.norm_epsilon)
    squares = xp.reshape(x, (-1, tower.merge_size**2 * tower.hidden_size))
    kernel = xp.permute_dims(weights("downsample.weight"), (0, 2, 3, 1))
    x = squares @ xp.reshape(kernel, (tower.out_hidden_size, -1)).T + weights("downsample.bias")
    return _merger(x, weights_of(weights, "merger."), arrays)


def _position_embeddings(inputs: Mapping[str, Array], table: Array, xp: Any) -> Array:
    """The square of embeddings resampled at each patch."""
    rows, columns = inputs["row_weights"], inputs["column_weights"]
    return xp.reshape(rows[:, :, None] * columns[:, None, :], (len(rows), -1)) @ table


def _block(tower: VisionTower, x: Array, turns: tuple[Array, Array], weight: Weights, arrays: Arrays) -> Array:
    normed = rms_norm(arrays, x, weight("norm1.weight"), tower.norm_epsilon)
    qkv = arrays.xp.reshape(normed @ weight("attn.qkv.weight").T, (len(x), 3, tower.heads, tower.head_dim))
    q, k, v = arrays.xp.permute_dims(qkv, (1, 2, 0, 3))  # (heads, patches, head_dim) each
    mixed = attention(rotate(arrays, q, *turns), rotate(arrays, k, *turns), v, arrays)
    x = x + mixed @ weight("attn.proj.weight").T
    normed = rms_norm(arrays, x, weight("norm2.weight"), tower.norm_epsilon)
    return x + _gated(normed, weights_of(weight, "mlp."), arrays)


def _merger(x: Array, weight: Weights, arrays: Arrays) -> Array:
    xp = arrays.xp
    x = x @ weight("proj.weight").T
    centred = x - xp.mean(x, axis=-1, keepdims=True)
    x = centred / xp.sqrt(xp.mean(centred * centred, axis=-1, keepdims=True) + MERGER_NORM_EPSILON)
    x = x * weight("post_projection_norm.weight") + weight("post_projection_norm.bias")
    return _gated(gelu(x, xp), weight, arrays)


def _gated(x: Array, weight: Weights, arrays: Arrays) -> Array:
    """down(silu(gate(x)) * up(x))"""
    gate = silu(arrays, x @ weight("gate_proj.weight").T)
    return (gate * (x @ weight("up_proj.weight").T)) @ weight("down_proj.weight").T
