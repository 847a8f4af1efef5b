"""A screen in words, for a model that sees no pictures: what it says, and where to tap for it."""

from __future__ import annotations

from edged.records import Corners, PictureText, ScreenPlace

MAX_SAID_BYTES = 3000
"""In UTF-8: about a thousand tokens of English."""


def in_words(read: PictureText) -> str:
    """Each line of the screen with the place of its middle, at most about `MAX_SAID_BYTES` long."""
    said = ["The screen, as a text reader saw it; each line with its [x,y]:"]
    room = MAX_SAID_BYTES
    for number, line in enumerate(read.lines):
        place = middle(line.corners)
        said.append(f"[{place.x},{place.y}] {' '.join(line.text.split())}")
        room -= len(said[-1].encode()) + 1
        if room < 0:
            return "\n".join((*said[:-1], f"(and {len(read.lines) - number} more lines)"))
    return "\n".join(said) if read.lines else "A text reader found no text on the screen."


def middle(corners: Corners) -> ScreenPlace:
    """Where to tap for what has these corners."""
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return ScreenPlace(x=_thousandth(min(xs), max(xs)), y=_thousandth(min(ys), max(ys)))


def _thousandth(low: float, high: float) -> int:
    return max(0, min(999, int((low + high) * 500)))
