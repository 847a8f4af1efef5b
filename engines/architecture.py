"""What a checkpoint computes: one description for every model type, by its features."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from edged.errors import CheckpointError

from .rope import MAX_ROTARY_DIM, Rope
from .tensor import Tensor

Activation = Literal["silu", "gelu_tanh"]

ADAPTERS = ("vision_adapter", "audio_adapter")
"""In the order of `TokenType`: what adapts tokens of type 1, of type 2."""
_ATTENTION = ("q", "k", "v", "o")
_MLP = ("gate", "up", "down")
_HEAD_NORMS = ("q_norm", "k_norm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A decoder of RMS norms, grouped-query attention with rotary positions, and gated layers."""

    model_type: str
    layers: int
    hidden_size: int
    intermediate_size: int
    """Width of the gated layer; of one expert where there are some."""
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
    experts: int = 0
    """Gated layers among which a router chooses for each token; 0 where there is one for all tokens, and no router."""
    experts_per_token: int = 0
    """How many it chooses: those of the highest scores, weighted by the softmax over these."""
    adapter_ranks: tuple[int, ...] = ()
    """Of the adapters that come before attention, one for each of ADAPTERS; empty where there are none."""

    @property
    def q_size(self) -> int:
        """Values of all query heads of a token."""
        return self.heads * self.head_dim

    @property
    def kv_size(self) -> int:
        """Values of all key heads of a token, and of all value heads."""
        return self.kv_heads * self.head_dim

    @property
    def mrope(self) -> bool:
        """Tokens have positions in time, height and width."""
        return any(rope.sections for rope in self.ropes)

    @property
    def adapts(self) -> bool:
        """Each layer adapts to the type of a token."""
        return bool(self.adapter_ranks)

    @property
    def sees(self) -> bool:
        """Pictures or recordings can enter: tokens have rows instead of an id."""
        return self.mrope or self.adapts

    @property
    def matrices(self) -> Mapping[str, tuple[str, ...]]:
        """The matrices of a layer as the graph fuses them: what each is called, and the tensors it is made of."""
        adapters = ADAPTERS if self.adapts else ()
        found = {f"adapter_{part}": tuple(f"{name}.{part}" for name in adapters) for part in ("down", "up") if adapters}
        found |= {"qkv": ("q", "k", "v"), "o": ("o",)}
        if not self.experts:
            return found | {"gate_up": ("gate", "up"), "down": ("down",)}
        return found | {"experts": tuple(f"experts.{number}.{part}" for number in range(self.experts) for part in _MLP)}

    @property
    def parameters(self) -> int:
        """Numbers of the text model, biases aside; a table that is also the head counts once."""
        return sum(math.prod(shape) for _, shape in expected_shapes(self, {}))

    @property
    def active_parameters(self) -> int:
        """Those that a token passes: of the experts only the chosen ones."""
        one = self.layers * len(_MLP) * self.hidden_size * self.intermediate_size
        return self.parameters - (self.experts - self.experts_per_token) * one


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
    _check_experts(architecture)
    for rope in architecture.ropes:
        if rope.rotary_dim % 16 or rope.rotary_dim > architecture.head_dim:
            raise CheckpointError(
                f"{rope.rotary_dim} of {architecture.head_dim} values of a head cannot turn: "
                "the kernels want a multiple of 16"
            )


def _check_experts(architecture: Architecture) -> None:
    experts, chosen = architecture.experts, architecture.experts_per_token
    if not 0 <= chosen <= experts or bool(chosen) != bool(experts):
        raise CheckpointError(f"a token cannot pass {chosen} of {experts} experts")
    if experts * architecture.layers > _MOST_EXPERTS:
        raise CheckpointError(f"{architecture.layers} layers of {experts} experts are more than any model has")
    if experts and (
        architecture.intermediate_size % 16 or architecture.post_norms or architecture.embedding_scale != 1
    ):
        raise CheckpointError(
            f"experts of {architecture.intermediate_size} values are not possible: the kernels want a multiple of 16"
        )
    if any(not 0 < rank <= architecture.hidden_size or rank % 16 for rank in architecture.adapter_ranks):
        ranks = " and ".join(map(str, architecture.adapter_ranks))
        raise CheckpointError(f"adapters of the ranks {ranks} are not possible: the kernels want multiples of 16")


_MOST_EXPERTS = 2**16
"""In all layers."""
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
    hidden = architecture.hidden_size
    yield "embedding.weight", (architecture.vocab_size, hidden)
    yield "norm.weight", (hidden,)
    if not architecture.tied:
        yield "head.weight", (architecture.vocab_size, hidden)
    shapes = _matrix_shapes(architecture)
    biased = [name for name in shapes if f"layers.0.{name}.bias" in tensors and name in (*_ATTENTION, *_MLP)]
    vectors = {f"{name}.weight": (hidden,) for name in _norms(architecture)}
    if architecture.head_norms:
        vectors |= {f"{name}.weight": (architecture.head_dim,) for name in _HEAD_NORMS}
    vectors |= {f"{name}.bias": shapes[name][:1] for name in biased}
    if architecture.adapts:
        vectors |= {f"{name}.gate": (1,) for name in ADAPTERS}
    for layer in range(architecture.layers):
        for name, size in vectors.items():
            yield f"layers.{layer}.{name}", size
        for name, shape in shapes.items():
            yield f"layers.{layer}.{name}.weight", shape


def _norms(architecture: Architecture) -> list[str]:
    norms = ["attention_norm", "mlp_norm"]
    if architecture.post_norms:
        norms += ["attention_post_norm", "mlp_post_norm"]
    return [*norms, "adapter_norm"] if architecture.adapts else norms


def _matrix_shapes(architecture: Architecture) -> dict[str, tuple[int, int]]:
    """(outputs, inputs) of all matrices of a layer."""
    hidden, inner = architecture.hidden_size, architecture.intermediate_size
    q, kv = architecture.q_size, architecture.kv_size
    shapes = {"q": (q, hidden), "k": (kv, hidden), "v": (kv, hidden), "o": (hidden, q)}
    for name, rank in zip(ADAPTERS, architecture.adapter_ranks, strict=False):
        shapes |= {f"{name}.down": (rank, hidden), f"{name}.up": (hidden, rank)}
    prefixes = [f"experts.{number}." for number in range(architecture.experts)] or [""]
    for prefix in prefixes:
        shapes |= {f"{prefix}{part}": (inner, hidden) for part in ("gate", "up")}
        shapes[f"{prefix}down"] = hidden, inner
    return shapes | {"router": (architecture.experts, hidden)} if architecture.experts else shapes


def _listed(names: Iterable[str], most: int = 4) -> str:
    names = list(names)
    return ", ".join(name[:80] for name in names[:most]) + (", ..." if len(names) > most else "")
