"""Weights as plain matrices of floats: the graph itself without what quantization does to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.tensor import Floats, Tensor

from .expert_weights import Expert, float_experts
from .model_file import ModelFile


class FloatWeights:
    """Satisfies `Weights`."""

    def __init__(self, file: ModelFile) -> None:
        self.file = file

    def linear(self, name: str, x: str, parts: Sequence[Tensor], bias: Floats | None, factor: float = 1.0) -> str:
        """See Weights."""
        matrix = self.file.number(f"{name}.weight", _joined(parts, factor))
        if bias is None:
            return self.file.node("MatMul", [x, matrix], f"{name}.out")
        product = self.file.node("MatMul", [x, matrix], f"{name}.product")
        return self.file.node(
            "Add", [product, self.file.number(f"{name}.bias", bias * np.float32(factor))], f"{name}.out"
        )

    def beside(self, name: str, x: str, parts: Sequence[Tensor]) -> str:
        """See Weights."""
        matrix = np.concatenate([part.read() for part in parts], axis=1).T
        return self.file.node("MatMul", [x, self.file.number(f"{name}.weight", matrix)], f"{name}.out")

    def experts(self, name: str, x: str, scores: str, experts: Sequence[Expert], chosen: int) -> str:
        """See Weights."""
        return float_experts(self.file, name, (x, scores), experts, chosen)

    def embedding(self, tokens: str, table: Tensor) -> str:
        """See Weights."""
        matrix = self.file.number("embedding.weight", table.read())
        return self.file.node("Gather", [matrix, tokens], "embedding", axis=0)

    def head(self, x: str, table: Tensor, output: str) -> str:
        """See Weights."""
        return self.file.node("MatMul", [x, self.file.number("head.weight", table.read().T)], output)


def _joined(parts: Sequence[Tensor], factor: float) -> Floats:
    """(columns, rows of all parts)"""
    return np.asarray(np.concatenate([part.read() for part in parts]).T * np.float32(factor))
