"""Weights as plain float32 matrices: the graph itself without what quantization does to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.tensor import Floats, Tensor

from .model_file import ModelFile


class FloatWeights:
    """Satisfies `Weights`."""

    def __init__(self, file: ModelFile) -> None:
        self.file = file

    def linear(self, name: str, x: str, parts: Sequence[Tensor], bias: Floats | None) -> str:
        """See Weights."""
        matrix = self.file.weight(f"{name}.weight", np.concatenate([part.read() for part in parts]).T)
        if bias is None:
            return self.file.node("MatMul", [x, matrix], f"{name}.out")
        product = self.file.node("MatMul", [x, matrix], f"{name}.product")
        return self.file.node("Add", [product, self.file.weight(f"{name}.bias", bias)], f"{name}.out")

    def embedding(self, tokens: str, table: Tensor) -> str:
        """See Weights."""
        matrix = self.file.weight("embedding.weight", table.read())
        return self.file.node("Gather", [matrix, tokens], "embedding", axis=0)

    def head(self, x: str, table: Tensor) -> str:
        """See Weights."""
        return self.file.node("MatMul", [x, self.file.weight("head.weight", table.read().T)], "logits")
