"""A picture with what was found in it drawn around."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from edged.errors import InvalidInput, MissingExtra
from edged.records import Corners

_COLOUR = (220, 30, 120)
_THICKNESS = 400
"""A line is a 400th of the longer side."""


def annotated(data: bytes, places: Iterable[Corners]) -> bytes:
    """The picture upright as PNG, a line around each place. Raises InvalidInput, MissingExtra."""
    try:
        from PIL import Image, ImageDraw

        from edged.vision.pictures import read_picture
    except ImportError as exc:
        raise MissingExtra(
            "--annotate needs an extra: `make setup EXTRAS=media` or pip install 'edged[media]'"
        ) from exc
    image = Image.fromarray(read_picture(data, field="picture").pixels)
    draw = ImageDraw.Draw(image)
    width = max(2, max(image.size) // _THICKNESS)
    for corners in places:
        points = [(x * image.width, y * image.height) for x, y in corners]
        draw.line([*points, points[0]], fill=_COLOUR, width=width, joint="curve")
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def require_new_png(path: Path) -> None:
    """Raises InvalidInput for what `write_annotated` would not write, before there is anything to write."""
    if path.suffix.lower() != ".png":
        raise InvalidInput(f"{path}: the new picture is a PNG: let its name end in .png")
    if path.exists():
        raise _exists(path)


def write_annotated(path: Path, data: bytes, places: Iterable[Corners]) -> None:
    """Put it in a new file. Raises InvalidInput where there is one or none can be written."""
    drawn = annotated(data, places)
    try:
        with path.open("xb") as file:
            file.write(drawn)
    except FileExistsError as exc:
        raise _exists(path) from exc
    except OSError as exc:
        raise InvalidInput(f"{path}: {exc.strerror}") from exc


def _exists(path: Path) -> InvalidInput:
    return InvalidInput(f"{path} exists already: choose another name or remove it")
