"""AWQ: moving scales about changes nothing by itself, and makes rounding cheaper."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_gptq import correlated, output_error
from tiny_checkpoints import (
    float_session,
    integer_session,
    relative_error,
    save_folder,
    save_gguf,
    tiny_model,
    tokens_of,
)

from engines.calibrate import with_awq
from engines.checkpoint import open_checkpoint
from engines.graph.integer_weights import IntegerFormat
from engines.quantize import Rounding, rounded
from engines.quantize.awq import channel_factors
from engines.reference import final_states, head_logits
from engines.samples import Sample

FORMAT = IntegerFormat(
    linear=Rounding(bits=4, block_size=32),
    minimum={},
    embedding=Rounding(bits=8, block_size=32),
    head=Rounding(bits=8, block_size=32),
)
SAMPLES = [Sample(tokens=tuple(tokens_of(50, seed))) for seed in range(2)]


@pytest.mark.parametrize(
    ("model_type", "overrides"),
    [
        ("llama", {}),
        ("llama", {"attention_bias": True, "mlp_bias": True, "num_key_value_heads": 1}),
        ("llama", {"num_key_value_heads": 4, "hidden_size": 80, "intermediate_size": 112}),
        ("qwen2", {}),
        ("qwen3", {"head_dim": 32}),
        ("gemma2", {"sliding_window": 9}),
        ("glm4v", {"num_attention_heads": 2, "tie_word_embeddings": False}),
    ],
)
def test_folding_alone_computes_the_same(model_type: str, overrides: dict[str, Any], tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save_folder(tiny_model(model_type, **overrides), tmp_path / "model"))
    steps: list[int] = []
    folded = with_awq(checkpoint, SAMPLES, FORMAT, steps.append)
    assert steps == [1, 1]
    changed = {
        name
        for name, tensor in checkpoint.tensors.items()
        if not np.array_equal(tensor.read(), folded.tensors[name].read())
    }
    assert {name.split(".")[2] for name in changed} == {
        *("attention_norm", "q", "k", "v", "o", "mlp_norm", "gate", "up", "down")
    }, "every place that can take a factor has one"

    tokens = tokens_of(40, seed=9)
    (before,), (after,) = (final_states(each, [tokens], lambda n: None) for each in (checkpoint, folded))
    assert relative_error(head_logits(folded, after), head_logits(checkpoint, before)) < 1e-5
    session = float_session(folded, tmp_path / "engine")
    logits = session.prefill(session.allocate(), 0, tokens, range(40))
    assert relative_error(logits, head_logits(checkpoint, before)) < 1e-4, "the graph has the same nodes"


def test_the_engine_computes_with_the_folded_integers(tmp_path: Path) -> None:
    """Against the reference on what the integers stand for."""
    checkpoint = open_checkpoint(save_folder(tiny_model("qwen2"), tmp_path / "model"))
    folded = with_awq(checkpoint, SAMPLES, FORMAT, lambda n: None)
    session = integer_session(folded, tmp_path / "engine", FORMAT)
    tokens = tokens_of(24)
    found = session.prefill(session.allocate(), 0, tokens, range(24))

    (tmp_path / "integers").mkdir()
    standing = {}
    for name, tensor in folded.tensors.items():
        values = tensor.read()
        if tensor.columns > 1:
            rounding = FORMAT.linear if name.startswith("layers.") else FORMAT.head
            values = rounded(values, rounding).dense()[:, : tensor.columns]
        path = tmp_path / "integers" / name
        path.write_bytes(values.astype("<f4").tobytes())
        standing[name] = type(tensor)(name=name, path=path, offset=0, shape=tensor.shape, encoding="F32")
    expected = dataclasses.replace(checkpoint, tensors=standing)
    (states,) = final_states(expected, [tokens], lambda n: None)
    assert relative_error(found, head_logits(expected, states)) < 1e-3


@settings(deadline=None, max_examples=20)
@given(
    columns=st.sampled_from([64, 96, 128]),
    block_size=st.sampled_from([32, 64, 128]),
    symmetric=st.booleans(),
    shared=st.sampled_from([(1, 1), (2, 2), (4, 2), (2, 1)]),
    seed=st.integers(0, 1000),
)
def test_factors_never_cost_and_are_shared(
    columns: int, block_size: int, symmetric: bool, shared: tuple[int, int], seed: int
) -> None:
    inputs = correlated(256, columns, seed)
    rng = np.random.default_rng(seed)
    matrices = [rng.normal(size=(rows, columns)).astype(np.float32) for rows in (8, 16)]
    rounding = Rounding(bits=4, block_size=block_size, symmetric=symmetric)
    groups, of = shared
    factors = channel_factors(matrices, inputs.T @ inputs / len(inputs), rounding, groups, of)
    heads = factors.reshape(groups, of, -1)
    np.testing.assert_array_equal(heads, np.broadcast_to(heads[:, :1], heads.shape))

    def error(scale: Any) -> float:
        return sum(
            output_error(rounded(each * scale, rounding).dense()[:, :columns] / scale, each, inputs)
            for each in matrices
        )

    assert error(factors) <= error(np.ones(columns, np.float32)) * 1.001


def test_large_inputs_gain() -> None:
    inputs = correlated(256, 128, 0)
    inputs[:, ::16] *= 30
    weights = np.random.default_rng(0).normal(size=(64, 128)).astype(np.float32)
    rounding = Rounding(bits=4, block_size=64)
    factors = channel_factors([weights], inputs.T @ inputs, rounding, 1, 1)
    assert factors[::16].min() > 1.5 * np.median(factors)
    scaled = rounded(weights * factors, rounding).dense() / factors
    assert output_error(scaled, weights, inputs) < 0.9 * output_error(
        rounded(weights, rounding).dense(), weights, inputs
    )


def test_inputs_that_never_came_are_not_made_large() -> None:
    """What comes before them would be, and half precision ends at 65,504; with others they may come all the same."""
    inputs = correlated(256, 128, 0)
    inputs[:, ::16] *= 300
    inputs[:, 5::16] = 0
    weights = np.random.default_rng(0).normal(size=(64, 128)).astype(np.float32)
    rounding = Rounding(bits=4, block_size=64)
    factors = channel_factors([weights], inputs.T @ inputs, rounding, 1, 1)
    assert 1 / 33 < factors.min() < 0.5 and 2 < factors.max() < 33
    nothing = np.zeros((128, 128), np.float32)
    np.testing.assert_array_equal(channel_factors([weights], nothing, rounding, 1, 1), np.ones(128))


def test_blocks_of_the_checkpoint_are_left_alone(tmp_path: Path) -> None:
    model = tiny_model("llama", hidden_size=64, intermediate_size=96)
    checkpoint = open_checkpoint(save_gguf(model, tmp_path / "tiny.gguf", "Q4_1"))
    assert with_awq(checkpoint, SAMPLES, FORMAT, lambda n: None).tensors == checkpoint.tensors


def test_blocks_that_are_kept_take_up_no_factors_of_what_is_rounded(tmp_path: Path) -> None:
    """o and down are rounded to INT8; v and up, which come before them, stay the file's blocks."""
    model = tiny_model("llama", hidden_size=64, intermediate_size=96)
    checkpoint = open_checkpoint(save_gguf(model, tmp_path / "tiny.gguf", "Q4_0"))
    format_ = dataclasses.replace(FORMAT, bits=(("*.o", 8), ("*.down", 8)))
    assert with_awq(checkpoint, SAMPLES, format_, lambda n: None).tensors == checkpoint.tensors
