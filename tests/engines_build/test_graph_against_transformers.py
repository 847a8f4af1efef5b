"""Differential tests: the graph and the numpy reference against transformers, on random tiny models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_checkpoints import (
    float_session,
    integer_session,
    reference_logits,
    relative_error,
    save_folder,
    save_gguf,
    tiny_model,
    tokens_of,
)

from engines.checkpoint import open_checkpoint
from engines.graph.integer_weights import INT8_INPUTS, IntegerFormat
from engines.quantize import Rounding, quantized
from engines.reference import final_states, head_logits

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
INT4 = IntegerFormat(
    linear=Rounding(bits=4, block_size=32),
    minimum={},
    embedding=Rounding(bits=8, block_size=32),
    head=Rounding(bits=8, block_size=32),
)


@pytest.mark.parametrize("variant", VARIANTS)
def test_float_graph_and_reference_equal_transformers(variant: str, tmp_path: Path) -> None:
    model_type, overrides = VARIANTS[variant]
    model = tiny_model(model_type, **overrides)
    checkpoint = open_checkpoint(save_folder(model, tmp_path / "model"))
    tokens = tokens_of(40)
    expected = reference_logits(model, tokens)

    session = float_session(checkpoint, tmp_path / "engine")
    whole = session.prefill(session.allocate(), 0, tokens, range(len(tokens)))
    assert relative_error(whole, expected) < 1e-3

    (states,) = final_states(checkpoint, [tokens], lambda layers: None)
    assert relative_error(head_logits(checkpoint, states), expected) < 1e-4


@pytest.mark.parametrize("variant", ["llama", "mistral, sliding window", "qwen3", "qwen2"])
def test_cached_decode_equals_full_forward(variant: str, tmp_path: Path) -> None:
    model_type, overrides = VARIANTS[variant]
    checkpoint = open_checkpoint(save_folder(tiny_model(model_type, **overrides), tmp_path / "model"))
    session = float_session(checkpoint, tmp_path / "engine")
    tokens = tokens_of(30)
    whole = session.prefill(session.allocate(), 0, tokens, range(len(tokens)))

    memory = session.allocate()
    chunked = [session.prefill(memory, 0, tokens[:13], range(13)), session.prefill(memory, 13, tokens[13:20], range(7))]
    decoded = [session.decode(memory, position, tokens[position]).copy() for position in range(20, 30)]
    assert relative_error(np.concatenate([*chunked, np.stack(decoded)]), whole) < 1e-4


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    model_type=st.sampled_from(["llama", "mistral", "qwen2", "qwen3"]),
    groups=st.sampled_from([(1, 1), (2, 1), (6, 2), (4, 4), (8, 2)]),
    head_dim=st.sampled_from([16, 32, 64]),
    hidden=st.sampled_from([48, 96]),
    layers=st.integers(1, 3),
    tied=st.booleans(),
    theta=st.sampled_from([500.0, 1e4, 1e6]),
    seed=st.integers(0, 1000),
)
def test_random_configurations(
    tmp_path_factory: pytest.TempPathFactory,
    model_type: str,
    groups: tuple[int, int],
    head_dim: int,
    hidden: int,
    layers: int,
    tied: bool,
    theta: float,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("random")
    model = tiny_model(
        model_type,
        seed,
        num_attention_heads=groups[0],
        num_key_value_heads=groups[1],
        head_dim=head_dim,
        hidden_size=hidden,
        num_hidden_layers=layers,
        tie_word_embeddings=tied,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
    )
    tokens = tokens_of(20, seed)
    session = float_session(open_checkpoint(save_folder(model, folder / "model")), folder / "engine")
    logits = session.prefill(session.allocate(), 0, tokens, range(len(tokens)))
    assert relative_error(logits, reference_logits(model, tokens)) < 1e-3


@pytest.mark.parametrize("variant", ["llama", "llama, odd sizes", "qwen2, untied", "qwen3"])
@pytest.mark.parametrize(
    ("linear", "table"),
    [
        (Rounding(bits=4, block_size=32), Rounding(bits=8, block_size=32)),
        (Rounding(bits=4, block_size=64, symmetric=False), Rounding(bits=4, block_size=32)),
        (Rounding(bits=4, block_size=128), Rounding(bits=8, block_size=64)),
        (Rounding(bits=8, block_size=32), Rounding(bits=8, block_size=32)),
        (Rounding(bits=8, block_size=64, symmetric=False), Rounding(bits=4, block_size=64)),
    ],
)
def test_integer_graph_equals_transformers_on_the_same_integers(
    variant: str, linear: Rounding, table: Rounding, tmp_path: Path
) -> None:
    model_type, overrides = VARIANTS[variant]
    model = tiny_model(model_type, **overrides)
    checkpoint = open_checkpoint(save_folder(model, tmp_path / "model"))
    format_ = IntegerFormat(linear=linear, minimum={}, embedding=table, head=table)
    session = integer_session(checkpoint, tmp_path / "engine", format_)
    tokens = tokens_of(24)
    found = session.prefill(session.allocate(), 0, tokens, range(len(tokens)))
    fast = integer_session(checkpoint, tmp_path / "fast", format_, accuracy=INT8_INPUTS)
    rounded = fast.prefill(fast.allocate(), 0, tokens, range(len(tokens)))

    _replace_by_integers(model, checkpoint, format_)
    expected = reference_logits(model, tokens)
    assert relative_error(found, expected) < 1e-3
    assert np.linalg.norm(rounded - expected) / np.linalg.norm(expected) < 0.1, "as used: inputs rounded to INT8"


def _replace_by_integers(model: Any, checkpoint: Any, format_: IntegerFormat) -> None:
    layers = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj"}
    layers |= {part: f"mlp.{part}_proj" for part in ("gate", "up", "down")}
    state = model.state_dict()
    for name, tensor in checkpoint.tensors.items():
        kind, leaf = name.split(".")[-2:]
        if name in ("embedding.weight", "head.weight"):
            size = next(size for size in (format_.head.block_size, 64, 32, 16) if tensor.columns % size == 0)
            rounding = Rounding(bits=format_.head.bits, block_size=size)
            target = "model.embed_tokens.weight" if name == "embedding.weight" else "lm_head.weight"
        elif kind in layers and leaf == "weight":
            rounding, target = format_.linear, f"model.layers.{name.split('.')[1]}.{layers[kind]}.weight"
        else:
            continue
        state[target].copy_(torch.from_numpy(quantized([tensor], rounding).dense()[:, : tensor.columns]))


@pytest.mark.parametrize("minimum", ["drop", "columns", "exact", "int8"])
def test_what_becomes_of_the_minimum_of_q4_1(minimum: Any, tmp_path: Path) -> None:
    model = tiny_model("llama", hidden_size=64, intermediate_size=96)
    checkpoint = open_checkpoint(save_gguf(model, tmp_path / "tiny.gguf", "Q4_1"))
    format_ = IntegerFormat(
        linear=Rounding(bits=4, block_size=32),
        minimum=dict.fromkeys(("qkv", "o", "gate_up", "down"), minimum),
        embedding=Rounding(bits=8, block_size=32),
        head=Rounding(bits=8, block_size=32),
    )
    tokens = tokens_of(40)
    session = integer_session(checkpoint, tmp_path / "engine", format_)
    found = session.prefill(session.allocate(), 0, tokens, range(len(tokens)))
    (states,) = final_states(checkpoint, [tokens], lambda layers: None)
    expected = head_logits(checkpoint, states)
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    if minimum == "drop":
        assert 0.05 < error < 0.5, "dropping must be what the other three are better than"
    else:
        assert error < 0.05
