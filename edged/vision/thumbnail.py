"""A picture made small, for whoever looks through a history."""

from __future__ import annotations

import io
from concurrent.futures import Future

from edged.vision.pictures import begin, read_picture

_QUALITY = 80
"""Of JPEG, 0 to 100."""


def begin_thumbnail(data: bytes, max_side: int) -> Future[bytes]:
    """`thumbnail` once the files before it are read; who no longer wants it may cancel it until then."""
    return begin(thumbnail, data, max_side)


def thumbnail(data: bytes, max_side: int) -> bytes:
    """A JPEG of the picture in a file, upright, its longer side of at most so many pixels, without metadata.

    Raises InvalidInput for what is no whole picture of a known format, MissingExtra.
    """
    picture = read_picture(data, max_side=max_side)
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture.pixels).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
