"""Training computes in the numbers that a processor is fast with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from engines.qat import precision

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    precision._has_bfloat16.cache_clear()
    yield
    precision._has_bfloat16.cache_clear()


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16\n", torch.bfloat16),
        ("Features\t: fp asimd bf16 i8mm\n", torch.bfloat16),
        ("flags\t\t: fpu fma avx2 avx512f\n", torch.float32),
    ],
)
def test_a_cpu_is_asked_for_its_instructions(
    described: str, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: described)
    assert precision.product_type(CPU) == expected
    matrix = torch.eye(2)
    with precision.in_product_type(CPU):
        assert (matrix @ matrix).dtype == expected


def test_a_gpu_has_them() -> None:
    assert precision.product_type(torch.device("cuda")) == torch.bfloat16
