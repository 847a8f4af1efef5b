"""A picture in words, for a model that reads text alone: what was seen, how surely, and what was not looked for."""

from __future__ import annotations

from collections.abc import Sequence

from edged.records import ColourShare, Corners, PictureText, SeenObject, TextLine, VisualCode

MAX_BYTES = 3000
"""In UTF-8: about a thousand tokens of English, up to two and a half thousand of Chinese for the default model."""
_UNSURE = 0.75
"""A line read with less is marked."""
_MARK = "(?)"
_TOLD = 12
"""Objects."""
_NEARLY_ALL = 0.6
"""Share of the picture."""
_THIRDS_ACROSS = ("left", "", "right")
_THIRDS_DOWN = ("top", "", "bottom")


def described(
    read: PictureText,
    codes: Sequence[VisualCode],
    colours: Sequence[ColourShare],
    objects: Sequence[SeenObject] | None,
) -> str:
    """All of it, at most `MAX_BYTES` long. objects: None where nobody looked for any."""
    before = [f"A picture, {read.width} x {read.height} pixels{_coloured(colours)}, as a text reader saw it."]
    after = [f'It shows a {_kind(code)} that says "{_one_line(code.text)}".' for code in codes]
    after.append(_objects(objects))
    if not read.lines:
        before.append("No text was found in it.")
        return _cut("\n".join((*before, *after)))
    unsure = any(line.confidence < _UNSURE for line in read.lines)
    before.append(f"The text in it, row by row{f', {_MARK} after what is hard to read' if unsure else ''}:")
    room = MAX_BYTES - _size("\n".join((*before, *after))) - 60
    return _cut("\n".join((*before, *_fitting(_marked_rows(read), room), "End of the text.", *after)))


def _objects(objects: Sequence[SeenObject] | None) -> str:
    if objects is None:
        return "Objects and people in it were not looked for."
    if not objects:
        return "No object that is known was found in it."
    told = ", ".join(f"{each.name} ({_place(each.corners)}, {each.confidence:.0%} sure)" for each in objects[:_TOLD])
    return f"Objects found in it: {told}. Others may be in it."


def _place(corners: Corners) -> str:
    """Where it is, or that it is nearly everywhere."""
    (left, top), _, (right, bottom), _ = corners
    if (right - left) * (bottom - top) > _NEARLY_ALL:
        return "large"
    across = _THIRDS_ACROSS[min(int((left + right) * 1.5), 2)]
    down = _THIRDS_DOWN[min(int((top + bottom) * 1.5), 2)]
    return " ".join(filter(None, (down, across))) or "middle"


def _marked_rows(read: PictureText) -> list[str]:
    """Each row on a line, bars between its cells."""
    lines = iter(read.lines)
    return [" | ".join(_marked(next(lines)) for _ in row) for row in read.rows]


def _marked(line: TextLine) -> str:
    return f"{_one_line(line.text)} {_MARK}" if line.confidence < _UNSURE else _one_line(line.text)


def _fitting(rows: Sequence[str], room: int) -> list[str]:
    """As many as there is room for, and how many there are besides."""
    kept: list[str] = []
    for row in rows:
        room -= _size(row) + 1
        if room < 0:
            return [*kept, f"(and {len(rows) - len(kept)} more rows)"]
        kept.append(row)
    return kept


def _coloured(colours: Sequence[ColourShare]) -> str:
    return f", mostly {' and '.join(colour.name for colour in colours[:2])}" if colours else ""


def _kind(code: VisualCode) -> str:
    return "QR code" if code.kind == "QR" else f"barcode ({code.kind})"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _size(text: str) -> int:
    return len(text.encode(errors="replace"))


def _cut(text: str) -> str:
    if _size(text) <= MAX_BYTES:
        return text
    return text.encode(errors="replace")[: MAX_BYTES - len("…".encode())].decode(errors="ignore") + "…"
