"""The log of a training as a picture."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

_PANELS = (
    ("Loss of answers", " loss"),
    ("Answers' tokens right", " tokens right"),
    ("Marks that the towers name", "marks right"),
    ("Exact answers in development", " exact"),
)
"""Title, and how the names of its figures end; the first panel that fits takes a figure."""


def draw_curves(log: Path, picture: Path) -> None:
    """Phases follow each other along the steps. Raises ModuleNotFoundError without matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 8), layout="constrained")
    axes = figure.subplots(2, 2).ravel()
    for (title, ending), axis in zip(_PANELS, axes, strict=True):
        for name, points in sorted(_series(log).items()):
            if next(end for _, end in (*_PANELS, ("", name)) if name.endswith(end)) == ending:
                axis.plot(*zip(*points, strict=True), label=name.removesuffix(ending) or name, linewidth=1.2)
        axis.set_title(title)
        axis.set_xlabel("steps, float and then 4 bits")
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize=7)
    figure.savefig(picture, dpi=100)


def _series(log: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of each figure; the steps of a phase count on from those of the one before."""
    found: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    before, last, phase = 0, 0, ""
    for line in log.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["run"] != phase:
            before, phase = before + last, row["run"]
        last = row["step"]
        for name, value in row.items():
            if isinstance(value, float | int) and name not in ("step", "seconds"):
                found[name].append((before + last, value))
    return found
