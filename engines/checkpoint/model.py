"""What every kind of checkpoint is read into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engines.architecture import Architecture
from engines.tensor import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """How text becomes tokens, and which tokens mean something."""

    tokenizer: str
    """tokenizer.json of the Hugging Face `tokenizers` library."""
    bos: int | None
    eos: tuple[int, ...]
    """Any of them ends an answer; the first is what chat templates call eos_token."""
    bos_text: str
    eos_text: str
    has_reasoning: bool
    """<think> and </think> are tokens of their own."""
    chat_template: str
    """Jinja; empty when the checkpoint has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A model as its authors published it."""

    kind: str
    """"gguf" or "safetensors"."""
    path: Path
    title: str
    license: str
    """SPDX expression or what the checkpoint says; "unknown" where it says nothing."""
    encoding: str
    """The encoding most weights have, e.g. "Q4_1" or "BF16"."""
    architecture: Architecture
    tensors: Mapping[str, Tensor]
    """By canonical name: embedding, layers.N.{attention_norm,q,k,v,o,q_norm,k_norm,attention_post_norm,mlp_norm,gate,
    up,down,mlp_post_norm}, norm, head; each with .weight, some with .bias. With experts, layers.N.router and
    layers.N.experts.E.{gate,up,down}; with adapters, layers.N.adapter_norm and
    layers.N.{vision,audio}_adapter.{down.weight,up.weight,gate}. Norms are what is multiplied with, and rows of q and k
    are in half-split order, whatever the file has."""
    vocabulary: Vocabulary
    vision_tensors: Mapping[str, Tensor] = field(default_factory=dict)
    """What the checkpoint has for pictures, by the checkpoint's names without their common beginning."""
    audio_tensors: Mapping[str, Tensor] = field(default_factory=dict)
    """The same for recordings."""

    @property
    def parameters(self) -> int:
        """Weights of the model; a table that is also the head counts once."""
        return sum(tensor.rows * tensor.columns for tensor in self.tensors.values())


def main_encoding(tensors: Iterable[Tensor]) -> str:
    """The encoding most weights have."""
    weights: Counter[str] = Counter()
    for tensor in tensors:
        weights[tensor.encoding] += tensor.rows * tensor.columns
    return weights.most_common(1)[0][0]
