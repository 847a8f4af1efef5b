"""How a mixture of experts spreads its work: which experts the router chose, counted layer by layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WAITING = 64
"""Decoded tokens that are counted together: numpy takes as long for one as for many."""


class ExpertLoad:
    """Counts of some layers. The device thread adds; any thread may read the counts, which lag a few tokens."""

    def __init__(self, layers: int, experts: int, chosen: int) -> None:
        """chosen: experts per token, those of the highest scores."""
        self.counts: NDArray[np.int64] = np.zeros((layers, experts), np.int64)
        """Times that each expert was chosen."""
        self._chosen = chosen
        self._waiting = np.empty((layers, _WAITING, experts), np.float32)
        self._filled = 0

    def add(self, scores: NDArray[np.float32]) -> None:
        """Count what the router says of some tokens.  # (layers, tokens, experts)"""
        if scores.shape[1] > 1:
            self._count(scores)
            return
        self._waiting[:, self._filled] = scores[:, 0]
        self._filled += 1
        if self._filled == _WAITING:
            self._filled = 0
            self._count(self._waiting)

    def _count(self, scores: NDArray[np.float32]) -> None:
        border = np.partition(scores, -self._chosen, axis=-1)[..., -self._chosen, None]
        self.counts = self.counts + (scores >= border).sum(axis=1)
