"""A decoder of the Llama kind in PyTorch, with the weights of a checkpoint, for training and for drawing texts.

Parameters are called as in `Checkpoint.tensors`. The embedding table and the head stay as the checkpoint has them:
they are no parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from edged.errors import InvalidInput
from engines.architecture import Architecture
from engines.checkpoint import Checkpoint

_BIASES = ("q", "k", "v", "o", "gate", "up", "down")


@dataclass(slots=True)
class Cache:
    """Keys and values of the tokens so far, of one layer."""

    keys: Tensor  # (batch, kv_heads, room, head_dim)
    values: Tensor
    length: int = 0

    def extended(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Those so far and these."""
        start, self.length = self.length, self.length + keys.shape[2]
        self.keys[:, :, start : self.length], self.values[:, :, start : self.length] = keys, values
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]


class Layer(nn.Module):
    """Attention, then the gated layer, each behind a norm."""

    cosines: Tensor
    sines: Tensor

    def __init__(self, arch: Architecture, number: int, positions: int, biased: frozenset[str]) -> None:
        super().__init__()
        self.arch = arch

        def linear(name: str, columns: int, rows: int) -> nn.Linear:
            return nn.Linear(columns, rows, bias=name in biased)

        hidden, inner = arch.hidden_size, arch.intermediate_size
        self.q, self.k = linear("q", hidden, arch.q_size), linear("k", hidden, arch.kv_size)
        self.v, self.o = linear("v", hidden, arch.kv_size), linear("o", arch.q_size, hidden)
        self.gate, self.up = linear("gate", hidden, inner), linear("up", hidden, inner)
        self.down = linear("down", inner, hidden)
        self.attention_norm = nn.RMSNorm(hidden, arch.norm_epsilon)
        self.mlp_norm = nn.RMSNorm(hidden, arch.norm_epsilon)
        if arch.head_norms:
            self.q_norm = nn.RMSNorm(arch.head_dim, arch.norm_epsilon)
            self.k_norm = nn.RMSNorm(arch.head_dim, arch.norm_epsilon)
        cosines, sines = (torch.from_numpy(table) for table in arch.ropes[number].tables(positions))
        self.register_buffer("cosines", cosines, persistent=False)
        self.register_buffer("sines", sines, persistent=False)

    def forward(self, x: Tensor, cache: Cache | None) -> Tensor:
        """(batch, tokens, hidden) to the same."""
        x = x + self.attention(self.attention_norm(x), cache)
        normed = self.mlp_norm(x)
        return cast(Tensor, x + self.down(functional.silu(self.gate(normed)) * self.up(normed)))

    def attention(self, x: Tensor, cache: Cache | None) -> Tensor:
        """Causal; with a cache that holds something, of one token."""
        arch = self.arch
        q, k = self._heads(self.q(x), arch.heads), self._heads(self.k(x), arch.kv_heads)
        v = self._heads(self.v(x), arch.kv_heads)
        if arch.head_norms:
            q, k = self.q_norm(q), self.k_norm(k)
        start = cache.length if cache else 0
        q, k = self._turned(q, start), self._turned(k, start)
        if cache is not None:
            k, v = cache.extended(k, v)
        mixed = self._mixed(q, k, v) if q.shape[2] > 1 else self._mixed_for_one(q, k, v)
        return cast(Tensor, self.o(mixed.transpose(1, 2).flatten(2)))

    def _mixed(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k, v = (values.repeat_interleave(self.arch.heads // self.arch.kv_heads, dim=1) for values in (k, v))
        return functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.arch.query_scale)

    def _mixed_for_one(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Of one token the heads that share keys ask as tokens would: nothing is copied."""
        asked = q.view(len(q), self.arch.kv_heads, -1, self.arch.head_dim)
        mixed = functional.scaled_dot_product_attention(asked, k, v, scale=self.arch.query_scale)
        return mixed.reshape(q.shape)

    def _heads(self, x: Tensor, heads: int) -> Tensor:
        return x.view(*x.shape[:-1], heads, -1).transpose(1, 2)

    def _turned(self, x: Tensor, start: int) -> Tensor:
        """Pairs (i, i + pairs) of a head by their angles.  # (batch, heads, tokens, head_dim)"""
        cosines, sines = (table[start : start + x.shape[2]] for table in (self.cosines, self.sines))
        pairs = cosines.shape[1]
        first, second, rest = x[..., :pairs], x[..., pairs : 2 * pairs], x[..., 2 * pairs :]
        turned = [first * cosines - second * sines, second * cosines + first * sines, rest]
        return torch.cat(turned, dim=-1).to(x.dtype)


class Decoder(nn.Module):
    """Tokens to states to scores."""

    table: Tensor
    head: Tensor

    def __init__(self, checkpoint: Checkpoint, positions: int) -> None:
        """positions: longest text. Raises InvalidInput where the model has what only other kinds have."""
        super().__init__()
        arch = self.arch = checkpoint.architecture
        _require_llama(arch)
        biased = frozenset(name for name in _BIASES if f"layers.0.{name}.bias" in checkpoint.tensors)
        self.layers = nn.ModuleList(Layer(arch, number, positions, biased) for number in range(arch.layers))
        self.norm = nn.RMSNorm(arch.hidden_size, arch.norm_epsilon)
        table = torch.from_numpy(checkpoint.tensors["embedding.weight"].read())
        head = table if arch.tied else torch.from_numpy(checkpoint.tensors["head.weight"].read())
        self.register_buffer("table", table, persistent=False)
        self.register_buffer("head", head, persistent=False)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(torch.from_numpy(checkpoint.tensors[name].read()))

    def forward(self, tokens: Tensor, caches: list[Cache] | None = None) -> Tensor:
        """States after the last norm.  # (batch, tokens) -> (batch, tokens, hidden)"""
        x = functional.embedding(tokens, self.table)
        for number, layer in enumerate(self.layers):
            x = layer(x, caches[number] if caches else None)
        return cast(Tensor, self.norm(x))

    def logits(self, states: Tensor) -> Tensor:
        """Scores of every token of the vocabulary.  # (any, hidden) -> (any, vocabulary)"""
        return functional.linear(states, self.head)

    def caches(self, batch: int, room: int) -> list[Cache]:
        """Empty ones."""
        shape = (batch, self.arch.kv_heads, room, self.arch.head_dim)
        return [Cache(self.table.new_empty(shape), self.table.new_empty(shape)) for _ in self.layers]


def _require_llama(arch: Architecture) -> None:
    others = {
        "sliding windows": any(arch.windows),
        "norms behind attention": arch.post_norms,
        "soft caps": arch.attention_softcap or arch.logit_softcap,
        "experts": arch.experts,
        "adapters": arch.adapts,
        "positions of pictures": arch.mrope,
        "a scaled embedding": arch.embedding_scale != 1,
        f"{arch.activation} gates": arch.activation != "silu",
    }
    if found := [name for name, is_there in others.items() if is_there]:
        raise InvalidInput(f"a {arch.model_type} cannot be trained here: it has {', '.join(found)}")
