"""What a vision tower reads besides the picture: where its parts stand, and how position embeddings are resampled.

All that is computed on the host for vision.onnx and for plans made of it; `edged.vision.preprocess` reads the picture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edged.vision.preprocess import Grid

_CUBIC = -0.75
"""The free coefficient of cubic convolution, as PyTorch has it (Keys 1981, doi:10.1109/TASSP.1981.1163711)."""


def tower_inputs(
    patches: NDArray[np.float32], grid: Grid, *, merge_size: int, position_side: int
) -> dict[str, NDArray[np.float32]]:
    """All inputs of the tower's graph by name, for the patches of one picture."""
    places = patch_places(grid, merge_size)
    return {
        "patches": patches,
        "places": places.astype(np.float32),
        "row_weights": cubic_weights(places[:, 0], grid.height, position_side),
        "column_weights": cubic_weights(places[:, 1], grid.width, position_side),
    }


def pixel_inputs(pixels: NDArray[np.float32], grid: Grid, *, position_side: int) -> dict[str, NDArray[np.float32]]:
    """The same of a tower that reads whole pictures; positions are resampled along rows and columns apart."""
    return {
        "pixels": pixels[None],
        "row_weights": cubic_weights(np.arange(grid.height), grid.height, position_side),
        "column_weights": cubic_weights(np.arange(grid.width), grid.width, position_side),
    }


def patch_places(grid: Grid, merge_size: int) -> NDArray[np.int64]:
    """Row and column of each patch, squares of merge_size after each other.  # (patches, 2)"""
    rows, columns = grid.height // merge_size, grid.width // merge_size
    squares = np.indices((grid.height, grid.width)).reshape(2, rows, merge_size, columns, merge_size)
    return np.ascontiguousarray(squares.transpose(1, 3, 2, 4, 0).reshape(-1, 2))


def cubic_weights(places: NDArray[np.int64], length: int, side: int) -> NDArray[np.float32]:
    """How much each of `side` embeddings counts at places 0..length-1 of an axis.  # (places, side)

    Bicubic grid_sample with align_corners=False and border padding at (place + 0.5) / length * 2 - 1: four
    neighbours by cubic convolution, those beyond the edge being the edge. An axis at a time is the whole of it.
    """
    centre = (places + 0.5) / length * side - 0.5
    first = np.floor(centre).astype(np.int64)
    weights = np.zeros((len(places), side), np.float32)
    for offset in (-1, 0, 1, 2):
        neighbour = np.clip(first + offset, 0, side - 1)
        share = _cubic(np.abs(centre - (first + offset)))
        np.add.at(weights, (np.arange(len(places)), neighbour), share.astype(np.float32))
    return weights


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    a = _CUBIC
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, far)
