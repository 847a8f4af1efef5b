"""Places in a picture, for whoever has it in another size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edged.records import Corners


def normalized_corners(corners: NDArray[np.floating], width: int, height: int) -> Corners:
    """Pixels of a picture of that size as shares of it, 0 to 1."""
    shares = np.clip(np.asarray(corners, np.float64) / (width, height), 0.0, 1.0).round(5)
    return tuple((float(x), float(y)) for x, y in shares)
