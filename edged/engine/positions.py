"""Where tokens stand for the rotary embedding of a model that sees: in time, height and width.

Text advances all three by one. A picture stays where it begins in time and spreads its tokens over height and width
from there; the text after it goes on behind the largest position used. Source: get_rope_index of transformers'
modeling_glm4v.py (M-RoPE, arXiv:2409.12191).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """The tokens of a prompt that are one picture, row by row."""

    start: int
    """Index of the first in the prompt."""
    rows: int
    columns: int

    @property
    def stop(self) -> int:
        """Index after the last."""
        return self.start + self.rows * self.columns

    @property
    def shift(self) -> int:
        """What it takes more (fewer: negative) positions than tokens."""
        return max(self.rows, self.columns) - self.rows * self.columns


def rope_positions(tokens: int, areas: Sequence[Area]) -> NDArray[np.int64]:
    """Positions of a prompt's tokens, of which some are pictures; areas in their order.  # (3, tokens)"""
    positions = np.tile(np.arange(tokens), (3, 1))
    for area in areas:
        first = positions[0, area.start]
        positions[0, area.start : area.stop] = first
        grid = np.indices((area.rows, area.columns)).reshape(2, -1)
        positions[1:, area.start : area.stop] = first + grid
        positions[:, area.stop :] += area.shift
    return positions


def rope_shift(areas: Sequence[Area]) -> int:
    """What the tokens after the prompt stand further (earlier: negative) than their number says."""
    return sum(area.shift for area in areas)
