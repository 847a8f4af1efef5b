"""Powers of two that keep large numbers within half precision, which ends at 65,504.

RMS norms forget the scale of what they norm. So in models with post norms the products before them may be
smaller, and where embeddings are scaled anyway (Gemma) all hidden states; epsilons shrink with the squares, and
the model computes the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from onnx import TensorProto

from engines.architecture import Architecture

POST_NORM = "_post_norm"
_HEAD_NORMS = ("q_norm", "k_norm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """Factors of what a graph computes."""

    states: float = 1.0
    """Of hidden states."""
    products: float = 1.0
    """Of what attention and mlp give before their norms."""

    def epsilon(self, weight: str, usual: float) -> float:
        """Of the norm with the weight of that name."""
        if weight.endswith(POST_NORM):
            return usual * self.products**2
        return usual if weight.endswith(_HEAD_NORMS) else usual * self.states**2


def headroom(architecture: Architecture, kind: int) -> Headroom:
    """What the architecture allows and the type of activations (of onnx.TensorProto) asks for."""
    if kind == TensorProto.FLOAT or not architecture.post_norms:
        return Headroom()
    return Headroom(states=2.0**-8 if architecture.embedding_scale > 1 else 1.0, products=2.0**-4)
