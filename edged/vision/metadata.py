"""What a picture's file says beyond the picture: where and when it was taken, with which camera, and by whom.

Of a file that is written as its standard says, the parts that pixels need are kept, and no pixel is touched: tables and
scans, colour profiles, how the camera was held, how a moving picture moves. Everything else goes, and so does whatever
stands behind the picture. A file that is written otherwise and can be decoded all the same is drawn anew from its
pixels, of a moving picture the first ones. What is hidden in the compressed pixels themselves is not looked for.
"""

from __future__ import annotations

import struct

from edged.vision.gif_blocks import GIF, bare_gif
from edged.vision.jpeg_segments import JPEG, bare_jpeg
from edged.vision.png_chunks import PNG, bare_png
from edged.vision.webp_chunks import bare_webp, is_webp


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
        from edged.vision.redraw import drawn_anew

        return drawn_anew(data, field)
    return data
