"""A phone's screen for tests: what it says and where, as a picture and as a reader reads it."""

from __future__ import annotations

import io

from PIL import Image

from edged.errors import MissingExtra
from edged.records import PictureDescription, PictureText, TextLine

WIDTH, HEIGHT = 108, 240
Lines = dict[str, tuple[int, int]]
"""Text -> x and y of its middle, in thousandths."""


def png(width: int = WIDTH, height: int = HEIGHT) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(file, "PNG")
    return file.getvalue()


def screen_of(lines: Lines) -> PictureText:
    return PictureText(
        width=WIDTH,
        height=HEIGHT,
        lines=tuple(TextLine(text=text, confidence=1, corners=_box(*place)) for text, place in lines.items()),
        rows=tuple((text,) for text in lines),
        text="\n".join(lines),
        markdown="",
    )


def _box(x: int, y: int) -> tuple[tuple[float, float], ...]:
    left, right, top, bottom = (x - 50) / 1000, (x + 50) / 1000, (y - 10) / 1000, (y + 10) / 1000
    return (left, top), (right, top), (right, bottom), (left, bottom)


class ScriptedSight:
    """Reads every picture as a screen that says the same; None for a daemon that cannot read."""

    def __init__(self, lines: Lines | None) -> None:
        self.lines = lines
        self.looked = 0

    async def describe(self, data: bytes, *, field: str = "picture") -> PictureDescription:
        raise NotImplementedError("only what is written there matters")

    async def read_text(self, data: bytes, *, field: str = "picture") -> PictureText:
        self.looked += 1
        if self.lines is None:
            raise MissingExtra("nothing reads pictures here")
        return screen_of(self.lines)
