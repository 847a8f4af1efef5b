"""The eyes of autoglm_phone, which read whole pictures: sizes, names, shapes, and what they compute.

Three strided convolutions and some that are added to what they read, positions resampled to the picture, blocks of
attention, and squares of neighbours projected to the text model's width. `engines.autoglm_phone.vision` is the same in
PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edged.errors import CheckpointError
from edged.vision.preprocess import ImageFormat
from engines.autoglm_phone.config import VisionConfig, read_section
from engines.encoder.reference import Weights, convolved, encoded, gelu, projected, stored_weights, weights_of
from engines.encoder.sizes import check_encoder, check_tensors, expected_encoder
from engines.reference.arrays import Array, Arrays, numpy_arrays
from engines.tensor import Tensor

_MOST_PATCH, _MOST_CHANNELS, _MOST_SIDE, _MOST_RESIDUALS, _MOST_PIXELS = 64, 2**14, 1024, 64, 2**27
STRIDED = 3
"""Convolutions that make the picture smaller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelTower:
    """Sizes, and the tensors behind them."""

    config: VisionConfig
    width: int
    """Of the text model."""
    tensors: Mapping[str, Tensor]
    """By the checkpoint's names without `model.visual.`; exactly those of `expected_shapes`."""

    @property
    def strides(self) -> tuple[tuple[int, int], ...]:
        """Stride and padding of each convolution; those from STRIDED on are added to what they read."""
        return (self.config.patch_size, 0), (2, 1), (2, 1), *((1, 1),) * self.config.stem_residuals

    @property
    def image_format(self) -> ImageFormat:
        """How it wants its pictures."""
        config = self.config
        return ImageFormat(
            patch_size=config.stride,
            temporal_patch_size=1,
            merge_size=config.merge_size,
            min_pixels=config.min_pixels,
            max_pixels=config.max_pixels,
            rescale_factor=1 / 255,
            mean=config.image_mean,
            std=config.image_std,
        )

    def weights(self, arrays: Arrays | None = None) -> Weights:
        """The checkpoint's own, for `embeddings`."""
        return stored_weights(self.tensors, arrays or numpy_arrays())


def read_pixel_tower(config: Mapping[str, object], tensors: Mapping[str, Tensor], width: int) -> PixelTower:
    """From config.json and the vision tensors, for a text model of that width. Raises CheckpointError."""
    found = read_section(VisionConfig, config, "vision_config")
    check_encoder(found, "vision_config")
    sizes = (found.patch_size, max(found.stem_channels), found.position_side, found.stem_residuals)
    limits = (_MOST_PATCH, _MOST_CHANNELS, _MOST_SIDE, _MOST_RESIDUALS)
    if any(size > most for size, most in zip(sizes, limits, strict=True)):
        raise CheckpointError(
            f"config.json: vision_config: patches of {sizes[0]}, stems of {sizes[1]}, {sizes[2]} positions a side "
            f"and {sizes[3]} residuals are not possible"
        )
    if not found.min_pixels <= found.max_pixels <= _MOST_PIXELS or min(found.image_std) <= 0:
        raise CheckpointError(
            f"config.json: vision_config: pictures of {found.min_pixels} to {found.max_pixels} pixels with the "
            f"deviations {list(found.image_std)} are not possible"
        )
    tower = PixelTower(config=found, width=width, tensors=tensors)
    check_tensors(expected_shapes(found, width), tensors, "visual")
    return tower


def expected_shapes(config: VisionConfig, width: int) -> dict[str, tuple[int, ...]]:
    """Every tensor of the tower."""
    (first, second), hidden, patch = config.stem_channels, config.hidden_size, config.patch_size
    shapes: dict[str, tuple[int, ...]] = {
        "stem.0.weight": (first, 3, patch, patch),
        "stem.1.weight": (second, first, 3, 3),
        "stem.2.weight": (hidden, second, 3, 3),
        "position_embedding.weight": (config.position_side**2, hidden),
    }
    residuals = config.stem_residuals
    shapes |= {f"stem.{STRIDED + index}.weight": (hidden, hidden, 3, 3) for index in range(residuals)}
    shapes |= {f"stem.{index}.bias": (size,) for index, size in enumerate((first, second, *[hidden] * (1 + residuals)))}
    return shapes | expected_encoder(config, config.merge_size**2, width)


def embeddings(tower: PixelTower, inputs: Mapping[str, Array], weights: Weights, arrays: Arrays | None = None) -> Array:
    """What the text model is given for one picture; inputs as of the graph.  # (tokens, width)"""
    arrays = arrays or numpy_arrays()
    xp, config = arrays.xp, tower.config
    x = inputs["pixels"][0, ...]
    for index, (stride, padding) in enumerate(tower.strides):
        kernel = weights_of(weights, f"stem.{index}.")
        read = gelu(x, xp) if index else x
        found = convolved(read, kernel, stride=(stride, stride), padding=(padding, padding), xp=xp)
        x = x + found if index >= STRIDED else found
    hidden, rows, columns = x.shape
    x = xp.reshape(x, (hidden, -1)).T + _positions(config, inputs, weights, xp)
    x = encoded(config, x, weights, arrays)
    merge = config.merge_size
    squares = xp.reshape(x, (rows // merge, merge, columns // merge, merge, hidden))
    squares = xp.reshape(xp.permute_dims(squares, (0, 2, 1, 3, 4)), (-1, merge**2 * hidden))
    return projected(squares, weights, xp)


def _positions(config: VisionConfig, inputs: Mapping[str, Array], weights: Weights, xp: Any) -> Array:
    """The table resampled along rows, then along columns.  # (states, hidden)"""
    side, hidden = config.position_side, config.hidden_size
    table = xp.reshape(weights("position_embedding.weight"), (side, side * hidden))
    tall = xp.reshape(inputs["row_weights"] @ table, (-1, side, hidden))
    return xp.reshape(xp.matmul(inputs["column_weights"][None, ...], tall), (-1, hidden))
