"""config.json of published models, without the keys that no reader here looks at."""

from __future__ import annotations

from typing import Any

_LLAMA: dict[str, Any] = {"model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-5, "attention_bias": False}
_LLAMA3 = _LLAMA | {"vocab_size": 128256, "rope_theta": 500000.0, "max_position_embeddings": 131072, "mlp_bias": False}
_LLAMA3_SCALING = {
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
    "rope_type": "llama3",
}
_MISTRAL: dict[str, Any] = {
    "model_type": "mistral",
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
}
_QWEN2: dict[str, Any] = {
    "model_type": "qwen2",
    "hidden_act": "silu",
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "use_sliding_window": False,
}
_QWEN3: dict[str, Any] = _QWEN2 | {
    "model_type": "qwen3",
    "attention_bias": False,
    "head_dim": 128,
    "max_position_embeddings": 40960,
    "rope_scaling": None,
    "sliding_window": None,
    "vocab_size": 151936,
}
_GEMMA: dict[str, Any] = {
    "model_type": "gemma",
    "head_dim": 256,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "vocab_size": 256000,
}
_GEMMA2: dict[str, Any] = _GEMMA | {
    "model_type": "gemma2",
    "attn_logit_softcapping": 50.0,
    "final_logit_softcapping": 30.0,
    "hidden_act": "gelu_pytorch_tanh",
    "hidden_activation": "gelu_pytorch_tanh",
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
    "cache_implementation": "hybrid",
}
_GEMMA3_TEXT: dict[str, Any] = {
    "model_type": "gemma3_text",
    "attention_bias": False,
    "attn_logit_softcapping": None,
    "final_logit_softcapping": None,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "max_position_embeddings": 32768,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "query_pre_attn_scalar": 256,
    "rms_norm_eps": 1e-6,
    "rope_local_base_freq": 10000,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "sliding_window": 512,
    "vocab_size": 262144,
}
_GEMMA3_SCALING = {"rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024}
_GEMMA3_VISION = {"hidden_size": 1152, "image_size": 896, "intermediate_size": 4304, "num_hidden_layers": 2}


def _sized(hidden: int, inner: int, layers: int, heads: int, kv_heads: int) -> dict[str, Any]:
    return {
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
    }


def _gemma3(**text: Any) -> dict[str, Any]:
    return {
        "model_type": "gemma3",
        "eos_token_id": [1, 106],
        "text_config": text | _GEMMA3_SCALING | {"model_type": "gemma3_text"},
        "vision_config": _GEMMA3_VISION,
    }


_GLM_TEXT: dict[str, Any] = _sized(4096, 13696, 40, 32, 2) | {
    "attention_bias": True,
    "hidden_act": "silu",
    "max_position_embeddings": 65536,
    "rms_norm_eps": 1e-5,
    "vocab_size": 151552,
    "eos_token_id": [151329, 151336, 151338, 151348],
}
GLM_VISION: dict[str, Any] = {
    "model_type": "glm4v_vision",
    "attention_bias": False,
    "depth": 24,
    "hidden_act": "silu",
    "hidden_size": 1536,
    "image_size": 336,
    "in_channels": 3,
    "intermediate_size": 13696,
    "num_heads": 12,
    "out_hidden_size": 4096,
    "patch_size": 14,
    "rms_norm_eps": 1e-5,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
_GLM: dict[str, Any] = {
    "model_type": "glm4v",
    "image_token_id": 151343,
    "tie_word_embeddings": False,
    "vision_config": GLM_VISION,
}

PUBLISHED: dict[str, dict[str, Any]] = {
    "SmolLM2-135M": _LLAMA
    | _sized(576, 1536, 30, 9, 3)
    | {"vocab_size": 49152, "rope_theta": 100000, "max_position_embeddings": 8192, "tie_word_embeddings": True}
    | {"rope_interleaved": False, "rope_scaling": None},
    "TinyLlama-1.1B": _LLAMA
    | _sized(2048, 5632, 22, 32, 4)
    | {"vocab_size": 32000, "max_position_embeddings": 2048, "rope_scaling": None, "tie_word_embeddings": False},
    "Llama-3-8B": _LLAMA3
    | _sized(4096, 14336, 32, 32, 8)
    | {"max_position_embeddings": 8192, "rope_scaling": None, "tie_word_embeddings": False},
    "Llama-3.1-8B": _LLAMA3
    | _sized(4096, 14336, 32, 32, 8)
    | {"rope_scaling": _LLAMA3_SCALING | {"factor": 8.0}, "tie_word_embeddings": False},
    "Llama-3.2-1B": _LLAMA3
    | _sized(2048, 8192, 16, 32, 8)
    | {"rope_scaling": _LLAMA3_SCALING | {"factor": 32.0}, "head_dim": 64, "tie_word_embeddings": True},
    "Mistral-7B-v0.1": _MISTRAL | {"vocab_size": 32000, "rope_theta": 10000.0, "sliding_window": 4096},
    "Mistral-7B-v0.3": _MISTRAL
    | {"vocab_size": 32768, "rope_theta": 1000000.0, "sliding_window": None, "head_dim": None},
    "Mistral-Nemo-12B": _MISTRAL
    | _sized(5120, 14336, 40, 32, 8)
    | {"vocab_size": 131072, "rope_theta": 1000000.0, "sliding_window": None, "head_dim": 128}
    | {"max_position_embeddings": 131072},
    "Qwen2.5-0.5B": _QWEN2
    | _sized(896, 4864, 24, 14, 2)
    | {"vocab_size": 151936, "sliding_window": 32768, "max_window_layers": 21, "tie_word_embeddings": True},
    "Qwen2.5-7B": _QWEN2
    | _sized(3584, 18944, 28, 28, 4)
    | {"vocab_size": 152064, "sliding_window": 131072, "max_window_layers": 28, "tie_word_embeddings": False},
    "Qwen2.5-7B with YaRN": _QWEN2
    | _sized(3584, 18944, 28, 28, 4)
    | {"vocab_size": 152064, "sliding_window": 131072, "max_window_layers": 28, "tie_word_embeddings": False}
    | {"rope_scaling": {"factor": 4.0, "original_max_position_embeddings": 32768, "type": "yarn"}},
    "Qwen3-0.6B": _QWEN3 | _sized(1024, 3072, 28, 16, 8) | {"tie_word_embeddings": True, "max_window_layers": 28},
    "Qwen3-8B": _QWEN3 | _sized(4096, 12288, 36, 32, 8) | {"tie_word_embeddings": False, "max_window_layers": 36},
    "gemma-2b": _GEMMA | _sized(2048, 16384, 18, 8, 1) | {"hidden_act": "gelu"},
    "gemma-7b": _GEMMA | _sized(3072, 24576, 28, 16, 16) | {"hidden_act": "gelu", "hidden_activation": None},
    "gemma-2-2b": _GEMMA2 | _sized(2304, 9216, 26, 8, 4),
    "gemma-2-9b": _GEMMA2 | _sized(3584, 14336, 42, 16, 8) | {"sliding_window_size": 4096},
    "gemma-2-27b": _GEMMA2 | _sized(4608, 36864, 46, 32, 16) | {"head_dim": 128, "query_pre_attn_scalar": 144},
    "gemma-3-270m": _GEMMA3_TEXT
    | {"hidden_size": 640, "intermediate_size": 2048, "num_hidden_layers": 18, "_sliding_window_pattern": 6}
    | {"layer_types": [*["sliding_attention"] * 5, "full_attention"] * 3, "use_bidirectional_attention": False},
    "gemma-3-1b": _GEMMA3_TEXT
    | {"hidden_size": 1152, "intermediate_size": 6912, "num_hidden_layers": 26, "sliding_window_pattern": 6},
    "gemma-3-4b": _gemma3(hidden_size=2560, intermediate_size=10240, num_hidden_layers=34),
    "gemma-3-12b": _gemma3(**_sized(3840, 15360, 48, 16, 8)),
    "gemma-3-27b": _gemma3(**_sized(5376, 21504, 62, 32, 16), head_dim=128, query_pre_attn_scalar=168),
    "GLM-4.1V-9B, flat": _GLM
    | _GLM_TEXT
    | {"partial_rotary_factor": 0.5, "rope_theta": 10000.0}
    | {"rope_scaling": {"rope_type": "default", "mrope_section": [8, 12, 12]}},
    "GLM-4.1V-9B, nested": _GLM
    | {
        "text_config": _GLM_TEXT
        | {"model_type": "glm4v_text", "rope_theta": 10000.0, "partial_rotary_factor": 0.5, "head_dim": None}
        | {"rope_scaling": {"rope_type": "default", "mrope_section": [8, 12, 12]}}
    },
    "GLM-4.1V-9B, nested anew": _GLM
    | {
        "text_config": _GLM_TEXT
        | {
            "model_type": "glm4v_text",
            "rope_parameters": {
                "rope_type": "default",
                "mrope_section": [8, 12, 12],
                "rope_theta": 10000.0,
                "partial_rotary_factor": 0.5,
            },
        }
    },
}
