"""GPTQ: columns are rounded one after the other, and those still to come make up for the errors so far.

The aim is the least error of the outputs on the calibration inputs, sum |x (w - ŵ)|² = E H Eᵀ with E = w - ŵ and
H = sum xᵀ x. With H = F D Fᵀ, F upper triangular with a unit diagonal, that is sum_k D_k |(E F)_k|², and rounding
w_k + sum_{j<k} E_j F_jk leaves in (E F)_k nothing but its own rounding error. This is GPTQ (Frantar et al. 2022)
in the form of QuIP (Chee et al. 2023), which needs one factorization and no inverse. Columns are taken in the order
of falling importance, GPTQ's act-order; each keeps its place in its row and the scale of its block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.tensor import Floats

from .blocks import Blocks
from .rounding import Rounding, rounded

DAMPING = 0.01
"""Share of the mean importance added to every column's: the calibration inputs are few."""
_STEP = 128
"""Columns rounded one by one before their errors are carried on in one product."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """How errors in some inputs of a matrix can be made up for in others."""

    importance: Floats
    """Mean squared input, damped.  # (columns,)"""
    order: NDArray[np.int64]
    """Columns, the most important first."""
    factors: Floats
    """F, in that order.  # (columns, columns)"""


def feedback(hessian: Floats, damping: float = DAMPING) -> Feedback:
    """Of the inputs' second moments: the mean of xᵀ x, or any positive multiple of it.  # (columns, columns)

    Moments that float32 has left without a Cholesky factor are damped ten times as much.
    """
    importance = np.diagonal(hessian).astype(np.float32)
    # Where no input was ever anything but zero, errors cost nothing; the diagonal must be positive all the same.
    importance = importance + np.float32(max(damping * float(importance.mean()), 1e-12))
    order = np.argsort(-importance, kind="stable")
    reversed_order = order[::-1]
    moments = hessian[np.ix_(reversed_order, reversed_order)].astype(np.float32, copy=False)
    np.fill_diagonal(moments, importance[reversed_order])
    try:
        # Cholesky gives a lower triangle; of the reversed matrix, that is the upper one reversed.
        lower = np.linalg.cholesky(moments)
    except np.linalg.LinAlgError:
        return feedback(hessian, 10 * damping)
    lower /= np.diagonal(lower).copy()
    return Feedback(importance, order, np.ascontiguousarray(lower[::-1, ::-1]))


def gptq(weights: Floats, errors: Feedback, rounding: Rounding) -> Blocks:
    """Float rows as blocks, with the least error of the outputs rather than of the weights."""
    rows, columns = weights.shape
    grid = rounded(weights, rounding, errors.importance)
    # Transposed and in the order of rounding: what is a column of the matrix lies in one piece.
    target = np.ascontiguousarray(weights.T[errors.order])
    block = errors.order // rounding.block_size
    scale, minimum = np.ascontiguousarray(grid.scale.T), np.ascontiguousarray(grid.minimum.T)
    step = np.where(scale == 0, np.float32(1), scale)
    error = np.empty_like(target)
    q = np.empty((columns, rows), np.uint8)
    for start in range(0, columns, _STEP):
        stop = min(start + _STEP, columns)
        wanted = target[start:stop] + errors.factors[:start, start:stop].T @ error[:start]
        for column in range(start, stop):
            at = block[column]
            shifted = wanted[column - start] + errors.factors[start:column, column] @ error[start:column]
            integers = np.clip(np.rint((shifted - minimum[at]) / step[at]), 0, 2**rounding.bits - 1)
            error[column] = target[column] - (integers * scale[at] + minimum[at])
            q[errors.order[column]] = integers
    filled = grid.q.reshape(rows, -1)  # a last block that is not full stays filled as it is
    filled[:, :columns] = q.T
    return Blocks(rounding.bits, grid.scale, grid.minimum, filled.reshape(grid.q.shape))
