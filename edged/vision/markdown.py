"""Rows of text as plain text and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from statistics import median

from edged.vision.layout import HasPlace, line_height

_HEADING = 1.4
"""Times the usual height of a line."""
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")
_MARKER = re.compile(r"^(\s*\d{0,9})([-+=.)])(?=\s|$)")
"""What would begin a list or underline a heading."""

Rows = Sequence[Sequence[HasPlace]]


def as_text(rows: Rows) -> str:
    """A row a line, tabs between cells."""
    return "\n".join("\t".join(line.text for line in row) for row in rows)


def as_markdown(rows: Rows) -> str:
    """Rows of several cells after each other as a table, larger lines as headings; nothing else is markup."""
    if not rows:
        return ""
    usual = median(line_height(line.quad) for row in rows for line in row)
    blocks = []
    for is_table, some in groupby(rows, key=lambda row: len(row) > 1):
        group = list(some)
        blocks.append(_table(group) if is_table else _lines(group, usual))
    return "\n\n".join(blocks)


def _lines(rows: Rows, usual: float) -> str:
    return "\n\n".join(
        f"## {_plain(line.text)}" if line_height(line.quad) > _HEADING * usual else _paragraph(line.text)
        for (line,) in rows
    )


def _table(rows: Rows) -> str:
    widest = max(rows, key=len)
    count = len(widest)
    rule = "|" + " --- |" * count
    header, *rest = [f"| {' | '.join(cells)} |" for cells in (_cells(row, widest) for row in rows)]
    return "\n".join((header, rule, *rest))


def _cells(row: Sequence[HasPlace], widest: Sequence[HasPlace]) -> list[str]:
    """What stands below each cell of the widest row; a column that has nothing there stays empty."""
    cells = [""] * len(widest)
    free = 0
    for index, line in enumerate(row):
        last = len(widest) - (len(row) - index)
        column = min(range(free, last + 1), key=lambda each: _distance(line, widest[each]))
        cells[column] = _plain(line.text)
        free = column + 1
    return cells


def _distance(line: HasPlace, other: HasPlace) -> float:
    """Of where they stand along the row: their beginnings, middles or ends, whichever are nearest."""
    direction = other.quad[1] - other.quad[0]
    length = max(float((direction**2).sum() ** 0.5), 1e-6)
    apart = (line.quad - other.quad) @ (direction / length)
    return float(min(abs(apart[0]), abs(apart[1]), abs(apart.mean())))


def _paragraph(text: str) -> str:
    return _MARKER.sub(r"\1\\\2", _plain(text))


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
