"""The model in float32 numpy, a layer at a time: what the gate holds a quantized engine against.

Plain and complete rather than fast: every step of the Llama family can be read here. Weights are
dequantized layer by layer, so memory holds one layer of them and the states of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from .checkpoint import Checkpoint
from .quantize import row_chunks
from .tensor import Floats


def final_states(
    checkpoint: Checkpoint, segments: Sequence[Sequence[int]], progress: Callable[[int], object]
) -> list[Floats]:
    """States after the last norm of each segment of tokens, each read from an empty context.  # (tokens, hidden)"""
    arch = checkpoint.architecture
    states = [_embedded(checkpoint, tokens) for tokens in segments]
    cosines, sines = arch.rope.tables(max(len(tokens) for tokens in segments))
    for layer in range(arch.layers):
        weights = _Layer(checkpoint, layer)
        for hidden in states:
            hidden += weights.attention(rms_norm(hidden, weights["attention_norm"], arch.norm_epsilon), cosines, sines)
            hidden += weights.mlp(rms_norm(hidden, weights["mlp_norm"], arch.norm_epsilon))
        progress(1)
    norm = checkpoint.tensors["norm.weight"].read()
    return [rms_norm(hidden, norm, arch.norm_epsilon) for hidden in states]


def head_logits(checkpoint: Checkpoint, states: Floats) -> Floats:
    """Scores of every token of the vocabulary.  # (tokens, vocabulary)"""
    head = checkpoint.tensors["embedding.weight" if checkpoint.architecture.tied else "head.weight"]
    logits = np.empty((len(states), head.rows), np.float32)
    for start, stop in row_chunks(head):
        logits[:, start:stop] = states @ head.read_rows(start, stop).T
    return logits


def rms_norm(x: Floats, weight: Floats, epsilon: float) -> Floats:
    """x / sqrt(mean(x^2) + epsilon) * weight over the last axis."""
    mean_square = np.mean(x * x, axis=-1, keepdims=True)
    return np.asarray(x / np.sqrt(mean_square + np.float32(epsilon)) * weight, np.float32)


def rotate(x: Floats, cosines: Floats, sines: Floats) -> Floats:
    """Turn each pair (i, i + half) of a head by its position's angle.  # x: (heads, tokens, head_dim)"""
    half = cosines.shape[1]
    first, second = x[..., :half], x[..., half:]
    return np.concatenate([first * cosines - second * sines, second * cosines + first * sines], axis=-1)


def softmax(x: Floats) -> Floats:
    """exp(x) over its sum, along the last axis."""
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


class _Layer:
    """The weights of one layer as float32."""

    def __init__(self, checkpoint: Checkpoint, layer: int) -> None:
        prefix = f"layers.{layer}."
        self.arch = checkpoint.architecture
        self.window = self.arch.windows[layer]
        self.values = {
            name.removeprefix(prefix): tensor.read()
            for name, tensor in checkpoint.tensors.items()
            if name.startswith(prefix)
        }

    def __getitem__(self, name: str) -> Floats:
        return self.values[f"{name}.weight"]

    def linear(self, name: str, x: Floats) -> Floats:
        product = x @ self[name].T
        return product + self.values[f"{name}.bias"] if f"{name}.bias" in self.values else product

    def attention(self, x: Floats, cosines: Floats, sines: Floats) -> Floats:
        """Causal grouped-query attention over one segment.  # (tokens, hidden) -> (tokens, hidden)"""
        tokens, arch = len(x), self.arch
        q = rotate(self._heads("q", x, arch.heads), cosines[:tokens], sines[:tokens])
        k = rotate(self._heads("k", x, arch.kv_heads), cosines[:tokens], sines[:tokens])
        v = self._heads("v", x, arch.kv_heads)
        mixed = np.empty((arch.heads, tokens, arch.head_dim), np.float32)
        hidden = _mask(tokens, self.window)
        group = arch.heads // arch.kv_heads
        for head in range(arch.heads):
            scores = q[head] @ k[head // group].T * np.float32(arch.head_dim**-0.5)
            mixed[head] = softmax(np.where(hidden, np.float32(-np.inf), scores)) @ v[head // group]
        return self.linear("o", mixed.swapaxes(0, 1).reshape(tokens, arch.q_size))

    def mlp(self, x: Floats) -> Floats:
        gate = self.linear("gate", x)
        # exp overflows to infinity for very negative gates, whose SiLU is rightly 0.
        with np.errstate(over="ignore"):
            return self.linear("down", gate / (1 + np.exp(-gate)) * self.linear("up", x))

    def _heads(self, name: str, x: Floats, heads: int) -> Floats:
        """Projection, cut into heads, normed where the model norms heads.  # (heads, tokens, head_dim)"""
        projected = self.linear(name, x).reshape(len(x), heads, self.arch.head_dim).swapaxes(0, 1)
        norm = self.values.get(f"{name}_norm.weight")
        return projected if norm is None else rms_norm(projected, norm, self.arch.norm_epsilon)


def _mask(tokens: int, window: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """True where position i (row) must not see position j (column)."""
    back = np.arange(tokens)[:, None] - np.arange(tokens)[None, :]
    return (back < 0) | (back >= window) if window else back < 0


def _embedded(checkpoint: Checkpoint, tokens: Sequence[int]) -> Floats:
    """Rows of the embedding table, read one by one: a text needs few of them."""
    table = checkpoint.tensors["embedding.weight"]
    return np.concatenate(list(_rows(table.read_rows, tokens)))


def _rows(read_rows: Callable[[int, int], Floats], tokens: Sequence[int]) -> Iterator[Floats]:
    known: dict[int, Floats] = {}
    for token in tokens:
        if token not in known:
            known[token] = read_rows(token, token + 1)
        yield known[token]
