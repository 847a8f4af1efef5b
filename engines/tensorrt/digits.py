"""Numbers as signed digits of 4 bits, which is all that TensorRT multiplies with as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PLACES = (1 / 16, 1 / 256)
"""What the second and the third digit are worth of the first."""
LARGEST = 7 * (256 + 16 + 1)
"""The largest number of three digits."""


def digits_of(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Numbers of at most LARGEST rounded to digits, the highest first, as INT4.  # (rows, digits * columns)"""
    whole = np.rint(values).astype(np.int16)
    found: list[NDArray[np.int16]] = []
    for _ in range(1 + len(PLACES)):
        digit = (whole + 8) % 16 - 8
        found.insert(0, digit)
        whole = (whole - digit) // 16
    return (np.concatenate(found, axis=1) & 15).astype(np.uint8)


def plane_of(values: NDArray[np.uint8], unit: int) -> NDArray[np.uint8]:
    """The 4 bits of each integer that are worth `unit`, signed by taking 8 off."""
    return np.asarray(values // np.uint8(unit) & 15 ^ 8, np.uint8)
