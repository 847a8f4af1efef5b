"""Read a GGUF file of the Llama family: metadata into `Architecture`, tensors under their canonical names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from gguf.constants import LlamaFileType
from numpy.typing import NDArray

from edged.errors import CheckpointError
from engines.architecture import Architecture, check_sizes, check_tensors, require_supported
from engines.rope import Rope, rope_from, rope_with_factors
from engines.tensor import Tensor

from .gguf_header import Header, Value, read_header
from .gguf_vocabulary import read_vocabulary
from .model import Checkpoint, main_encoding
from .names import GGUF
from .text_file import one_line

_ROPE_FACTORS = "rope_freqs.weight"
_ROPE_KEYS = {
    "factor": "factor",
    "original_context_length": "original_max_position_embeddings",
    "yarn_beta_fast": "beta_fast",
    "yarn_beta_slow": "beta_slow",
}
_PLAIN = ("F32", "F16", "BF16")
"""Norms and biases; blocks are for rows of a matrix."""
_DECODABLE = (
    *(*_PLAIN, "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"),
    *("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS"),
    *("TQ1_0", "TQ2_0", "MXFP4"),
)
"""What `gguf.quants.dequantize` knows."""


def read_file(path: Path) -> Checkpoint:
    """Raises CheckpointError in one line for whatever is wrong with the file."""
    header = read_header(path)
    facts = _Facts(header.metadata, path)
    model_type = facts.text("general.architecture")
    require_supported(model_type)
    facts.refuse_experts(model_type)
    tensors = _canonical(header)
    architecture = _architecture(facts, model_type, header, tensors)
    check_sizes(architecture)
    check_tensors(architecture, tensors)
    if model_type in ("llama", "mistral"):
        tensors = _half_split(tensors, architecture)
    return Checkpoint(
        kind="gguf",
        path=path,
        title=facts.text("general.name", "") or one_line(path.stem),
        license=facts.text("general.license", "unknown"),
        encoding=_encoding(facts, tensors),
        architecture=architecture,
        tensors=tensors,
        vocabulary=read_vocabulary(header.metadata, architecture.vocab_size),
    )


class _Facts:
    """Metadata with types checked."""

    def __init__(self, metadata: Mapping[str, Value], path: Path) -> None:
        self.metadata = metadata
        self.path = path

    def integer(self, key: str, default: int | None = None) -> int:
        value = self.metadata.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(key, "a whole number", value)
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self.metadata.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, "a number", value)
        return float(value)

    def text(self, key: str, default: str | None = None) -> str:
        value = self.metadata.get(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, "a text", value)
        return one_line(value)[:200]

    def refuse_experts(self, model_type: str) -> None:
        if self.integer(f"{model_type}.expert_count", 0):
            raise CheckpointError(f"{self.path.name}: mixtures of experts are not supported")

    def wrong(self, key: str, expected: str, value: object) -> CheckpointError:
        found = "missing" if value is None else str(value)[:40]
        return CheckpointError(f"{self.path.name}: metadata {key} must be {expected}, not {found}")


def _canonical(header: Header) -> dict[str, Tensor]:
    tensors = {}
    for name, tensor in header.tensors.items():
        if name == _ROPE_FACTORS:
            continue
        if tensor.encoding not in (_DECODABLE if len(tensor.shape) == 2 else _PLAIN):
            raise CheckpointError(f"tensor {name[:80]}: the encoding {tensor.encoding} is not supported")
        tensors[GGUF.canonical(name)] = tensor
    return tensors


def _architecture(facts: _Facts, model_type: str, header: Header, tensors: Mapping[str, Tensor]) -> Architecture:
    def key(name: str) -> str:
        return f"{model_type}.{name}"

    hidden = facts.integer(key("embedding_length"))
    heads = facts.integer(key("attention.head_count"))
    head_dim = facts.integer(key("attention.key_length"), hidden // max(heads, 1))
    layers = facts.integer(key("block_count"))
    if facts.integer(key("attention.value_length"), head_dim) != head_dim:
        raise CheckpointError(f"{facts.path.name}: keys and values of different sizes are not supported")
    if not 0 < layers <= 1024:
        raise CheckpointError(f"{facts.path.name}: {layers} layers are not possible")
    if "embedding.weight" not in tensors:
        raise CheckpointError(f"{facts.path.name}: 1 tensors are missing: embedding.weight")
    return Architecture(
        model_type=model_type,
        layers=layers,
        hidden_size=hidden,
        intermediate_size=facts.integer(key("feed_forward_length")),
        heads=heads,
        kv_heads=facts.integer(key("attention.head_count_kv"), heads),
        head_dim=head_dim,
        vocab_size=facts.integer(key("vocab_size"), tensors["embedding.weight"].rows),
        context_length=facts.integer(key("context_length")),
        norm_epsilon=facts.number(key("attention.layer_norm_rms_epsilon")),
        rope=_rope(facts, model_type, header, head_dim),
        tied="head.weight" not in tensors,
        windows=(facts.integer(key("attention.sliding_window"), 0),) * layers,
    )


def _rope(facts: _Facts, model_type: str, header: Header, head_dim: int) -> Rope:
    prefix = f"{model_type}.rope."
    theta = facts.number(prefix + "freq_base", 10000.0)
    rotary_dim = facts.integer(prefix + "dimension_count", head_dim)
    if rotary_dim != head_dim:
        raise CheckpointError(
            f"{facts.path.name}: only {rotary_dim} of {head_dim} values of a head turn: not supported"
        )
    context = facts.integer(f"{model_type}.context_length")
    parameters: dict[str, object] = {"rope_type": facts.text(prefix + "scaling.type", "none")}
    if parameters["rope_type"] == "none":
        parameters["rope_type"] = "default"
    for name, ours in _ROPE_KEYS.items():
        if prefix + "scaling." + name in facts.metadata:
            parameters[ours] = facts.number(prefix + "scaling." + name)
    if (factors := header.tensors.get(_ROPE_FACTORS)) is not None:
        if factors.encoding != "F32" or factors.shape != (rotary_dim // 2,):
            raise CheckpointError(f"{facts.path.name}: {_ROPE_FACTORS} must be {rotary_dim // 2} numbers in F32")
        return rope_with_factors(factors.read(), theta=theta, rotary_dim=rotary_dim)
    return rope_from(parameters, theta=theta, rotary_dim=rotary_dim, context=context)


def _half_split(tensors: Mapping[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """Undo the order of rows that GGUF gives q and k of `llama` for a rotary embedding of neighbouring pairs."""
    orders = {
        "q": _pairs_to_halves(architecture.heads, architecture.head_dim),
        "k": _pairs_to_halves(architecture.kv_heads, architecture.head_dim),
    }
    reordered = dict(tensors)
    for name, tensor in tensors.items():
        part = name.split(".")[-2]
        if name.startswith("layers.") and part in orders:
            reordered[name] = tensor.reordered(orders[part])
    return reordered


def _pairs_to_halves(heads: int, head_dim: int) -> NDArray[np.int64]:
    """Row i of the half-split order is row result[i] of the file: 0, 2, 4 ... 1, 3, 5 ... in every head."""
    rows = np.arange(heads * head_dim).reshape(heads, head_dim // 2, 2)
    return rows.swapaxes(1, 2).reshape(-1)


def _encoding(facts: _Facts, tensors: Mapping[str, Tensor]) -> str:
    """As the file says ("Q4_K_M"), else the encoding most weights have."""
    try:
        kind = LlamaFileType(facts.integer("general.file_type", -1)).name
        return kind.removeprefix("MOSTLY_").removeprefix("ALL_")
    except ValueError:
        return main_encoding(tensors.values())
