"""The vision part of an artefact: its graphs, what the manifest says of it, and what its weights lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edged.engine.readers import PictureReader, image_format
from edged.engine.senses import PATCHES, PIXELS, Vision
from edged.vision.preprocess import Grid, ImageFormat, normalize, patchify
from engines.checkpoint import Checkpoint
from engines.checkpoint.media_token import media_token
from engines.checkpoint.text_file import read_json
from engines.encoder.measure import agreement, measured
from engines.encoder.products import Bits, precision_of
from engines.graph.model_file import Activations
from engines.tensor import Floats

from . import pixel_tower, reference
from .graph import FUSED_FILE, STANDARD_FILE, write_tower
from .pixel_graph import write_pixel_tower
from .processor import read_image_format
from .tower import read_tower


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionFormat:
    """What a recipe says about the vision part."""

    bits: Bits
    max_pixels: int
    """Largest picture the model shall read, see `Vision`; 0 leaves it to the checkpoint."""


def write_vision(
    checkpoint: Checkpoint, format_: VisionFormat, activations: Activations, folder: Path
) -> Vision | None:
    """Write the graphs, measure, and describe them; None for a checkpoint without a tower of a kind known here.

    Raises CheckpointError, QualityGateFailed.
    """
    if not checkpoint.architecture.sees:
        return None
    config = read_json(checkpoint.path / "config.json")
    if checkpoint.architecture.mrope:
        return _write_patches(checkpoint, config, format_, activations, folder)
    if checkpoint.vision_tensors or "vision_config" in config:
        return _write_pixels(checkpoint, config, format_, activations, folder)
    return None


def limited(wanted: ImageFormat, max_pixels: int) -> ImageFormat:
    """With pictures of no more than max_pixels, see `Vision`; 0 leaves the limits."""
    most = min(wanted.max_pixels, max_pixels or wanted.max_pixels)
    return replace(wanted, max_pixels=most, min_pixels=min(wanted.min_pixels, most))


def vision_agreement(folder: Path, vision: Vision) -> float:
    """Least cosine of an artefact's two graphs on a picture. Raises ArtefactError where it is small."""
    return agreement(folder, vision.file, vision.standard, picture_inputs(vision))


def _write_patches(
    checkpoint: Checkpoint,
    config: Mapping[str, object],
    format_: VisionFormat,
    activations: Activations,
    folder: Path,
) -> Vision:
    """Of glm4v."""
    tower = read_tower(config, checkpoint.vision_tensors, checkpoint.architecture.hidden_size)
    wanted = limited(read_image_format(checkpoint.path, tower), format_.max_pixels)
    vision = _described(PATCHES, wanted, tower.position_side, format_, checkpoint, config)
    write_tower(tower, folder, format_.bits, activations)
    inputs = picture_inputs(vision)

    def expected() -> Floats:
        return np.asarray(reference.embeddings(tower, inputs, reference.stored_weights(tower)))

    return replace(vision, cosine_similarity=measured(folder / FUSED_FILE, inputs, expected, format_.bits, "picture"))


def _write_pixels(
    checkpoint: Checkpoint,
    config: Mapping[str, object],
    format_: VisionFormat,
    activations: Activations,
    folder: Path,
) -> Vision:
    """Of autoglm_phone."""
    tower = pixel_tower.read_pixel_tower(config, checkpoint.vision_tensors, checkpoint.architecture.hidden_size)
    wanted = limited(tower.image_format, format_.max_pixels)
    vision = _described(PIXELS, wanted, tower.config.position_side, format_, checkpoint, config)
    write_pixel_tower(tower, folder, format_.bits, activations)
    inputs = picture_inputs(vision)

    def expected() -> Floats:
        return np.asarray(pixel_tower.embeddings(tower, inputs, tower.weights()))

    return replace(vision, cosine_similarity=measured(folder / FUSED_FILE, inputs, expected, format_.bits, "picture"))


def _described(
    kind: str,
    wanted: ImageFormat,
    position_side: int,
    format_: VisionFormat,
    checkpoint: Checkpoint,
    config: Mapping[str, object],
) -> Vision:
    """All that is known before the graphs are measured."""
    token, text = media_token(config, "image_token_id", checkpoint)
    return Vision(
        file=FUSED_FILE,
        standard=STANDARD_FILE,
        kind=kind,
        precision=precision_of(checkpoint.vision_tensors.values(), format_.bits),
        patch_size=wanted.patch_size,
        temporal_patch_size=wanted.temporal_patch_size,
        merge_size=wanted.merge_size,
        position_side=position_side,
        min_pixels=wanted.min_pixels,
        max_pixels=wanted.max_pixels,
        rescale_factor=wanted.rescale_factor,
        mean=wanted.mean,
        std=wanted.std,
        image_token=token,
        image_text=text,
        cosine_similarity=0.0,
    )


def picture_inputs(vision: Vision) -> Mapping[str, Floats]:
    """What the graph reads of a picture of slopes, rings and edges, the same every time."""
    wanted = image_format(vision)
    grid = Grid(height=10 * wanted.merge_size, width=8 * wanted.merge_size)
    y, x = np.mgrid[0 : grid.height * wanted.patch_size, 0 : grid.width * wanted.patch_size].astype(np.float32)
    rings = 127.5 + 127.5 * np.sin(np.hypot(x - x.mean(), y - y.mean()) / 6)
    edges = 255.0 * (((x // 23).astype(int) + (y // 31).astype(int)) % 2)
    pixels = np.stack([255 * x / x.max(), rings, edges], axis=-1).astype(np.uint8)
    values = normalize(pixels, wanted) if vision.kind == PIXELS else patchify(pixels, wanted)
    return PictureReader(vision).inputs((values, grid))
