"""How much of a tower's embeddings is left in a graph, by the cosine of what it and something better compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from edged.engine.onnx_tower import OnnxTower
from edged.errors import ArtefactError, QualityGateFailed
from engines.tensor import Floats

from .products import Bits

LEAST_COSINE = 0.95
"""Of embeddings with those of the float weights; what lies below has gone wrong."""
LEAST_OF_FOUR_BITS = 0.8
"""The same where weights were rounded to 4 bits that were not trained for it."""
Inputs = Mapping[str, Floats]


def run_graph(path: Path, inputs: Inputs) -> Floats:
    """Embeddings of one picture or recording."""
    found = OnnxTower(path, inputs.keys(), threads=0).run(inputs, lambda: False)
    assert found is not None  # nobody cancels
    return found


def measured(path: Path, inputs: Inputs, expected: Callable[[], Floats], bits: Bits, what: str) -> float:
    """Least cosine of the graph's embeddings with the reference's. Raises QualityGateFailed.

    bits: asked for. what: "picture" or "recording".
    """
    least = LEAST_OF_FOUR_BITS if bits == 4 else LEAST_COSINE
    with np.errstate(all="ignore"):  # weights of a damaged file may overflow; the comparison shows it
        cosine = least_cosine(run_graph(path, inputs), expected())
    if not cosine >= least:
        raise QualityGateFailed(
            f"embeddings of a {what} have a cosine of {cosine:.3f} with those of the checkpoint's weights, "
            f"{least} is the least allowed: not installed"
        )
    return cosine


def agreement(folder: Path, fused: str, standard: str, inputs: Inputs) -> float:
    """Least cosine of an artefact's two graphs, which compute in different types and operators.

    Raises ArtefactError where they do not compute the same.
    """
    cosine = least_cosine(run_graph(folder / fused, inputs), run_graph(folder / standard, inputs))
    if not cosine >= LEAST_COSINE:
        raise ArtefactError(f"{folder}: {fused} and {standard} do not compute the same: {cosine:.3f}")
    return cosine


def least_cosine(one: Floats, other: Floats) -> float:
    """Of all rows."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(np.min((one * other).sum(axis=1) / lengths))
