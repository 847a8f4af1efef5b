"""Rounding and packing: properties on random blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engines.quantize import Blocks, Rounding, packed, packed_zero_points, quantized, rounded
from engines.tensor import Tensor

weights = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 4), st.integers(1, 150)), elements=st.floats(-100, 100, width=32)
)


@settings(deadline=None)
@given(
    weights=weights,
    bits=st.sampled_from([4, 8]),
    block_size=st.sampled_from([32, 64, 128]),
    symmetric=st.booleans(),
)
def test_no_weight_moves_further_than_a_step(weights: Any, bits: Any, block_size: int, symmetric: bool) -> None:
    blocks = rounded(weights, Rounding(bits=bits, block_size=block_size, symmetric=symmetric))
    dense = blocks.dense()
    assert dense.shape == (len(weights), -(-weights.shape[1] // block_size) * block_size)
    columns = weights.shape[1]
    step = np.repeat(np.abs(blocks.scale), block_size, axis=1)[:, :columns]
    assert (np.abs(dense[:, :columns] - weights) <= step * 1.51 + 1e-6).all()
    assert not dense[:, columns:].any(), "padding stays zero"
    assert not blocks.remainder().any(), "rounded blocks have integer zero points"


def test_asymmetric_blocks_are_finer_where_weights_have_one_sign() -> None:
    positive = np.random.default_rng(0).uniform(0, 1, (8, 256)).astype(np.float32)

    def error(*, symmetric: bool) -> float:
        blocks = rounded(positive, Rounding(bits=4, block_size=32, symmetric=symmetric))
        return float(np.abs(blocks.dense() - positive).sum())

    assert error(symmetric=False) < 0.6 * error(symmetric=True)


@settings(deadline=None)
@given(
    q=hnp.arrays(np.uint8, (3, 2, 32), elements=st.integers(0, 15)),
    zero=hnp.arrays(np.uint8, (3, 5), elements=st.integers(0, 15)),
)
def test_packing_puts_the_first_value_low(q: Any, zero: Any) -> None:
    blocks = Blocks(4, np.ones((3, 2), np.float32), np.zeros((3, 2), np.float32), q)
    halves = packed(blocks)
    assert halves.shape == (3, 2, 16)
    np.testing.assert_array_equal(np.stack([halves & 15, halves >> 4], -1).reshape(q.shape), q)
    points = packed_zero_points(zero, 4)
    np.testing.assert_array_equal(np.stack([points & 15, points >> 4], -1).reshape(3, 6)[:, :5], zero)


def test_constant_and_zero_blocks() -> None:
    blocks = rounded(np.zeros((2, 64), np.float32), Rounding(bits=4, block_size=32))
    assert not blocks.dense().any() and (blocks.zero_points() == 8).all()
    flat = Blocks(4, np.zeros((1, 1), np.float32), np.full((1, 1), 3, np.float32), np.zeros((1, 1, 32), np.uint8))
    assert flat.remainder() == pytest.approx(3), "a Q4_1 block of equal weights keeps them in its remainder"


def test_a_tensor_read_in_pieces_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(50, 64)).astype(np.float32)
    (tmp_path / "w").write_bytes(values.tobytes())
    tensor = Tensor(name="w", path=tmp_path / "w", offset=0, shape=(50, 64), encoding="F32")
    rounding = Rounding(bits=4, block_size=32)
    whole = quantized([tensor], rounding)
    monkeypatch.setattr("engines.quantize.tensors.CHUNK_VALUES", 7 * 64)
    np.testing.assert_array_equal(quantized([tensor], rounding).q, whole.q)
