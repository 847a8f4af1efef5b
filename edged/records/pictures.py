"""What is found in a picture."""

from __future__ import annotations

from dataclasses import dataclass

Corners = tuple[tuple[float, float], ...]
"""Four points in a picture, clockwise: x from its left and y from its top, each from 0 to 1 of the upright picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextLine:
    """A line of text in a picture."""

    text: str
    confidence: float
    """0 to 1."""
    corners: Corners
    """The first is where the text begins, the second where it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureText:
    """All text in a picture, in reading order."""

    width: int
    """Of the upright picture, in pixels; so is height."""
    height: int
    lines: tuple[TextLine, ...]
    rows: tuple[tuple[str, ...], ...]
    """What stands beside each other, such as a dish and its price. All cells after each other are the lines."""
    text: str
    """A row a line, tabs between cells."""
    markdown: str
    """Rows of several cells as tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisualCode:
    """A QR code, a barcode or the like in a picture."""

    kind: str
    """"QR" or another, e.g. "EAN_13"."""
    text: str
    corners: Corners


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourShare:
    """How much of a picture has a colour."""

    name: str
    share: float
    """0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenObject:
    """A thing in a picture."""

    name: str
    """An English word, such as "person"."""
    confidence: float
    """0 to 1."""
    corners: Corners


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureDescription:
    """What can be said of a picture without a model that sees."""

    text: str
    """All of it in words, as a model is told; cut where there is much."""
    read: PictureText
    codes: tuple[VisualCode, ...]
    colours: tuple[ColourShare, ...]
    """The most common ones, most first."""
    objects: tuple[SeenObject, ...] | None = None
    """The surest first; None where nothing is installed that knows any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundText:
    """A place in a picture where words were found, or the thing that they name."""

    text: str
    """As it stands there, or the name of the thing."""
    confidence: float
    """Of its line or of the thing, 0 to 1."""
    corners: Corners
    is_object: bool = False
    """The thing itself, and not a word for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSearch:
    """What was found in a picture by its name."""

    found: tuple[FoundText, ...]
    """Words in reading order, then things, the surest first."""
    only_words: bool = False
    """Nothing is installed that knows things: none were looked for."""
