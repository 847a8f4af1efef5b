"""The text model, a layer at a time: memory holds the weights of one layer and the states of the texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edged.engine.session import Sight
from engines.architecture import ADAPTERS
from engines.checkpoint import Checkpoint
from engines.quantize import row_chunks
from engines.rope import Positions
from engines.tensor import Floats

from .arrays import Array, Arrays, numpy_arrays, to_numpy

Watch = Callable[[str, Array], object]
"""Is told the input of each matrix product of each text: layers.N.{qkv,o,gate_up,down}, and the rows that come
in. Of adapters and experts it is not told.  # (tokens, columns)"""
Chosen = Callable[[int, NDArray[np.float32]], object]
"""Is told the router's scores of each layer for each text.  # (tokens, experts)"""


@dataclass(frozen=True, slots=True)
class Places:
    """What a layer has to know of each token."""

    positions: Positions  # (3, tokens)
    types: NDArray[np.int64]  # (tokens,)


def final_states(
    checkpoint: Checkpoint,
    segments: Sequence[Sequence[int]],
    progress: Callable[[int], object],
    *,
    sights: Sequence[Sight | None] = (),
    arrays: Arrays | None = None,
    watch: Watch | None = None,
    scores: Chosen | None = None,
) -> list[Array]:
    """States after the last norm of each segment of tokens, each read from an empty context.  # (tokens, hidden)

    sights: for each segment, what its tokens below 0 show and where all of them stand; None or nothing for text.
    progress: called with 1 after each layer.
    scores: is told what routers say.
    """
    arrays = arrays or numpy_arrays()
    arch = checkpoint.architecture
    views = list(sights) or [None] * len(segments)
    states = [embedded(checkpoint, tokens, sight, arrays) for tokens, sight in zip(segments, views, strict=True)]
    places = [places_of(tokens, sight) for tokens, sight in zip(segments, views, strict=True)]
    for number in range(arch.layers):
        layer = Layer(checkpoint, number, arrays, watch, scores)
        states = [layer(hidden, place) for hidden, place in zip(states, places, strict=True)]
        progress(1)
    norm = arrays.of(checkpoint.tensors["norm.weight"].read())
    return [rms_norm(arrays, hidden, norm, arch.norm_epsilon) for hidden in states]


def head_logits(checkpoint: Checkpoint, states: Array, arrays: Arrays | None = None) -> Floats:
    """Scores of every token of the vocabulary.  # (tokens, vocabulary)"""
    arrays = arrays or numpy_arrays()
    arch = checkpoint.architecture
    head = checkpoint.tensors["embedding.weight" if arch.tied else "head.weight"]
    logits = np.empty((len(states), head.rows), np.float32)
    for start, stop in row_chunks(head):
        scores = states @ arrays.of(head.read_rows(start, stop)).T
        logits[:, start:stop] = to_numpy(capped(arrays, scores, arch.logit_softcap))
    return logits


def rms_norm(arrays: Arrays, x: Array, weight: Array, epsilon: float) -> Array:
    """x / sqrt(mean(x^2) + epsilon) * weight over the last axis."""
    xp = arrays.xp
    return x / xp.sqrt(xp.mean(x * x, axis=-1, keepdims=True) + epsilon) * weight


def rotate(arrays: Arrays, x: Array, cosines: Array, sines: Array) -> Array:
    """Turn each pair (i, i + pairs) of a head by its angle; values beyond the pairs stay.

    x: (heads, tokens, head_dim); cosines, sines: (tokens, pairs)
    """
    pairs = cosines.shape[1]
    first, second, rest = x[..., :pairs], x[..., pairs : 2 * pairs], x[..., 2 * pairs :]
    return arrays.xp.concat([first * cosines - second * sines, second * cosines + first * sines, rest], axis=-1)


def softmax(arrays: Arrays, x: Array) -> Array:
    """exp(x) over its sum, along the last axis."""
    xp = arrays.xp
    powers = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    return powers / xp.sum(powers, axis=-1, keepdims=True)


def capped(arrays: Arrays, x: Array, cap: float) -> Array:
    """cap * tanh(x / cap); x itself where there is no cap."""
    return cap * arrays.xp.tanh(x / cap) if cap else x


def silu(arrays: Arrays, x: Array) -> Array:
    """x * sigmoid(x)"""
    with np.errstate(over="ignore"):  # exp of a very negative x is infinite, and its SiLU rightly 0
        return x / (1 + arrays.xp.exp(-x))


def gelu_tanh(arrays: Arrays, x: Array) -> Array:
    """The approximation of x * Phi(x) in arXiv:1606.08415, section 2."""
    return 0.5 * x * (1 + arrays.xp.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x * x * x)))


class Layer:
    """The weights of one layer as float32, and what it does to a text."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        number: int,
        arrays: Arrays,
        watch: Watch | None = None,
        scores: Chosen | None = None,
    ) -> None:
        self.arch = checkpoint.architecture
        self.arrays = arrays
        self.number = number
        self.watch = watch
        self.scores = scores
        prefix = f"layers.{number}."
        self.values = {
            name.removeprefix(prefix): arrays.of(tensor.read())
            for name, tensor in checkpoint.tensors.items()
            if name.startswith(prefix)
        }

    def __call__(self, hidden: Array, places: Places) -> Array:
        """(tokens, hidden) to (tokens, hidden)"""
        if self.arch.adapts:
            hidden = hidden + self.adapters(self.norm("adapter_norm", hidden), places.types)
        mixed = self.attention(self.norm("attention_norm", hidden), places.positions)
        hidden = hidden + (self.norm("attention_post_norm", mixed) if self.arch.post_norms else mixed)
        normed = self.norm("mlp_norm", hidden)
        mixed = self.mixture(normed) if self.arch.experts else self.mlp(normed)
        return hidden + (self.norm("mlp_post_norm", mixed) if self.arch.post_norms else mixed)

    def attention(self, x: Array, positions: Positions) -> Array:
        """Causal grouped-query attention over one text."""
        arch, arrays, xp = self.arch, self.arrays, self.arrays.xp
        self.see("qkv", x)
        q, k = self.heads("q", x, arch.heads), self.heads("k", x, arch.kv_heads)
        if arch.head_norms:
            q, k = self.norm("q_norm", q), self.norm("k_norm", k)
        turns = [arrays.of(values) for values in arch.ropes[self.number].turns(positions)]
        q, k, v = rotate(arrays, q, *turns), rotate(arrays, k, *turns), self.heads("v", x, arch.kv_heads)
        unseen = arrays.of(_mask(len(x), arch.windows[self.number]))
        group = arch.heads // arch.kv_heads
        mixed = []
        for shared in range(arch.kv_heads):
            scores = q[shared * group : (shared + 1) * group, ...] @ k[shared, ...].T * arch.query_scale
            scores = xp.where(unseen, -xp.inf, capped(arrays, scores, arch.attention_softcap))
            mixed.append(softmax(arrays, scores) @ v[shared, ...])  # (group, tokens, head_dim)
        merged = xp.reshape(xp.permute_dims(xp.concat(mixed, axis=0), (1, 0, 2)), (len(x), arch.q_size))
        self.see("o", merged)
        return self.linear("o", merged)

    def mlp(self, x: Array) -> Array:
        """down(activation(gate(x)) * up(x))"""
        activation = silu if self.arch.activation == "silu" else gelu_tanh
        self.see("gate_up", x)
        gated = activation(self.arrays, self.linear("gate", x)) * self.linear("up", x)
        self.see("down", gated)
        return self.linear("down", gated)

    def adapters(self, x: Array, types: NDArray[np.int64]) -> Array:
        """For tokens of each type, gate * up(silu(down(x))) of its adapter; nothing for text."""
        total = 0 * x
        for kind, name in enumerate(ADAPTERS, start=1):
            mask = self.arrays.of((types == kind).astype(np.float32)[:, None])
            low = silu(self.arrays, self.linear(f"{name}.down", x)) * (mask * self.values[f"{name}.gate"])
            total = total + self.linear(f"{name}.up", low)
        return total

    def mixture(self, x: Array) -> Array:
        """The gated layers that the router chooses for each token, weighted by the softmax over their scores."""
        arrays, xp = self.arrays, self.arrays.xp
        scores = to_numpy(self.linear("router", x))
        if self.scores is not None:
            self.scores(self.number, scores)
        choice = np.argsort(-scores, axis=-1, kind="stable")[:, : self.arch.experts_per_token]
        weights = softmax(arrays, arrays.of(np.take_along_axis(scores, choice, axis=-1)))
        mixed = 0 * x
        for expert in range(self.arch.experts):
            tokens, place = np.nonzero(choice == expert)
            if not len(tokens):
                continue
            rows, prefix = arrays.of(tokens), f"experts.{expert}"
            inner = xp.take(x, rows, axis=0)
            gated = silu(arrays, self.linear(f"{prefix}.gate", inner)) * self.linear(f"{prefix}.up", inner)
            share = weights[rows, arrays.of(place)][:, None]
            mixed[rows] = mixed[rows] + share * self.linear(f"{prefix}.down", gated)
        return mixed

    def heads(self, name: str, x: Array, heads: int) -> Array:
        """A projection, cut into heads.  # (heads, tokens, head_dim)"""
        cut = self.arrays.xp.reshape(self.linear(name, x), (len(x), heads, self.arch.head_dim))
        return self.arrays.xp.permute_dims(cut, (1, 0, 2))

    def linear(self, name: str, x: Array) -> Array:
        """Times a matrix, plus its bias where there is one."""
        product = x @ self.values[f"{name}.weight"].T
        return product + self.values[f"{name}.bias"] if f"{name}.bias" in self.values else product

    def norm(self, name: str, x: Array) -> Array:
        """RMS norm with the weight of that name."""
        return rms_norm(self.arrays, x, self.values[f"{name}.weight"], self.arch.norm_epsilon)

    def see(self, name: str, x: Array) -> None:
        """Show what goes into a product to whoever watches."""
        if self.watch is not None:
            self.watch(f"layers.{self.number}.{name}", x)


def _mask(tokens: int, window: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """True where position i (row) must not see position j (column)."""
    back = np.arange(tokens)[:, None] - np.arange(tokens)[None, :]
    return (back < 0) | (back >= window) if window else back < 0


def places_of(tokens: Sequence[int], sight: Sight | None) -> Places:
    """Where the tokens stand, and what they are part of."""
    if sight is None:
        return Places(np.tile(np.arange(len(tokens)), (3, 1)), np.zeros(len(tokens), np.int64))
    return Places(sight.positions, sight.types)


def embedded(checkpoint: Checkpoint, tokens: Sequence[int], sight: Sight | None, arrays: Arrays) -> Array:
    """Rows of the embedding table, read one by one: a text needs few of them. Those of pictures are given."""
    table, scale = checkpoint.tensors["embedding.weight"], np.float32(checkpoint.architecture.embedding_scale)
    rows = {token: table.read_rows(token, token + 1)[0] * scale for token in set(tokens) if token >= 0}
    given = None if sight is None else sight.embeddings
    values = [rows[token] if token >= 0 or given is None else given[place] for place, token in enumerate(tokens)]
    return arrays.of(np.stack(values))
