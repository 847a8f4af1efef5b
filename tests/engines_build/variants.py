"""What tiny models are made of: settings of every model type, and random ones."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from tiny_checkpoints import GLM4V_ROPE

from engines.graph.integer_weights import IntegerFormat
from engines.quantize import Rounding

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama, untied": ("llama", {"tie_word_embeddings": False}),
    "llama, attention and mlp bias": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama, multi-head": ("llama", {"num_key_value_heads": 4}),
    "llama, one key head": ("llama", {"num_key_value_heads": 1}),
    "llama, wide heads": ("llama", {"head_dim": 32}),
    "llama, odd sizes": ("llama", {"hidden_size": 80, "intermediate_size": 112}),
    "mistral": ("mistral", {"sliding_window": None}),
    "mistral, sliding window": ("mistral", {"sliding_window": 9}),
    "qwen2": ("qwen2", {"head_dim": 16}),
    "qwen2, untied": ("qwen2", {"tie_word_embeddings": False}),
    "qwen2, window in the second layer": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1},
    ),
    "qwen3": ("qwen3", {}),
    "qwen3, head bias": ("qwen3", {"attention_bias": True}),
    "gemma": ("gemma", {}),
    "gemma, one key head": ("gemma", {"num_key_value_heads": 1, "head_dim": 32}),
    "gemma2": ("gemma2", {"sliding_window": 9, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}),
    "gemma2, scaled otherwise": ("gemma2", {"query_pre_attn_scalar": 9, "attn_logit_softcapping": None}),
    "gemma3": ("gemma3_text", {"sliding_window": 7, "num_hidden_layers": 7}),
    "gemma3, global layers stretched": (
        "gemma3_text",
        {
            "sliding_window": 5,
            "num_hidden_layers": 3,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "final_logit_softcapping": 5.0,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            },
        },
    ),
    "glm4v": ("glm4v", {"num_attention_heads": 2, "tie_word_embeddings": False}),
    "glm4v, tied, whole heads turn": (
        "glm4v",
        {
            "hidden_size": 96,
            "num_key_value_heads": 1,
            "num_attention_heads": 3,
            "rope_parameters": GLM4V_ROPE | {"partial_rotary_factor": 1.0, "mrope_section": [5, 6, 5]},
        },
    ),
    "rope linear": ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}}),
    "rope dynamic": ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}),
    "rope llama3": (
        "llama",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 1e4,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        },
    ),
    "rope yarn": (
        "qwen3",
        {
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 1e4,
                "factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        },
    ),
}
ONE_OF_EACH = ("llama", "mistral, sliding window", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "glm4v")
INT8 = IntegerFormat(
    linear=Rounding(bits=8, block_size=32),
    minimum={},
    embedding=Rounding(bits=8, block_size=32),
    head=Rounding(bits=8, block_size=32),
)
INT4 = IntegerFormat(
    linear=Rounding(bits=4, block_size=32),
    minimum={},
    embedding=Rounding(bits=8, block_size=32),
    head=Rounding(bits=8, block_size=32),
)


@st.composite
def configurations(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A model type and settings that it can have."""
    model_type = draw(
        st.sampled_from(["llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "glm4v"])
    )
    heads, kv_heads = draw(st.sampled_from([(1, 1), (2, 1), (6, 2), (4, 4), (8, 2)]))
    layers = draw(st.integers(1, 3))
    theta = draw(st.sampled_from([500.0, 1e4, 1e6]))
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": theta}
    settings: dict[str, Any] = {
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": draw(st.sampled_from([16, 32, 64])),
        "hidden_size": draw(st.sampled_from([48, 96])),
        "num_hidden_layers": layers,
        "tie_word_embeddings": draw(st.booleans()),
        "rms_norm_eps": draw(st.sampled_from([1e-6, 1e-2])),
    }
    window, cap = st.sampled_from([3, 8, 100]), st.sampled_from([None, 1.5, 30.0])
    if model_type in ("llama", "qwen3", "gemma"):
        settings["attention_bias"] = draw(st.booleans())
    if model_type == "mistral":
        settings["sliding_window"] = draw(window)
    if model_type in ("gemma2", "gemma3_text"):
        kinds = st.sampled_from(["sliding_attention", "full_attention"])
        settings |= {
            "sliding_window": draw(window),
            "layer_types": draw(st.lists(kinds, min_size=layers, max_size=layers)),
            "query_pre_attn_scalar": draw(st.sampled_from([16, 100, 256])),
            "final_logit_softcapping": draw(cap),
            "hidden_size": 96,  # which transformers wants to be a multiple of the heads
        }
    if model_type == "gemma2":
        settings["attn_logit_softcapping"] = draw(cap)
    if model_type == "gemma3_text":
        rope = {"sliding_attention": rope, "full_attention": {"rope_type": "default", "rope_theta": 1e5}}
    if model_type == "glm4v":
        heads, pairs = draw(st.sampled_from([(1, 8), (1, 40), (2, 8), (3, 16)]))
        first, second = sorted(draw(st.tuples(st.integers(1, pairs - 2), st.integers(2, pairs - 1))))
        sections = [first, max(second - first, 1)]
        sections.append(pairs - sum(sections))
        settings |= {"hidden_size": 96, "num_attention_heads": heads, "num_key_value_heads": 1}
        rope |= {"mrope_section": sections, "partial_rotary_factor": 2 * pairs * heads / 96}
    return model_type, settings | {"rope_parameters": rope}
