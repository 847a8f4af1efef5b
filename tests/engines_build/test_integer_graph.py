"""Graphs of integers against what the same integers stand for, on random tiny models."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_checkpoints import (
    integer_session,
    reference_logits,
    relative_error,
    save_folder,
    save_gguf,
    tiny_model,
    tokens_of,
)
from variants import VARIANTS

from engines.checkpoint import Checkpoint, open_checkpoint
from engines.graph.integer_weights import INT8_INPUTS, IntegerFormat
from engines.quantize import Rounding, quantized
from engines.reference import final_states, head_logits
from engines.tensor import Tensor


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
    engine = integer_session(checkpoint, tmp_path / "engine", format_)
    tokens = tokens_of(24)
    found = engine.prefill(engine.allocate(), 0, tokens, range(len(tokens)))
    fast = integer_session(checkpoint, tmp_path / "fast", format_, accuracy=INT8_INPUTS)
    rounded = fast.prefill(fast.allocate(), 0, tokens, range(len(tokens)))

    _replace_by_integers(model, checkpoint, format_)
    expected = reference_logits(model, tokens)
    assert relative_error(found, expected) < 1e-3
    assert np.linalg.norm(rounded - expected) / np.linalg.norm(expected) < 0.1, "as used: inputs rounded to INT8"


@pytest.mark.parametrize("variant", ["gemma", "gemma2", "gemma3", "glm4v"])
@pytest.mark.parametrize(
    "linear", [Rounding(bits=4, block_size=32), Rounding(bits=4, block_size=64, symmetric=False)], ids=str
)
def test_integer_graph_equals_the_reference_on_the_same_integers(
    variant: str, linear: Rounding, tmp_path: Path
) -> None:
    """Where names and rows are not transformers' own: the reference equals transformers, as shown above."""
    model_type, overrides = VARIANTS[variant]
    checkpoint = open_checkpoint(save_folder(tiny_model(model_type, **overrides), tmp_path / "model"))
    table = Rounding(bits=8, block_size=32)
    format_ = IntegerFormat(linear=linear, minimum={}, embedding=table, head=table)
    engine = integer_session(checkpoint, tmp_path / "engine", format_)
    tokens = tokens_of(24)
    found = engine.prefill(engine.allocate(), 0, tokens, range(len(tokens)))

    rounded = _rounded(checkpoint, format_, tmp_path)
    (states,) = final_states(rounded, [tokens], lambda layers: None)
    expected = head_logits(rounded, states)
    assert relative_error(found, expected) < 1e-3
    assert (found.argmax(-1) == expected.argmax(-1)).all()
    (states,) = final_states(checkpoint, [tokens], lambda layers: None)
    assert relative_error(head_logits(checkpoint, states), expected) > 0.02, "rounding must matter"


def _rounded(checkpoint: Checkpoint, format_: IntegerFormat, folder: Path) -> Checkpoint:
    """The checkpoint with every matrix replaced by what its integers stand for."""
    tensors = dict(checkpoint.tensors)
    for name, tensor in checkpoint.tensors.items():
        if len(tensor.shape) == 2:
            rounding = format_.linear if name.startswith("layers.") else format_.head
            dense = quantized([tensor], rounding).dense()[:, : tensor.columns]
            path = folder / name
            path.write_bytes(np.ascontiguousarray(dense).tobytes())
            tensors[name] = Tensor(name=name, path=path, offset=0, shape=dense.shape, encoding="F32")
    return dataclasses.replace(checkpoint, tensors=tensors)


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
    engine = integer_session(checkpoint, tmp_path / "engine", format_)
    found = engine.prefill(engine.allocate(), 0, tokens, range(len(tokens)))
    (states,) = final_states(checkpoint, [tokens], lambda layers: None)
    expected = head_logits(checkpoint, states)
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    if minimum == "drop":
        assert 0.05 < error < 0.5, "dropping must be what the other three are better than"
    else:
        assert error < 0.05
