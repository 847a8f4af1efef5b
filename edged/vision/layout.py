"""Lines of text in reading order: rows joined, columns one after the other.

A photograph is hardly ever straight. How lines lean, and how that changes from top to bottom, is estimated from all of
them, the longer ones counting more; where each would stand without it says which of them share a row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from edged.vision.text_detection import Quad

_LEAST_LINES = 4
"""That tell how the slope changes."""
_STRAY_SLOPE = 0.3
"""A line that leans so much more than most says nothing of the others."""
_SAME_ROW = 0.5
"""Of the height of the lower of two lines: as far apart as their middles may be."""
_LEAST_ROWS = 3
"""Of a column."""
_LEAST_GUTTER = 1.0
"""Between columns, in heights of a line."""
_SPANNING = 0.2
"""Share of rows, such as titles, that may lie across a gutter."""
_PROSE_CHARACTERS = 20
_PROSE_FILLING = 0.6
"""Share of the width of a column that lines of running text take."""
_NUMBER = re.compile(
    r"[\W_]*(?:[A-Z]{0,3}[$€£¥￥]?\s?)\d[\d.,\s]*(?:[$€£¥￥元%]|RMB|CNY|USD|EUR)?[\W_]*", re.IGNORECASE
)


class HasPlace(Protocol):
    """A line of text."""

    @property
    def text(self) -> str:
        """What it says."""
        ...

    @property
    def quad(self) -> Quad:
        """Its corners in pixels, clockwise from where the text begins."""
        ...


Line = TypeVar("Line", bound=HasPlace)
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Placed(Generic[Line]):
    """A line where it would stand in a straight picture."""

    line: Line
    left: float
    right: float
    middle: float
    """Of its height, from the top."""
    height: float


_Row = list[_Placed[Line]]


def arranged(lines: Sequence[Line]) -> list[list[Line]]:
    """All of them, as rows from top to bottom, each from left to right."""
    if not lines:
        return []
    return [[placed.line for placed in row] for row in _ordered(_rows(_straightened(lines)))]


def line_height(quad: Quad) -> float:
    """In pixels."""
    return float(np.linalg.norm(quad[3] - quad[0]) + np.linalg.norm(quad[2] - quad[1])) / 2


def _straightened(lines: Sequence[Line]) -> list[_Placed[Line]]:
    quads = np.array([line.quad for line in lines], np.float64)  # (lines, 4, 2)
    along = quads[:, 1] - quads[:, 0] + quads[:, 2] - quads[:, 3]
    direction = along.sum(axis=0)
    cosine, sine = direction / max(float(np.hypot(*direction)), 1e-6)
    turned = quads @ np.array(((cosine, -sine), (sine, cosine)))
    centres = turned.mean(axis=1)
    centre = centres.mean(axis=0)
    lengths = np.hypot(along[:, 0], along[:, 1]) / 2
    leaning = turned[:, 1] - turned[:, 0] + turned[:, 2] - turned[:, 3]
    slopes = leaning[:, 1] / np.where(np.abs(leaning[:, 0]) < 1e-6, 1e-6, leaning[:, 0])
    x, y = centres[:, 0] - centre[0], centres[:, 1] - centre[1]
    heights = np.array([line_height(line.quad) for line in lines])
    middles = _middles(x, y, _leaning(slopes, y, lengths))
    begins, ends = _neighbours(x, middles, heights)
    if len(begins):
        # Where two words stand says more of how their row leans than the outline of either.
        wide = np.maximum(x[ends] - x[begins], 1e-6)
        slopes = np.concatenate((slopes, (y[ends] - y[begins]) / wide))
        beside = np.concatenate((y, (y[ends] + y[begins]) / 2))
        middles = _middles(x, y, _leaning(slopes, beside, np.concatenate((lengths, wide))))
    return [
        _Placed(
            line,
            left=float(corners[:, 0].min()),
            right=float(corners[:, 0].max()),
            middle=float(middle),
            height=line_height(quad),
        )
        for line, corners, quad, middle in zip(lines, turned, quads, middles, strict=True)
    ]


def _middles(x: Floats, y: Floats, leaning: tuple[float, float]) -> Floats:
    """Where lines would be in a straight picture. One of slope a + b*y0 that crosses the middle at y0 is at
    y0 + (a + b*y0) * x beside it."""
    slope, change = leaning
    return np.asarray((y - slope * x) / np.maximum(1 + change * x, 0.2))


def _neighbours(x: Floats, middles: Floats, heights: Floats) -> tuple[list[int], list[int]]:
    """Lines, and of each the next to its right that is on its row as far as can be told."""
    begins, ends = [], []
    for index in range(len(x)):
        near = np.abs(middles - middles[index]) < _SAME_ROW * np.minimum(heights, heights[index])
        right = np.flatnonzero(near & (x > x[index] + heights[index]))
        if len(right):
            begins.append(index)
            ends.append(int(right[np.argmin(x[right])]))
    return begins, ends


def _leaning(slopes: Floats, heights: Floats, lengths: Floats) -> tuple[float, float]:
    """Slope at the middle of the picture, and its change by the pixel downwards; 0 of what few lines cannot tell."""
    if len(slopes) < _LEAST_LINES:
        return float(np.average(slopes, weights=lengths**2)), 0.0
    root = np.where(np.abs(slopes - np.median(slopes)) < _STRAY_SLOPE, lengths, 0.0)
    columns = np.stack((np.ones_like(heights), heights), axis=1) * root[:, None]
    (slope, change), *_ = np.linalg.lstsq(columns, slopes * root, rcond=None)
    return float(slope), float(change)


def _rows(placed: Sequence[_Placed[Line]]) -> list[_Row[Line]]:
    rows: list[_Row[Line]] = []
    for one in sorted(placed, key=lambda each: each.middle):
        if rows and _share_a_row(rows[-1], one):
            rows[-1].append(one)
        else:
            rows.append([one])
    for row in rows:
        row.sort(key=lambda each: each.left)
    return rows


def _share_a_row(row: _Row[Line], one: _Placed[Line]) -> bool:
    middle = sum(each.middle for each in row) / len(row)
    height = min(one.height, min(each.height for each in row))
    apart = abs(one.middle - middle) < _SAME_ROW * height
    return apart and all(min(each.right, one.right) - max(each.left, one.left) < height for each in row)


def _ordered(rows: list[_Row[Line]]) -> list[_Row[Line]]:
    """Columns one after the other, where there are two."""
    gutter = _gutter(rows)
    if gutter is None:
        return rows
    ordered: list[_Row[Line]] = []
    left: list[_Row[Line]] = []
    right: list[_Row[Line]] = []
    for row in [*rows, []]:
        spans = not row or any(_lies_across(each, gutter) for each in row)
        if not spans:
            left.append([each for each in row if each.right <= gutter])
            right.append([each for each in row if each.right > gutter])
            continue
        ordered += [part for part in (*_ordered_within(left), *_ordered_within(right), row) if part]
        left, right = [], []
    return ordered


def _ordered_within(column: list[_Row[Line]]) -> list[_Row[Line]]:
    """Its lines make their own rows: next to another column two may have been taken for one."""
    placed = [each for row in column for each in row]
    return _ordered(_rows(placed))


def _gutter(rows: list[_Row[Line]]) -> float | None:
    """Where a picture is parted into columns to be read one after the other; None for a table or a single column."""
    placed = [each for row in rows for each in row]
    height = median(each.height for each in placed) if placed else 0.0
    edges = sorted({each.right for each in placed} | {each.left for each in placed})
    best, widest = None, _LEAST_GUTTER * height
    for left, right in pairwise(edges):
        if right - left <= widest / 4:
            continue
        middle = (left + right) / 2
        across = sum(any(_lies_across(each, middle) for each in row) for row in rows)
        if across > _SPANNING * len(rows):
            continue
        free = _free_width(placed, middle)
        if free > widest and _are_columns(placed, middle):
            best, widest = middle, free
    return best


def _free_width(placed: Sequence[_Placed[Line]], middle: float) -> float:
    """Of the gap there, as it is between lines that do not lie across."""
    left = max((each.right for each in placed if each.right <= middle), default=middle)
    right = min((each.left for each in placed if each.left >= middle), default=middle)
    return right - left


def _lies_across(placed: _Placed[Line], gutter: float) -> bool:
    return placed.left < gutter < placed.right


def _are_columns(placed: Sequence[_Placed[Line]], middle: float) -> bool:
    """Running text on both sides, or on both a list whose rows end in numbers; a name and its price are one row."""
    sides = (
        [each for each in placed if each.right <= middle],
        [each for each in placed if each.left >= middle],
    )
    return all(map(_is_prose, sides)) or all(map(_ends_in_numbers, sides))


def _is_prose(side: Sequence[_Placed[Line]]) -> bool:
    if len(side) < _LEAST_ROWS:
        return False
    width = max(each.right for each in side) - min(each.left for each in side)
    filling = median(each.right - each.left for each in side) / max(width, 1e-6)
    return filling >= _PROSE_FILLING and median(len(each.line.text) for each in side) >= _PROSE_CHARACTERS


def _ends_in_numbers(side: Sequence[_Placed[Line]]) -> bool:
    rows = [row for row in _rows(side) if len(row) > 1]
    priced = [row for row in rows if _NUMBER.fullmatch(row[-1].line.text) and not _NUMBER.fullmatch(row[0].line.text)]
    return len(priced) >= max(_LEAST_ROWS - 1, len(rows) / 2)
