"""The transformer of autoglm_phone's eyes and ears in float32, in the array API's words like `engines.reference`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engines.reference.arrays import Array, Arrays
from engines.reference.decoder import rms_norm, softmax
from engines.tensor import Tensor

from .sizes import Config

Weights = Callable[[str], Array]
"""Name of a tensor of the tower, or of a part of it -> its values in float32."""


def stored_weights(tensors: Mapping[str, Tensor], arrays: Arrays) -> Weights:
    """The checkpoint's own."""
    return lambda name: arrays.of(tensors[name].read())


def weights_of(weights: Weights, part: str) -> Weights:
    """Of a part of the tower."""
    return lambda name: weights(part + name)


def convolved(x: Array, weights: Weights, *, stride: tuple[int, int], padding: tuple[int, int], xp: Any) -> Array:
    """A convolution along two axes, with its bias.  # (channels, height, width) to (outputs, ...)"""
    kernel = weights("weight")
    high, wide = kernel.shape[-2:]
    (top, left), (down, right) = padding, stride
    channels, height, width = x.shape
    padded = xp.zeros((channels, height + 2 * top, width + 2 * left), dtype=x.dtype, device=x.device)
    padded[:, top : top + height, left : left + width] = x
    rows, columns = (height + 2 * top - high) // down + 1, (width + 2 * left - wide) // right + 1
    out = xp.zeros((kernel.shape[0], rows * columns), dtype=x.dtype, device=x.device)
    for y in range(high):
        for z in range(wide):
            seen = padded[:, y : y + down * (rows - 1) + 1 : down, z : z + right * (columns - 1) + 1 : right]
            out = out + kernel[:, :, y, z] @ xp.reshape(seen, (channels, rows * columns))
    return xp.reshape(out + weights("bias")[:, None], (-1, rows, columns))


def encoded(config: Config, x: Array, weights: Weights, arrays: Arrays) -> Array:
    """All blocks and the last norm.  # (states, hidden) to the same"""
    for block in range(config.num_hidden_layers):
        x = _block(config, x, weights_of(weights, f"blocks.{block}."), arrays)
    return rms_norm(arrays, x, weights("norm.weight"), config.rms_norm_eps)


def projected(x: Array, weights: Weights, xp: Any) -> Array:
    """To the text model.  # (tokens, merged * hidden) to (tokens, width)"""
    return _linear(gelu(_linear(x, weights, "projector.0"), xp), weights, "projector.2")


def gelu(x: Array, xp: Any) -> Array:
    """The exact one."""
    return 0.5 * x * (1 + _erf(x * 0.5**0.5, xp))


def _block(config: Config, x: Array, weights: Weights, arrays: Arrays) -> Array:
    heads = config.num_attention_heads
    normed = rms_norm(arrays, x, weights("norm1.weight"), config.rms_norm_eps)
    qkv = arrays.xp.reshape(normed @ weights("attn.qkv.weight").T, (len(x), 3, heads, config.hidden_size // heads))
    q, k, v = arrays.xp.permute_dims(qkv, (1, 2, 0, 3))  # (heads, states, head_dim) each
    x = x + attention(q, k, v, arrays) @ weights("attn.proj.weight").T
    normed = rms_norm(arrays, x, weights("norm2.weight"), config.rms_norm_eps)
    return x + _linear(gelu(_linear(normed, weights, "mlp.fc1"), arrays.xp), weights, "mlp.fc2")


def attention(q: Array, k: Array, v: Array, arrays: Arrays) -> Array:
    """All states see all states; a head at a time, since scores grow with the square.  # (states, hidden)"""
    scale = q.shape[-1] ** -0.5
    mixed = [softmax(arrays, q[head, ...] @ k[head, ...].T * scale) @ v[head, ...] for head in range(q.shape[0])]
    return arrays.xp.concat(mixed, axis=-1)


def _linear(x: Array, weights: Weights, name: str) -> Array:
    return x @ weights(f"{name}.weight").T + weights(f"{name}.bias")


def _erf(x: Array, xp: Any) -> Array:
    """To 1.5e-7, as good as float32 is near 1 (Abramowitz and Stegun, 7.1.26)."""
    t = 1 / (1 + 0.3275911 * xp.abs(x))
    sum_ = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    return xp.sign(x) * (1 - sum_ * xp.exp(-x * x))
