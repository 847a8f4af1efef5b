"""Pictures drawn anew from their pixels: of files that nobody but a lenient decoder can follow."""

from __future__ import annotations

import io

from edged.errors import InvalidInput
from edged.vision.pictures import DEEP_GREY, begin, opened, orientation, upright

_QUALITY = 95
"""Of a JPEG that is drawn anew, 0 to 100."""


def drawn_anew(data: bytes, field: str) -> bytes:
    """In the same format, upright, the first frame; the same bytes where no reader takes them for a picture.

    Raises InvalidInput, naming the request's field, for a picture that cannot be decoded; MissingExtra.
    """
    return begin(_drawn_anew, data, field).result()


def _drawn_anew(data: bytes, field: str) -> bytes:
    try:
        with opened(data, field=field):
            pass
    except InvalidInput:
        return data  # as whoever looks at it will find, before anything is stored
    with opened(data, field=field) as file:
        turned = orientation(file)
        if file.has_transparency_data:
            mode = "RGBA"
        else:
            mode = {DEEP_GREY: DEEP_GREY, "1": "L", "L": "L"}.get(file.mode, "RGB")
        picture = upright(file.convert(mode), turned)
        picture.info = {}
        drawn, kind = io.BytesIO(), "JPEG" if file.format == "MPO" else file.format
        picture.save(drawn, kind, quality=_QUALITY, lossless=True)
    return drawn.getvalue()
