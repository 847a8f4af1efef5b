"""The order of rows in q and k: rotary embeddings turn neighbouring values in some files, halves of a head here."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from engines.architecture import Architecture
from engines.tensor import Tensor


def half_split(tensors: Mapping[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """Tensors for turning the pairs (i, i + half), from those for turning (0, 1), (2, 3) ... of every head.

    The same reordering of q and k leaves their products, which are all that attention sees, as they were.
    """
    pairs = len(architecture.ropes[0].frequencies)
    orders = {
        part: _pairs_to_halves(heads, architecture.head_dim, pairs)
        for part, heads in (("q", architecture.heads), ("k", architecture.kv_heads))
    }
    reordered = dict(tensors)
    for name, tensor in tensors.items():
        part = name.split(".")[-2]
        if name.startswith("layers.") and part in orders:
            reordered[name] = tensor.reordered(orders[part])
    return reordered


def _pairs_to_halves(heads: int, head_dim: int, pairs: int) -> NDArray[np.int64]:
    """Row i of the half-split order is row result[i] of the file: 0, 2, 4 ... 1, 3, 5 ... in every head.

    Values beyond the pairs do not turn and stay where they are.
    """
    rows = np.arange(heads * head_dim).reshape(heads, head_dim)
    turning = rows[:, : 2 * pairs].reshape(heads, pairs, 2).swapaxes(1, 2).reshape(heads, -1)
    return np.concatenate([turning, rows[:, 2 * pairs :]], axis=1).reshape(-1)
