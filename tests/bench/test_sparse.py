"""Few experts cost less than all of them: the nano's shape, decoding on the CPU."""

from __future__ import annotations

import pytest

from tests.bench import random_model, sparse


def test_few_experts_cost_less_than_all() -> None:
    """The bound itself is for a machine that does nothing else; the command prints it."""
    found = sparse.measure(random_model.nano(), turns=5, threads=1)
    assert 2 * min(found.sparse_ms) < min(found.dense_ms)
    assert found.bound == pytest.approx(0.222 + 0.15, abs=0.001)
    assert "3.54 of 15.92 million parameters active" in sparse.report(found)


def test_the_bound_is_judged() -> None:
    quick = sparse.Figures(sparse_ms=(0.2,) * 5, dense_ms=(1.0,) * 5, active=10, parameters=100)
    slow = sparse.Figures(sparse_ms=(0.3,) * 5, dense_ms=(1.0,) * 5, active=10, parameters=100)
    assert sparse.report(quick).endswith("20.0% (20.0% to 20.0%); bound 25.0% holds")
    assert sparse.report(slow).endswith("bound 25.0% does not hold")
