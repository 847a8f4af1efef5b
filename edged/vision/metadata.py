"""What a picture's file says beyond the picture: where and when it was taken, with which camera, and by whom.

Of a file that is written as its standard says, the parts that pixels need are kept, and no pixel is touched: tables and
scans, colour profiles, how the camera was held, how a moving picture moves. Everything else goes, and so does whatever
stands behind the picture. A file that is written otherwise and can be decoded all the same is drawn anew from its
pixels, of a moving picture the first ones. What is hidden in the compressed pixels themselves is not looked for.
"""

from __future__ import annotations

import io
import struct

from edged.errors import InvalidInput
from edged.vision.gif_blocks import GIF, bare_gif
from edged.vision.jpeg_segments import JPEG, bare_jpeg
from edged.vision.pictures import DEEP_GREY, begin, opened, orientation, upright
from edged.vision.png_chunks import PNG, bare_png
from edged.vision.webp_chunks import bare_webp, is_webp

_QUALITY = 95
"""Of a JPEG that is drawn anew, 0 to 100."""


def without_metadata(data: bytes, *, field: str = "parts") -> bytes:
    """The same picture; the same bytes where there is nothing to take out, or nothing that any reader takes for one.

    Blocks while a file is drawn anew, behind those that are being decoded.

    Raises InvalidInput, naming the request's field, for a picture that cannot be decoded; MissingExtra.
    """
    try:
        if data.startswith(JPEG):
            return bare_jpeg(data)
        if data.startswith(PNG):
            return bare_png(data)
        if data.startswith(GIF):
            return bare_gif(data)
        if is_webp(data):
            return bare_webp(data)
    except (struct.error, LookupError, ValueError):
        return begin(_drawn_anew, data, field).result()
    return data


def _drawn_anew(data: bytes, field: str) -> bytes:
    """In the same format, upright."""
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
