"""A file that claims to be a picture: opened with care, judged by its header, decoded upright.

Files come from anywhere: the first bytes say what they are, never a name or a declared type. Their size is judged by
the header before a pixel is decoded, and they are decoded one after another, in the order they came, by a thread of
their own: the largest take more than a gigabyte.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from edged.errors import EdgedError, InvalidInput, MissingExtra
from edged.vision.exif import EXIF_PREFIX, UPRIGHT, orientation_in
from edged.vision.heap import give_back_memory

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
MAX_PICTURE_PIXELS = 64 * 1024 * 1024
"""As the file has them; decoding takes ten bytes each, of a WebP sixteen. Telephones make 50 million."""
MAX_SIDE = 4096
"""Pixels of the longer side of what is looked at."""
DEEP_GREY = "I;16"
"""What the mode of a picture begins with that is grey in 16 bits."""
TURNED = (5, 6, 7, 8)
"""Orientations that exchange height and width."""
_DECODER = ThreadPoolExecutor(1, thread_name_prefix="edged-picture")
_MAX_JPEG_SCANS = 200
"""A progressive JPEG has about ten. Each is a pass over all pixels, however few bytes it takes."""
_START_OF_SCAN = b"\xff\xda"
_TRANSPOSITIONS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""Orientation -> PIL.Image.Transpose that undoes it."""
_LIGHT = 128
"""Mean luminance from which on what is drawn on nothing was drawn for a dark ground."""
Pixels = NDArray[np.uint8]
"""RGB.  # (height, width, 3)"""
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

# Pillow would log at DEBUG what EXIF says, places and owners too, and warn of a hostile file in thousands of lines.
logging.getLogger("PIL").setLevel(logging.INFO)
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A decoded picture, upright."""

    pixels: Pixels
    width: int
    """Of the file, upright; `pixels` may have fewer. So has height."""
    height: int


def begin_picture(data: bytes, *, field: str = "parts") -> Future[Picture]:
    """`read_picture` once the files before it are read; who no longer wants it may cancel it until then."""
    return begin(read_picture, data, field=field)


def begin(
    decode: Callable[Parameters, Result], *arguments: Parameters.args, **options: Parameters.kwargs
) -> Future[Result]:
    """The same of any other way to decode a file."""
    decoding = _DECODER.submit(decode, *arguments, **options)
    _DECODER.submit(give_back_memory)
    return decoding


def read_picture(data: bytes, *, field: str = "parts", max_side: int = MAX_SIDE) -> Picture:
    """The picture in a file as somebody would see it: upright, its first frame, on a ground where it has none.

    max_side: pixels of the longer side of what is returned; a larger picture is made smaller.

    Raises InvalidInput, naming the request's field, for what is no whole picture of a known format; MissingExtra.
    """
    with opened(data, field=field) as picture:
        turned = orientation(picture)
        width, height = reversed(picture.size) if turned in TURNED else picture.size
        if picture.format in ("JPEG", "MPO"):
            picture.draft("RGB", (max_side, max_side))  # decodes to the nearest size above by the transform itself
        seen = _on_ground(picture)
        seen.thumbnail((max_side, max_side), reducing_gap=2.0)
        return Picture(pixels=np.asarray(upright(seen, turned)), width=width, height=height)


@contextmanager
def opened(data: bytes, *, field: str = "parts") -> Iterator[Image.Image]:
    """The picture, its size checked, its pixels not decoded; whatever goes wrong within becomes InvalidInput."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as exc:
        raise MissingExtra("pictures need an extra: `make setup EXTRAS=media` or pip install 'edged[media]'") from exc
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PICTURE_PIXELS:
                raise _too_large(field)
            if picture.format in ("JPEG", "MPO") and data.count(_START_OF_SCAN) > _MAX_JPEG_SCANS:
                raise InvalidInput("the picture takes too much work to decode; save it again", field=field)
            yield picture
    except (EdgedError, MemoryError):
        raise
    except UnidentifiedImageError as exc:
        message = "the picture is not a JPEG, PNG, WebP or GIF file; save it as JPEG"
        raise InvalidInput(message, field=field) from exc
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
        raise _too_large(field) from exc
    except Exception as exc:  # decoders of foreign bytes raise anything
        raise InvalidInput(f"the picture is damaged: {_one_line(exc)}", field=field) from exc


def orientation(picture: Image.Image) -> int:
    """EXIF's word in the header of how the camera was held, as it is stored with the picture."""
    # picture.getexif() would decode a PNG to look behind it.
    return orientation_in(picture.info.get("exif", b"").removeprefix(EXIF_PREFIX))


def upright(picture: Image.Image, turned: int) -> Image.Image:
    """The picture as the camera was held."""
    from PIL import Image

    return picture.transpose(Image.Transpose(_TRANSPOSITIONS[turned])) if turned != UPRIGHT else picture


def shallow(picture: Image.Image) -> Image.Image:
    """RGB of grey in 16 bits: the upper eight, where Pillow would clip all above 255 to white."""
    from PIL import Image

    return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")


def _on_ground(picture: Image.Image) -> Image.Image:
    """RGB, with a ground of the other brightness behind what is transparent: what is drawn there can be read."""
    from PIL import Image, ImageStat

    if picture.mode.startswith(DEEP_GREY):
        return shallow(picture)
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    drawn = picture.convert("RGBA")
    alpha = drawn.getchannel("A")
    light = ImageStat.Stat(drawn.convert("L"), mask=alpha.point(lambda value: 255 * (value >= _LIGHT))).mean
    ground = Image.new("RGB", drawn.size, "black" if light and light[0] >= _LIGHT else "white")
    ground.paste(drawn, mask=alpha)
    return ground


def _too_large(field: str) -> InvalidInput:
    return InvalidInput(
        f"the picture has more than {MAX_PICTURE_PIXELS / 1e6:.0f} million pixels; send a smaller one", field=field
    )


def _one_line(exc: Exception) -> str:
    return " ".join(str(exc).split())[:100] or type(exc).__name__
