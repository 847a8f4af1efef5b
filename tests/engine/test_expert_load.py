"""Counting what routers choose."""

from __future__ import annotations

import numpy as np

from edged.engine.expert_load import ExpertLoad


def scores(*tokens: list[float]) -> np.ndarray:
    """Of one layer.  # (1, tokens, experts)"""
    return np.array([tokens], np.float32)


def test_chunks_are_counted_at_once() -> None:
    load = ExpertLoad(layers=1, experts=3, chosen=2)
    load.add(scores([3, 1, 2], [0, 5, -1]))
    np.testing.assert_array_equal(load.counts, [[2, 1, 1]])


def test_decoded_tokens_are_counted_together() -> None:
    load = ExpertLoad(layers=1, experts=3, chosen=1)
    for _ in range(63):
        load.add(scores([0, 0.5, 2]))
    np.testing.assert_array_equal(load.counts, 0)
    before = load.counts
    load.add(scores([9, 0.5, 2]))
    np.testing.assert_array_equal(load.counts, [[1, 0, 63]])
    np.testing.assert_array_equal(before, 0)  # what somebody has read does not change
