"""Read a GGUF file: metadata into `Architecture`, tensors under their canonical names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from gguf.constants import LlamaFileType

from edged.errors import CheckpointError
from engines.architecture import Architecture, check_sizes, check_tensors, require_supported
from engines.rope import Rope, rope_from, rope_with_factors
from engines.tensor import Tensor

from .gguf_header import Header, Value, read_header
from .gguf_vocabulary import read_vocabulary
from .model import Checkpoint, main_encoding
from .names import GGUF
from .rotary_order import half_split
from .text_file import one_line

SUPPORTED = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3")
"""Values of general.architecture."""

_ROPE_FACTORS = "rope_freqs.weight"
_ROPE_KEYS = {
    "factor": "factor",
    "original_context_length": "original_max_position_embeddings",
    "yarn_beta_fast": "beta_fast",
    "yarn_beta_slow": "beta_slow",
}
_WINDOW_PERIODS = {"gemma2": 2, "gemma3": 6}
"""One layer in so many sees everything."""
_DEFAULT_SOFTCAPS = {"gemma2": (50.0, 30.0)}
"""Of attention and of the logits, where the file is silent."""
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
    require_supported(model_type, SUPPORTED)
    facts.refuse_experts(model_type)
    tensors = _canonical(header)
    architecture = _architecture(facts, model_type, header, tensors)
    check_sizes(architecture)
    check_tensors(architecture, tensors)
    if model_type in ("llama", "mistral"):
        tensors = half_split(tensors, architecture)
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
    windows = _windows(facts, model_type, layers)
    is_gemma = model_type.startswith("gemma")
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
        tied="head.weight" not in tensors,
        windows=windows,
        ropes=_ropes(facts, model_type, header, head_dim, windows),
        activation="gelu_tanh" if is_gemma else "silu",
        head_norms=model_type in ("qwen3", "gemma3"),
        post_norms=model_type in ("gemma2", "gemma3"),
        embedding_scale=math.sqrt(hidden) if is_gemma and hidden > 0 else 1.0,
        query_scale=_query_scale(model_type, layers, hidden // max(heads, 1), head_dim),
        attention_softcap=facts.number(key("attn_logit_softcapping"), _DEFAULT_SOFTCAPS.get(model_type, (0, 0))[0]),
        logit_softcap=facts.number(key("final_logit_softcapping"), _DEFAULT_SOFTCAPS.get(model_type, (0, 0))[1]),
    )


def _query_scale(model_type: str, layers: int, share: int, head_dim: int) -> float:
    """The format has no key for it; llama.cpp knows the two models (27B) that scale by the hidden size's share."""
    largest = {"gemma2": 46, "gemma3": 62}.get(model_type) == layers
    return 1 / math.sqrt(max(share if largest else head_dim, 1))


def _windows(facts: _Facts, model_type: str, layers: int) -> tuple[int, ...]:
    """Gemma 2 has one in every other layer, Gemma 3 in five of six, unless the file says otherwise."""
    window = facts.integer(f"{model_type}.attention.sliding_window", 4096 if model_type == "gemma2" else 0)
    key = f"{model_type}.attention.sliding_window_pattern"
    if model_type not in _WINDOW_PERIODS:
        return (window,) * layers
    pattern = facts.metadata.get(key)
    if isinstance(pattern, list) and len(pattern) == layers:
        return tuple(window if slides else 0 for slides in pattern)
    period = max(facts.integer(key, _WINDOW_PERIODS[model_type]), 1)
    return tuple(window if (layer + 1) % period else 0 for layer in range(layers))


def _ropes(facts: _Facts, model_type: str, header: Header, head_dim: int, windows: tuple[int, ...]) -> tuple[Rope, ...]:
    """One for all layers; in Gemma 3 one of its own for layers with a window."""
    rope = _rope(facts, model_type, header, head_dim)
    if model_type != "gemma3":
        return (rope,) * len(windows)
    theta = facts.number("gemma3.rope.freq_base_swa", 10000.0)
    near = rope_from({}, theta=theta, rotary_dim=head_dim, context=0)
    return tuple(near if window else rope for window in windows)


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


def _encoding(facts: _Facts, tensors: Mapping[str, Tensor]) -> str:
    """As the file says ("Q4_K_M"), else the encoding most weights have."""
    try:
        kind = LlamaFileType(facts.integer("general.file_type", -1)).name
        return kind.removeprefix("MOSTLY_").removeprefix("ALL_")
    except ValueError:
        return main_encoding(tensors.values())
