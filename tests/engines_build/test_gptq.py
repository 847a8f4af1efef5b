"""GPTQ: never worse than rounding for the inputs it was made for, and exact where there is nothing to round."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_checkpoints import save_folder, save_gguf, tiny_model, tokens_of

from edged.engine.session import Sight
from edged.errors import CheckpointError
from engines.calibrate import Gptq
from engines.checkpoint import Checkpoint, open_checkpoint
from engines.graph.integer_weights import IntegerFormat
from engines.quantize import Rounding, quantized, rounded
from engines.quantize.gptq import feedback, gptq
from engines.samples import Sample
from engines.tensor import Floats


def correlated(tokens: int, columns: int, seed: int) -> Floats:
    """Inputs with a few common causes and very different magnitudes, as those of a language model are."""
    rng = np.random.default_rng(seed)
    causes = rng.normal(size=(tokens, max(2, columns // 8))) @ rng.normal(size=(max(2, columns // 8), columns))
    return ((causes + 0.3 * rng.normal(size=causes.shape)) * np.exp(rng.normal(size=columns))).astype(np.float32)


def output_error(dense: Floats, weights: Floats, inputs: Floats) -> float:
    return float(np.square(inputs @ (dense[:, : weights.shape[1]] - weights).T).sum())


@settings(deadline=None, max_examples=40)
@given(
    columns=st.sampled_from([32, 80, 128, 160, 257]),
    block_size=st.sampled_from([32, 64, 128]),
    bits=st.sampled_from([4, 8]),
    symmetric=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_outputs_are_nearer_than_with_plain_rounding(
    columns: int, block_size: int, bits: Any, symmetric: bool, seed: int
) -> None:
    inputs = correlated(512, columns, seed)
    weights = np.random.default_rng(seed).normal(size=(24, columns)).astype(np.float32)
    rounding = Rounding(bits=bits, block_size=block_size, symmetric=symmetric)
    blocks = gptq(weights, feedback(inputs.T @ inputs), rounding)
    plain = rounded(weights, rounding)
    assert output_error(blocks.dense(), weights, inputs) <= output_error(plain.dense(), weights, inputs)
    assert blocks.q.shape == plain.q.shape and blocks.q.max() < 2**bits
    assert not blocks.remainder().any(), "zero points are integers"


@settings(deadline=None)
@given(block_size=st.sampled_from([32, 64, 128]), symmetric=st.booleans(), seed=st.integers(0, 1000))
def test_weights_on_the_grid_stay(block_size: int, symmetric: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    q = rng.integers(0, 16, (8, 2, block_size))
    q[..., 0], q[..., 1] = 0, 15  # the whole range is in use
    zero = np.full((8, 2, 1), 8) if symmetric else rng.integers(1, 15, (8, 2, 1))
    scale = rng.uniform(0.1, 2, (8, 2, 1)).astype(np.float32)
    weights = ((q - zero) * scale).astype(np.float32).reshape(8, -1)
    errors = feedback(np.cov(rng.normal(size=(2 * block_size, 4 * block_size))).astype(np.float32))
    blocks = gptq(weights, errors, Rounding(bits=4, block_size=block_size, symmetric=symmetric))
    np.testing.assert_array_equal(blocks.q, q)
    np.testing.assert_allclose(blocks.dense(), weights, rtol=1e-5, atol=1e-5)


def test_without_correlation_it_rounds_each_weight_for_itself() -> None:
    weights = np.random.default_rng(0).normal(size=(16, 96)).astype(np.float32)
    rounding = Rounding(bits=4, block_size=32)
    blocks = gptq(weights, feedback(np.eye(96, dtype=np.float32)), rounding)
    np.testing.assert_array_equal(blocks.q, rounded(weights, rounding, np.ones(96, np.float32)).q)


def test_inputs_that_never_came_cost_nothing() -> None:
    """A dead channel, and a model of which nothing came at all."""
    inputs = correlated(100, 64, 0)
    inputs[:, 5] = 0
    weights = np.random.default_rng(0).normal(size=(8, 64)).astype(np.float32)
    for moments in (inputs.T @ inputs, np.zeros((64, 64), np.float32)):
        assert np.isfinite(gptq(weights, feedback(moments), Rounding(bits=4, block_size=32)).dense()).all()


def test_moments_that_are_not_quite_positive_are_damped_more() -> None:
    moments = np.ones((64, 64), np.float32) - 0.2 * np.eye(64, dtype=np.float32)
    weights = np.random.default_rng(0).normal(size=(8, 64)).astype(np.float32)
    errors = feedback(moments)
    assert errors.importance[0] > 0.85, "one per cent would not have been enough"
    assert np.isfinite(gptq(weights, errors, Rounding(bits=4, block_size=32)).dense()).all()


def test_scales_that_count_important_columns_more() -> None:
    weights = np.random.default_rng(0).normal(size=(64, 128)).astype(np.float32)
    importance = np.exp(np.random.default_rng(1).normal(size=128) * 2).astype(np.float32)
    for symmetric in (True, False):
        rounding = Rounding(bits=4, block_size=64, symmetric=symmetric)

        def error(dense: Floats) -> float:
            return float((np.square(dense - weights) * importance).sum())

        assert error(rounded(weights, rounding, importance).dense()) < 0.9 * error(rounded(weights, rounding).dense())


FORMAT = IntegerFormat(
    linear=Rounding(bits=4, block_size=32),
    minimum={},
    embedding=Rounding(bits=8, block_size=32),
    head=Rounding(bits=8, block_size=32),
    bits=(("layers.0.o", 16), ("layers.1.*", 8)),
)


def all_blocks(checkpoint: Checkpoint, format_: IntegerFormat, samples: list[Sample]) -> dict[str, Any]:
    steps: list[int] = []
    quantize = Gptq(checkpoint, samples, format_, steps.append)
    found = {}
    for layer in range(checkpoint.architecture.layers):
        for kind, parts in {"qkv": "qkv", "o": "o", "gate_up": ("gate", "up"), "down": ("down",)}.items():
            name = f"layers.{layer}.{kind}"
            tensors = [checkpoint.tensors[f"layers.{layer}.{part}.weight"] for part in parts]
            if (rounding := format_.rounding(name)) is not None:
                found[name] = quantize(name, tensors, rounding), quantized(tensors, rounding)
    assert steps == [1] * checkpoint.architecture.layers
    return found


def test_layer_after_layer_with_bits_of_their_own(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save_folder(tiny_model("qwen2"), tmp_path / "model"))
    found = all_blocks(checkpoint, FORMAT, [Sample(tokens=tuple(tokens_of(60))), Sample(tokens=(7,))])
    assert "layers.0.o" not in found
    assert {name: blocks.bits for name, (blocks, _) in found.items()} == {
        "layers.0.qkv": 4,
        "layers.0.gate_up": 4,
        "layers.0.down": 4,
        **{f"layers.1.{kind}": 8 for kind in ("qkv", "o", "gate_up", "down")},
    }
    for name, (blocks, plain) in found.items():
        assert blocks.q.shape == plain.q.shape
        assert (blocks.q != plain.q).any(), f"{name} was rounded without regard to its inputs"


def test_blocks_of_the_checkpoint_are_kept(tmp_path: Path) -> None:
    model = tiny_model("llama", hidden_size=64, intermediate_size=96)
    checkpoint = open_checkpoint(save_gguf(model, tmp_path / "tiny.gguf", "Q4_1"))
    format_ = IntegerFormat(linear=FORMAT.linear, minimum={}, embedding=FORMAT.embedding, head=FORMAT.head)
    for blocks, plain in all_blocks(checkpoint, format_, [Sample(tokens=tuple(tokens_of(30)))]).values():
        np.testing.assert_array_equal(blocks.q, plain.q)
        np.testing.assert_array_equal(blocks.minimum, plain.minimum)


def test_pictures_calibrate_like_the_tokens_whose_rows_they_are(tmp_path: Path) -> None:
    model = tiny_model("glm4v", num_attention_heads=2, tie_word_embeddings=False)
    checkpoint = open_checkpoint(save_folder(model, tmp_path / "model"))
    tokens = tokens_of(40)
    table = checkpoint.tensors["embedding.weight"].read()
    sight = Sight(positions=np.tile(np.arange(40), (3, 1)), embeddings=table[tokens], types=np.zeros(40, np.int64))
    shown = Sample(tokens=(*tokens[:10], *[-1] * 20, *tokens[30:]), sight=sight)
    turned = dataclasses.replace(shown, sight=dataclasses.replace(sight, positions=sight.positions[:, ::-1]))
    read, seen, moved = (
        all_blocks(checkpoint, FORMAT, [sample]) for sample in (Sample(tokens=tuple(tokens)), shown, turned)
    )
    for name, (blocks, _) in read.items():
        np.testing.assert_array_equal(seen[name][0].q, blocks.q)
    assert (moved["layers.0.gate_up"][0].q != read["layers.0.gate_up"][0].q).any(), "positions count"


def test_weights_that_overflow_are_refused(tmp_path: Path) -> None:
    model = tiny_model("qwen2")
    model.model.layers[0].self_attn.v_proj.weight.data *= 1e30
    checkpoint = open_checkpoint(save_folder(model, tmp_path / "model"))
    with pytest.raises(CheckpointError, match="no finite numbers on the calibration samples"):
        all_blocks(checkpoint, FORMAT, [Sample(tokens=tuple(tokens_of(30)))])
