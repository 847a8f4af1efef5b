"""Medians of noisy pairs, and how sure they are."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence


def ratio_with_interval(
    ours: Sequence[float], theirs: Sequence[float], *, resamples: int = 5000, share: float = 0.95
) -> tuple[float, float, float]:
    """Median of the paired ratios ours/theirs and its bootstrap interval (percentile method, fixed seed)."""
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    chance = random.Random(0)
    medians = sorted(statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(resamples))
    tail = (1 - share) / 2
    return statistics.median(ratios), medians[int(tail * resamples)], medians[int((1 - tail) * resamples) - 1]
