"""What a checkpoint computes: one description for every model type, by its features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from edged.errors import CheckpointError

from .rope import MAX_ROTARY_DIM, Rope
from .tensor import Tensor

Activation = Literal["silu", "gelu_tanh"]

PROJECTIONS = ("q", "k", "v", "o", "gate", "up", "down")
_HEAD_NORMS = ("q_norm", "k_norm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A decoder of RMS norms, grouped-query attention with rotary positions, and gated layers."""

    model_type: str
    layers: int
    hidden_size: int
    intermediate_size: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab_size: int
    context_length: int
    """Tokens the model was trained for."""
    norm_epsilon: float
    tied: bool
    """The head is the embedding table."""
    windows: tuple[int, ...]
    """Per layer, how many tokens back attention sees, itself included; 0 sees all of them."""
    ropes: tuple[Rope, ...]
    """Per layer."""
    activation: Activation = "silu"
    """Of the gate: mlp(x) = down(activation(gate(x)) * up(x))."""
    head_norms: bool = False
    """q and k have an RMS norm over each head, before they turn (Qwen 3, Gemma 3)."""
    post_norms: bool = False
    """What attention and mlp give is normed before it is added to the hidden states (Gemma 2 and 3, GLM-4.1V)."""
    embedding_scale: float = 1.0
    """Rows of the embedding table are multiplied by this; embeddings of pictures are not."""
    query_scale: float
    """Attention is softmax(query_scale * q . k); usually head_dim ** -0.5."""
    attention_softcap: float = 0.0
    """Scores of attention become cap * tanh(score / cap); 0 leaves them."""
    logit_softcap: float = 0.0
    """The same for the logits."""

    @property
    def q_size(self) -> int:
        """Values of all query heads of a token."""
        return self.heads * self.head_dim

    @property
    def kv_size(self) -> int:
        """Values of all key heads of a token, and of all value heads."""
        return self.kv_heads * self.head_dim

    @property
    def sees(self) -> bool:
        """Pictures can enter: tokens have positions in time, height and width, and rows instead of an id."""
        return any(rope.sections for rope in self.ropes)


def require_supported(model_type: str, supported: Iterable[str]) -> None:
    """Raise CheckpointError naming the model type and those that work."""
    supported = list(supported)
    if model_type not in supported:
        raise CheckpointError(
            f"architecture {model_type[:40]!r} is not supported; supported are {', '.join(supported)}"
        )


def check_sizes(architecture: Architecture) -> None:
    """Refuse numbers no model has, before anything is computed from them."""
    for key, limit in _LIMITS.items():
        if not 0 < getattr(architecture, key) <= limit:
            raise CheckpointError(f"{key} is {getattr(architecture, key)}, which no model of this kind has")
    for key in ("attention_softcap", "logit_softcap"):
        if not 0 <= getattr(architecture, key) <= 2**16:
            raise CheckpointError(f"{key} is {getattr(architecture, key)}, which no model of this kind has")
    if any(window < 0 for window in architecture.windows):
        raise CheckpointError(f"a sliding window of {min(architecture.windows)} tokens is not possible")
    if architecture.heads % architecture.kv_heads:
        raise CheckpointError(f"{architecture.heads} heads cannot share {architecture.kv_heads} key/value heads")
    if architecture.hidden_size % 16 or architecture.head_dim % 16:
        raise CheckpointError(
            f"hidden size {architecture.hidden_size} and head size {architecture.head_dim} "
            "must be multiples of 16 for the kernels"
        )
    for rope in architecture.ropes:
        if rope.rotary_dim % 16 or rope.rotary_dim > architecture.head_dim:
            raise CheckpointError(
                f"{rope.rotary_dim} of {architecture.head_dim} values of a head cannot turn: "
                "the kernels want a multiple of 16"
            )


_LIMITS: Mapping[str, float] = {
    "layers": 1024,
    "hidden_size": 2**17,
    "intermediate_size": 2**20,
    "heads": 4096,
    "kv_heads": 4096,
    "head_dim": MAX_ROTARY_DIM,
    "vocab_size": 2**24,
    "context_length": 2**30,
    "norm_epsilon": 1.0,
    "embedding_scale": 2**16,
    "query_scale": 2**16,
}


def check_tensors(architecture: Architecture, tensors: Mapping[str, Tensor]) -> None:
    """That the checkpoint has exactly the tensors of its architecture, in the right shapes."""
    check_shapes(dict(expected_shapes(architecture, tensors)), tensors, f"a {architecture.model_type}")


def check_shapes(expected: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor], place: str) -> None:
    """Raise CheckpointError listing what is missing, extra or of another shape than the `place` for it."""
    if missing := sorted(expected.keys() - tensors.keys()):
        raise CheckpointError(f"{len(missing)} tensors are missing: {_listed(missing)}")
    if extra := sorted(tensors.keys() - expected.keys()):
        raise CheckpointError(f"{len(extra)} tensors have no place in {place}: {_listed(extra)}")
    for name, shape in expected.items():
        if tensors[name].shape != shape:
            raise CheckpointError(f"{name} has the shape {list(tensors[name].shape)}, expected {list(shape)}")


def expected_shapes(architecture: Architecture, tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes. Biases and head norms are expected in all layers as soon as layer 0 has them."""
    hidden, inner = architecture.hidden_size, architecture.intermediate_size
    q, kv = architecture.q_size, architecture.kv_size
    inputs = {"o": q, "down": inner}
    outputs = {"q": q, "k": kv, "v": kv, "gate": inner, "up": inner}
    yield "embedding.weight", (architecture.vocab_size, hidden)
    yield "norm.weight", (hidden,)
    if not architecture.tied:
        yield "head.weight", (architecture.vocab_size, hidden)
    biased = [name for name in PROJECTIONS if f"layers.0.{name}.bias" in tensors]
    head_norms = _HEAD_NORMS if architecture.head_norms else ()
    norms = ["attention_norm", "mlp_norm"]
    if architecture.post_norms:
        norms += ["attention_post_norm", "mlp_post_norm"]
    for layer in range(architecture.layers):
        for name in norms:
            yield f"layers.{layer}.{name}.weight", (hidden,)
        for name in PROJECTIONS:
            yield f"layers.{layer}.{name}.weight", (outputs.get(name, hidden), inputs.get(name, hidden))
        for name in biased:
            yield f"layers.{layer}.{name}.bias", (outputs.get(name, hidden),)
        for name in head_norms:
            yield f"layers.{layer}.{name}.weight", (architecture.head_dim,)


def _listed(names: Iterable[str], most: int = 4) -> str:
    names = list(names)
    return ", ".join(name[:80] for name in names[:most]) + (", ..." if len(names) > most else "")
