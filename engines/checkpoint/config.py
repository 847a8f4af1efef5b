"""config.json of a Hugging Face folder, read into `Architecture`.

What a file leaves out has the default that `transformers` gives that model type.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from edged.errors import CheckpointError
from engines.architecture import Activation, Architecture, require_supported
from engines.rope import Rope, rope_from, with_sections

Config = Mapping[str, object]

SUPPORTED = (
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3_text",
    "glm4v",
    "autoglm_phone",
)
"""Model types, named as in config.json."""

_ACTIVATIONS: Mapping[str, Activation] = {"silu": "silu", "gelu_pytorch_tanh": "gelu_tanh"}
_GEMMA: Config = {
    "hidden_activation": "gelu_pytorch_tanh",
    "tie_word_embeddings": True,
    "head_dim": 256,
    "rms_norm_eps": 1e-6,
}
_GEMMA2: Config = {
    **_GEMMA,
    "query_pre_attn_scalar": 256,
    "attn_logit_softcapping": 50.0,
    "final_logit_softcapping": 30.0,
    "sliding_window": 4096,
    "sliding_window_pattern": 2,
}
_GEMMA3: Config = {  # published folders of the larger ones leave most of it out
    **_GEMMA,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
    "sliding_window_pattern": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 262208,
    "max_position_embeddings": 131072,
}
_MISTRAL: Config = {"num_key_value_heads": 8, "sliding_window": 4096}
_DEFAULTS: Mapping[str, Config] = {
    "mistral": _MISTRAL,
    "gemma": _GEMMA,
    "gemma2": _GEMMA2,
    "gemma3": _GEMMA3,
    "gemma3_text": _GEMMA3,
    "glm4v": {"rms_norm_eps": 1e-5},
    "autoglm_phone": {"rms_norm_eps": 1e-5, "tie_word_embeddings": True},
}
_ADAPTER_RANKS = ("vision_adapter_rank", "audio_adapter_rank")
_GLM4V_SECTIONS = (8, 12, 12)
_MOST_LAYERS = 1024


def text_config(config: Config) -> Config:
    """The keys of the text model: those of `text_config` over the others, over the defaults of the model type."""
    model_type = str(config.get("model_type"))
    require_supported(model_type, SUPPORTED)
    nested = config.get("text_config") or {}
    if not isinstance(nested, dict):
        raise CheckpointError("config.json: text_config must be an object")
    nested = {key: value for key, value in nested.items() if value is not None or key not in config}
    return {**_DEFAULTS.get(model_type, {}), **config, **nested, "model_type": model_type}


def read_architecture(config: Config) -> Architecture:
    """From the text model's keys. Raises CheckpointError naming the key at fault."""
    model_type = str(config["model_type"])
    if config.get("use_bidirectional_attention"):
        raise CheckpointError("config.json: use_bidirectional_attention is not supported: the model does not write")
    hidden, heads = _integer(config, "hidden_size"), _integer(config, "num_attention_heads")
    head_dim = _integer(config, "head_dim", hidden // heads)
    layers = _integer(config, "num_hidden_layers")
    if layers > _MOST_LAYERS:
        raise CheckpointError(f"config.json: {layers} layers are not possible")
    windows = _windows(config, layers)
    is_phone = model_type == "autoglm_phone"
    is_gemma = model_type.startswith("gemma")
    return Architecture(
        model_type=model_type,
        layers=layers,
        hidden_size=hidden,
        intermediate_size=_integer(config, "moe_intermediate_size" if is_phone else "intermediate_size"),
        heads=heads,
        kv_heads=_integer(config, "num_key_value_heads", heads),
        head_dim=head_dim,
        vocab_size=_integer(config, "vocab_size"),
        context_length=_integer(config, "max_position_embeddings"),
        norm_epsilon=_number(config, "rms_norm_eps", 1e-6),
        tied=config.get("tie_word_embeddings") is True,
        windows=windows,
        ropes=_ropes(config, head_dim, windows),
        activation=_activation(config, is_gemma),
        head_norms=model_type in ("qwen3", "gemma3", "gemma3_text"),
        post_norms=model_type in ("gemma2", "gemma3", "gemma3_text", "glm4v"),
        embedding_scale=math.sqrt(hidden) if is_gemma else 1.0,
        query_scale=_number(config, "query_pre_attn_scalar", float(max(head_dim, 1))) ** -0.5,
        attention_softcap=_cap(config, "attn_logit_softcapping"),
        logit_softcap=_cap(config, "final_logit_softcapping"),
        experts=_integer(config, "num_experts") if is_phone else 0,
        experts_per_token=_integer(config, "num_experts_per_tok") if is_phone else 0,
        adapter_ranks=tuple(_integer(config, key) for key in _ADAPTER_RANKS) if is_phone else (),
    )


def _activation(config: Config, is_gemma: bool) -> Activation:
    key = "hidden_activation" if is_gemma and "hidden_act" not in config else "hidden_act"
    name = str(config.get(key) or "silu")
    if is_gemma and name == "gelu":
        name = "gelu_pytorch_tanh"  # the first releases of Gemma say gelu and mean its approximation
    if name not in _ACTIVATIONS:
        supported = ", ".join(_ACTIVATIONS)
        raise CheckpointError(f"config.json: {key} {name[:40]!r} is not supported, only {supported}")
    return _ACTIVATIONS[name]


def _windows(config: Config, layers: int) -> tuple[int, ...]:
    """Sliding windows: llama has none, mistral one for all layers, qwen asks for one and says for which layers,
    gemma alternates."""
    model_type = config["model_type"]
    pattern = "sliding_window_pattern" in config
    is_qwen = model_type in ("qwen2", "qwen3")
    used = config.get("use_sliding_window") is True if is_qwen else model_type == "mistral" or pattern
    if not used or not config.get("sliding_window"):
        return (0,) * layers
    window = _integer(config, "sliding_window")
    if (kinds := config.get("layer_types")) is not None:
        known = {"sliding_attention": window, "full_attention": 0}
        if not isinstance(kinds, list) or len(kinds) != layers or not all(str(kind) in known for kind in kinds):
            raise CheckpointError(
                f"config.json: layer_types must say sliding_attention or full_attention of each of the {layers} layers"
            )
        return tuple(known[kind] for kind in kinds)
    if pattern:
        period = max(_integer(config, "sliding_window_pattern"), 1)
        return tuple(window if (layer + 1) % period else 0 for layer in range(layers))
    first = _integer(config, "max_window_layers", 28) if is_qwen else 0
    return tuple(window if layer >= first else 0 for layer in range(layers))


def _ropes(config: Config, head_dim: int, windows: tuple[int, ...]) -> tuple[Rope, ...]:
    """One for all layers; in Gemma 3 one for layers with a window and one for those without."""
    # transformers 5 writes rope_parameters; earlier versions rope_scaling beside rope_theta.
    parameters = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(parameters, dict):
        raise CheckpointError("config.json: rope_parameters must be an object")
    if config["model_type"] in ("gemma3", "gemma3_text"):
        wide, near = _gemma3_ropes(config, parameters, head_dim)
        return tuple(near if window else wide for window in windows)
    if config["model_type"] == "glm4v":
        return (_glm4v_rope(config, parameters, head_dim),) * len(windows)
    if _number({**config, **parameters}, "partial_rotary_factor", 1.0) != 1:
        raise CheckpointError("config.json: partial_rotary_factor is not supported: whole heads must turn")
    return (_rope(config, parameters, head_dim),) * len(windows)


def _rope(config: Config, parameters: Config, rotary_dim: int, theta: float = 10000.0) -> Rope:
    return rope_from(
        parameters,
        theta=_number({**config, **parameters}, "rope_theta", theta),
        rotary_dim=rotary_dim,
        context=_integer(config, "max_position_embeddings"),
    )


def _gemma3_ropes(config: Config, parameters: Config, head_dim: int) -> tuple[Rope, Rope]:
    """(without a window, with one)"""
    nested = {key: parameters.get(key) or {} for key in ("full_attention", "sliding_attention")}
    if not any(nested.values()):  # as earlier versions wrote it: scaling is for the layers without a window
        nested["full_attention"] = parameters
    wide, near = nested.values()
    if not isinstance(wide, dict) or not isinstance(near, dict):
        raise CheckpointError("config.json: rope_parameters must hold an object for each kind of layer")
    local_theta = _number(config, "rope_local_base_freq", 10000.0)
    without_theta = {key: value for key, value in config.items() if key != "rope_theta"}
    return _rope(config, wide, head_dim, 1e6), _rope(without_theta, near, head_dim, local_theta)


def _glm4v_rope(config: Config, parameters: Config, head_dim: int) -> Rope:
    sections = parameters.get("mrope_section", list(_GLM4V_SECTIONS))
    if not isinstance(sections, list) or not all(type(pairs) is int and 0 < pairs < 512 for pairs in sections):
        raise CheckpointError("config.json: mrope_section must be a list of numbers of pairs")
    share = _number({**config, **parameters}, "partial_rotary_factor", 2 * sum(sections) / max(head_dim, 1))
    return with_sections(_rope(config, parameters, round(head_dim * share)), sections)


def _cap(config: Config, key: str) -> float:
    return 0.0 if config.get(key) is None else _number(config, key)


def _integer(config: Config, key: str, default: int | None = None) -> int:
    value = config.get(key)
    value = default if value is None else value
    if type(value) is not int or not 0 <= value < 2**40 or (key.startswith("num_") and value == 0):
        raise CheckpointError(f"config.json: {key} must be a positive whole number, not {str(value)[:40]}")
    return value


def _number(config: Config, key: str, default: float | None = None) -> float:
    value = config.get(key)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e18:
        raise CheckpointError(f"config.json: {key} must be a positive number, not {str(value)[:40]}")
    return float(value)
