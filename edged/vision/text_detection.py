"""Where in a picture there is text: Differentiable Binarization (arXiv:1911.08947).

The network says for each pixel how likely it is inside a line of text, shrunk; what hangs together is a line, and its
rectangle is grown back to the size that the text has.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edged.vision.pictures import Pixels
from edged.vision.weights import load

Quad = NDArray[np.float32]
"""Corners of a line in pixels, clockwise from the left upper one.  # (4, 2), x and y"""

MAX_LINES = 1000
"""More of them is no page of text, but a pattern."""
_LONG_SIDE = 1280
"""Pixels that it looks at, at most: a page of small print can still be told apart."""
_SHORT_SIDE = 736
"""Smaller pictures are enlarged to that, as in training."""
_MULTIPLE = 32
_IS_TEXT = 0.3
_LEAST_SCORE = 0.5
_LEAST_PIXELS = 3
"""Of the short side of a shrunk line."""
_GROWTH = 1.6


class TextDetector:
    """Finds lines, whatever they say."""

    def __init__(self, path: Path, *, threads: int) -> None:
        """Raises ArtefactError."""
        self._session = load(path, threads=threads)

    def find(self, pixels: Pixels) -> list[Quad]:
        """The lines of a picture, in no order."""
        import cv2

        height, width = pixels.shape[:2]
        high, wide = _looked_at(height, width)
        resized = cv2.resize(pixels, (wide, high), interpolation=cv2.INTER_AREA if wide < width else cv2.INTER_LINEAR)
        (probabilities,) = self._session.run(None, {"x": normalized(np.asarray(resized, np.uint8))})
        scale = np.array((width / wide, height / high), np.float32)
        return [clockwise(corners * scale) for corners in _rectangles(probabilities[0, 0])]


def normalized(pixels: Pixels) -> NDArray[np.float32]:
    """As all three networks want it: blue before green before red, from -1 to 1.  # (1, 3, height, width)"""
    return np.ascontiguousarray(pixels[..., ::-1].transpose(2, 0, 1)[None], np.float32) / np.float32(127.5) - 1


def clockwise(corners: Quad) -> Quad:
    """The corners in order, of text that runs from left to right."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left, right = (pair[np.argsort(pair[:, 1], kind="stable")] for pair in (by_x[:2], by_x[2:]))
    return np.array((left[0], right[0], right[1], left[1]), np.float32)


def _looked_at(height: int, width: int) -> tuple[int, int]:
    """The size in pixels that the network sees."""
    scale = min(max(1.0, _SHORT_SIDE / min(height, width)), _LONG_SIDE / max(height, width))
    high, wide = (max(_MULTIPLE, round(side * scale / _MULTIPLE) * _MULTIPLE) for side in (height, width))
    return high, wide


def _rectangles(probabilities: NDArray[np.float32]) -> list[Quad]:
    import cv2

    mask = cv2.dilate((probabilities > _IS_TEXT).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for contour in contours[:MAX_LINES]:
        centre, (width, height), angle = cv2.minAreaRect(contour)
        if min(width, height) < _LEAST_PIXELS:
            continue
        if _score(probabilities, _corners(centre, width, height, angle)) < _LEAST_SCORE:
            continue
        growth = width * height * _GROWTH / (width + height)
        found.append(_corners(centre, width + growth, height + growth, angle))
    return found


def _corners(centre: Sequence[float], width: float, height: float, angle: float) -> Quad:
    """Of a rectangle turned by so many degrees."""
    import cv2

    return np.asarray(cv2.boxPoints((centre, (width, height), angle)), np.float32)


def _score(probabilities: NDArray[np.float32], corners: Quad) -> float:
    """Mean probability inside the rectangle."""
    import cv2

    limit = np.array(probabilities.shape[::-1]) - 1
    low = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, limit)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, limit)
    inside = np.zeros((high[1] - low[1] + 1, high[0] - low[0] + 1), np.uint8)
    cv2.fillPoly(inside, [(corners - low).astype(np.int32)], 1)
    return float(cv2.mean(probabilities[low[1] : high[1] + 1, low[0] : high[0] + 1], inside)[0])
