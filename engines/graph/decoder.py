"""A text model as a graph: one loop over layers, spelled in whatever operators a dialect has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from engines.architecture import Architecture


class Dialect(Protocol):
    """The operators a graph is written in. Arguments and results are names of tensors in the graph."""

    def embedding(self) -> str:
        """Hidden states of the input tokens, scaled; of a model that sees, rows of `embeddings` for ids below 0.

        (1, tokens, hidden)
        """
        ...

    def norm(self, x: str, weight: str) -> str:
        """RMS norm with the weight of that name in the checkpoint."""
        ...

    def add_norm(self, x: str, hidden: str, weight: str) -> tuple[str, str]:
        """(norm of the sum, the sum)"""
        ...

    def attention(self, x: str, layer: int) -> str:
        """Rotary grouped-query attention from normed states to the output projection, appending to the cache."""
        ...

    def adapters(self, x: str, hidden: str, layer: int) -> tuple[str, str]:
        """(norm, hidden) after all adapters together: up(gates of the token's type * silu(down(a norm of hidden))).

        x: the norm that attention takes. Of text both stay as they are.
        """
        ...

    def mlp(self, x: str, layer: int) -> str:
        """down(activation(gate(x)) * up(x)), or the weighted sum of that over the experts that a router chooses."""
        ...

    def head(self, x: str) -> str:
        """Scores of the positions asked for, capped.  # (1, positions, vocabulary)

        With experts also the router's scores of all tokens, under the name router_logits.  # (layers, tokens, experts)
        """
        ...


def write_decoder(architecture: Architecture, dialect: Dialect, progress: Callable[[int], object]) -> None:
    """Write the whole model; `progress` is called with 1 after each layer."""
    hidden = dialect.embedding()
    x = dialect.norm(hidden, "layers.0.attention_norm")
    for layer in range(architecture.layers):
        if architecture.adapts:
            x, hidden = dialect.adapters(x, hidden, layer)
        mixed = dialect.attention(x, layer)
        if architecture.post_norms:
            mixed = dialect.norm(mixed, f"layers.{layer}.attention_post_norm")
        x, hidden = dialect.add_norm(mixed, hidden, f"layers.{layer}.mlp_norm")
        mixed = dialect.mlp(x, layer)
        if architecture.post_norms:
            mixed = dialect.norm(mixed, f"layers.{layer}.mlp_post_norm")
        last = layer + 1 == architecture.layers
        following = "norm" if last else f"layers.{layer + 1}.attention_norm"
        x, hidden = dialect.add_norm(mixed, hidden, following)
        progress(1)
    dialect.head(x)
