"""An encoded picture to what a vision tower reads: the patches of GLM-4V's kind, or the pixels of autoglm_phone's.

The numbers are those of transformers' Glm4vImageProcessorPil, bit for bit: RGB, resized bicubically to multiples
of a merged patch within a limit of pixels, scaled, normalized. Patches are cut from that, four neighbours after each
other; pixels are all of it.
"""

from __future__ import annotations

import math
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edged.errors import InvalidInput
from edged.vision.pictures import DEEP_GREY, TURNED, begin, opened, orientation, shallow, upright

if TYPE_CHECKING:
    from PIL import Image

MAX_ASPECT_RATIO = 200
_BICUBIC = 3
"""PIL.Image.Resampling.BICUBIC, whose import waits until there is a picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFormat:
    """How a model wants its pictures."""

    patch_size: int
    """Pixels of a patch's side, or of the square that the strided convolutions of a tower make one state."""
    temporal_patch_size: int
    """Frames in a patch: a picture is repeated so often, and the pixels count so often in the limits."""
    merge_size: int
    """Side of the square of patches that becomes one token."""
    min_pixels: int
    max_pixels: int
    rescale_factor: float
    mean: tuple[float, ...]
    """Of red, green and blue, after the rescaling."""
    std: tuple[float, ...]

    @property
    def factor(self) -> int:
        """Pixels of a token's side."""
        return self.patch_size * self.merge_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """How many patches a picture has."""

    height: int
    width: int

    @property
    def patches(self) -> int:
        """All of them."""
        return self.height * self.width


Pixels = tuple[NDArray[np.float32], Grid]
"""All of a picture, normalized, and its grid.  # (3, height, width)"""
Patches = tuple[NDArray[np.float32], Grid]
"""The patches of a picture and their grid.  # (patches, 3 * temporal_patch_size * patch_size ** 2)

Patches stand in squares of merge_size, row by row; a patch is channels, frames, rows, columns.
"""


def read_grid(data: bytes, image_format: ImageFormat) -> Grid:
    """The patches a picture will have, without its pixels. Raises InvalidInput, MissingExtra."""
    with opened(data) as picture:
        turned = orientation(picture) in TURNED
        height, width = (picture.width, picture.height) if turned else (picture.height, picture.width)
    return _grid(height, width, image_format)


def read_patches(data: bytes, image_format: ImageFormat) -> Patches:
    """The picture in a file.

    Raises InvalidInput for what is no whole picture of a known format and a possible shape, MissingExtra.
    """
    pixels, grid = _resized(data, image_format)
    return patchify(pixels, image_format), grid


def read_pixels(data: bytes, image_format: ImageFormat) -> Pixels:
    """The same picture in one piece. Raises what `read_patches` raises."""
    pixels, grid = _resized(data, image_format)
    return normalize(pixels, image_format), grid


def begin_patches(data: bytes, image_format: ImageFormat) -> Future[Patches]:
    """The same once the files before it are read; who no longer wants it may cancel it until then."""
    return begin(read_patches, data, image_format)


def begin_pixels(data: bytes, image_format: ImageFormat) -> Future[Pixels]:
    """As `begin_patches`, and by the same thread."""
    return begin(read_pixels, data, image_format)


def _resized(data: bytes, image_format: ImageFormat) -> tuple[NDArray[np.uint8], Grid]:
    """Resized RGB pixels.  # (height, width, 3)"""
    with opened(data) as file:
        turned = orientation(file)  # of the header, as `read_grid` sees it
        picture = upright(_rgb(file), turned)
        grid = _grid(picture.height, picture.width, image_format)
        size = (grid.width * image_format.patch_size, grid.height * image_format.patch_size)
        return np.asarray(picture.resize(size, resample=_BICUBIC)), grid


def patchify(pixels: NDArray[np.uint8], image_format: ImageFormat) -> NDArray[np.float32]:
    """Resized RGB pixels (height, width, 3) to normalized patches, see `read_patches`."""
    patch, merge = image_format.patch_size, image_format.merge_size
    rows, columns = pixels.shape[0] // (patch * merge), pixels.shape[1] // (patch * merge)
    squares = (
        normalize(pixels, image_format)
        .reshape(3, rows, merge, patch, columns, merge, patch)
        .transpose(1, 4, 2, 5, 0, 3, 6)
    )
    frames = np.repeat(squares[:, :, :, :, :, None], image_format.temporal_patch_size, axis=5)
    return frames.reshape(rows * columns * merge * merge, -1)


def normalize(pixels: NDArray[np.uint8], image_format: ImageFormat) -> NDArray[np.float32]:
    """RGB pixels (height, width, 3) scaled, less the mean, by the deviation.  # (3, height, width)"""
    scaled = (np.arange(256, dtype=np.float64) * image_format.rescale_factor).astype(np.float32)
    mean, std = np.array(image_format.mean, np.float32), np.array(image_format.std, np.float32)
    values = (scaled[:, None] - mean) / std  # (256, 3): all there are
    return np.stack([values[pixels[..., channel], channel] for channel in range(3)])


def smart_resize(height: int, width: int, image_format: ImageFormat) -> tuple[int, int]:
    """The size in pixels that a picture is resized to: multiples of `factor` within the limits, nearly its shape.

    Raises InvalidInput for a strip. Source: smart_resize of transformers' image_processing_glm4v.py.
    """
    factor, frames = image_format.factor, image_format.temporal_patch_size
    if height < factor or width < factor:
        scale = max(factor / height, factor / width)
        height, width = int(height * scale), int(width * scale)
    if max(height, width) > MAX_ASPECT_RATIO * min(height, width):
        raise InvalidInput(
            f"the picture is more than {MAX_ASPECT_RATIO} times as long as it is wide; cut it", field="parts"
        )
    high, wide = round(height / factor) * factor, round(width / factor) * factor
    pixels = frames * height * width
    if frames * high * wide > image_format.max_pixels:
        shrink = math.sqrt(pixels / image_format.max_pixels)
        high = max(factor, math.floor(height / shrink / factor) * factor)
        wide = max(factor, math.floor(width / shrink / factor) * factor)
    elif frames * high * wide < image_format.min_pixels:
        stretch = math.sqrt(image_format.min_pixels / pixels)
        high = math.ceil(height * stretch / factor) * factor
        wide = math.ceil(width * stretch / factor) * factor
    return high, wide


def _grid(height: int, width: int, image_format: ImageFormat) -> Grid:
    high, wide = smart_resize(height, width, image_format)
    return Grid(height=high // image_format.patch_size, width=wide // image_format.patch_size)


def _rgb(picture: Image.Image) -> Image.Image:
    """The first frame's colours; what is transparent keeps the colour it hides, as in training."""
    if picture.mode.startswith(DEEP_GREY):
        return shallow(picture)
    return picture if picture.mode == "RGB" else picture.convert("RGB")
