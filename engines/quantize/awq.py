"""AWQ: inputs that are large on calibration texts get finer weights, by moving a factor from input to weight.

A column of weights times s and its input over s compute the same, but rounding treats the column as larger and so
errs less where the input is large. The factor of the input goes into what comes before it, a norm's weight or the
rows of another matrix, so that the graph stays as it is. Lin et al. 2023: s = magnitude of the input ** ratio, with
the ratio of the least output error. Here the magnitude is the root mean square, which the second moments have.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.tensor import Floats

from .rounding import Rounding, rounded

_RATIOS = tuple(step / 10 for step in range(1, 11))
_TRIAL_ROWS = 512
"""Of each matrix, looked at to find the ratio: one number has to be found, for all rows."""
_SPREAD = 1024
"""Of the largest factor over the smallest: what calibration has never seen must not grow without end, for half
precision ends at 65,504. Balanced, factors are between 1/32 and 32; those of a real model were within 1/9 and 9."""


def channel_factors(matrices: Sequence[Floats], moments: Floats, rounding: Rounding, groups: int, of: int) -> Floats:
    """What to multiply the columns with; ones where no factor lessens the error of the outputs.  # (columns,)

    matrices: each (rows, columns), all with the same input; moments: its mean xᵀ x (columns, columns).
    The columns are `groups` times `of` heads; the heads of a group get the same factors, for their inputs are
    mixtures of the same values. With 1 and 1 every column is for itself.
    """
    some = [matrix[:: -(-len(matrix) // _TRIAL_ROWS)] for matrix in matrices]
    magnitude = np.sqrt(_shared(np.diagonal(moments), groups, of))
    if not magnitude.any():
        return np.ones_like(magnitude)
    best, least = np.ones_like(magnitude), _loss(some, np.ones_like(magnitude), moments, rounding)
    for ratio in _RATIOS:
        factors = magnitude ** np.float32(ratio)
        factors = np.maximum(factors, factors.max() / _SPREAD)
        factors /= np.sqrt(factors.max() * factors.min())
        loss = _loss(some, factors, moments, rounding)
        if loss < least:
            best, least = factors, loss
    return best


def _shared(power: Floats, groups: int, of: int) -> Floats:
    """The mean over the heads of each group, for every one of them.  # (columns,)"""
    heads = power.reshape(groups, of, -1)
    return np.broadcast_to(heads.mean(axis=1, keepdims=True), heads.shape).reshape(-1).astype(np.float32)


def _loss(matrices: Sequence[Floats], factors: Floats, moments: Floats, rounding: Rounding) -> float:
    """Squared error of all outputs: E H Eᵀ, the diagonal's sum."""
    total = 0.0
    for matrix in matrices:
        dense = rounded(matrix * factors, rounding).dense()[:, : matrix.shape[1]]
        error = dense / factors - matrix
        total += float(np.einsum("ij,ij->", error @ moments, error))
    return total
