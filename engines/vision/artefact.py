"""The vision part of an artefact: its graphs, what the manifest says of it, and what its weights lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from edged.engine.manifest import Manifest
from edged.engine.onnx_tower import OnnxTower
from edged.engine.readers import PATCH_INPUTS, image_format
from edged.engine.senses import Vision
from edged.errors import CheckpointError, QualityGateFailed
from edged.vision.preprocess import Grid, ImageFormat, patchify
from edged.vision.tower_inputs import tower_inputs
from engines.checkpoint import Checkpoint
from engines.checkpoint.text_file import read_json
from engines.encoder.products import Bits
from engines.graph.model_file import Activations
from engines.tensor import Floats

from .graph import FUSED_FILE, STANDARD_FILE, write_tower
from .processor import read_image_format
from .reference import embeddings, stored_weights
from .tower import VisionTower, read_tower

LEAST_COSINE = 0.95
"""Of a picture's embeddings with those of the float weights; what lies below has gone wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionFormat:
    """What a recipe says about the vision part."""

    bits: Bits
    max_pixels: int
    """Largest picture the model shall read, see `Vision`; 0 leaves it to the checkpoint."""


def write_vision(
    checkpoint: Checkpoint,
    format_: VisionFormat,
    activations: Activations,
    folder: Path,
) -> Vision | None:
    """Write the graphs, measure, and describe them; None for a checkpoint without a tower of a kind known here.

    Raises CheckpointError, QualityGateFailed.
    """
    if not checkpoint.architecture.mrope:
        return None
    config = read_json(checkpoint.path / "config.json")
    tower = read_tower(config, checkpoint.vision_tensors, checkpoint.architecture.hidden_size)
    wanted = limited(read_image_format(checkpoint.path, tower), format_.max_pixels)
    token, text = image_token(config, checkpoint)
    write_tower(tower, folder, format_.bits, activations)
    return Vision(
        file=FUSED_FILE,
        standard=STANDARD_FILE,
        precision=f"int{format_.bits}" if format_.bits == 8 else f"float{format_.bits}",
        patch_size=tower.patch_size,
        temporal_patch_size=tower.temporal_patch_size,
        merge_size=tower.merge_size,
        position_side=tower.position_side,
        min_pixels=wanted.min_pixels,
        max_pixels=wanted.max_pixels,
        rescale_factor=wanted.rescale_factor,
        mean=wanted.mean,
        std=wanted.std,
        image_token=token,
        image_text=text,
        cosine_similarity=_measured(tower, wanted, folder / FUSED_FILE),
    )


def with_vision(manifest: Manifest, vision: Vision | None, checkpoint: Checkpoint) -> Manifest:
    """The manifest of the text model with what there is for pictures."""
    if vision is None:
        return manifest
    weights = sum(tensor.rows * tensor.columns for tensor in checkpoint.vision_tensors.values())
    label = f"{manifest.precision.label}, {'INT8' if vision.precision == 'int8' else vision.precision} vision"
    return replace(
        manifest,
        vision=vision,
        parameters=manifest.parameters + weights,
        precision=replace(manifest.precision, label=label),
    )


def limited(wanted: ImageFormat, max_pixels: int) -> ImageFormat:
    """With pictures of no more than max_pixels, see `Vision`; 0 leaves the limits."""
    most = min(wanted.max_pixels, max_pixels or wanted.max_pixels)
    return replace(wanted, max_pixels=most, min_pixels=min(wanted.min_pixels, most))


def image_token(config: Mapping[str, object], checkpoint: Checkpoint) -> tuple[int, str]:
    """Id and text of the token that chat templates write for a picture."""
    token = config.get("image_token_id")
    if type(token) is not int or not 0 <= token < checkpoint.architecture.vocab_size:
        raise CheckpointError(f"config.json: image_token_id must name a token, not {str(token)[:40]}")
    text = Tokenizer.from_str(checkpoint.vocabulary.tokenizer).id_to_token(token)
    if not text:
        raise CheckpointError(f"tokenizer.json has no token {token}, which config.json calls image_token_id")
    return token, text


def agreement(folder: Path, vision: Vision) -> float:
    """Least cosine of an artefact's two graphs, which compute in different types and operators, on a picture."""
    inputs = _test_inputs(image_format(vision), vision.position_side)
    return _least_cosine(_run(folder / vision.file, inputs), _run(folder / vision.standard, inputs))


def _measured(tower: VisionTower, wanted: ImageFormat, path: Path) -> float:
    """Least cosine of the graph's embeddings of a picture with the reference's. Raises QualityGateFailed."""
    inputs = _test_inputs(wanted, tower.position_side)
    with np.errstate(all="ignore"):  # weights of a damaged file may overflow; the comparison shows it
        cosine = _least_cosine(_run(path, inputs), embeddings(tower, inputs, stored_weights(tower)))
    if not cosine >= LEAST_COSINE:
        raise QualityGateFailed(
            f"embeddings of a picture have a cosine of {cosine:.3f} with those of the checkpoint's weights, "
            f"{LEAST_COSINE} is the least allowed: not installed"
        )
    return cosine


def _run(path: Path, inputs: Mapping[str, Floats]) -> Floats:
    found = OnnxTower(path, PATCH_INPUTS, threads=0).run(inputs, lambda: False)
    assert found is not None  # nobody cancels
    return found


def _least_cosine(one: Floats, other: Floats) -> float:
    """Of all rows."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(np.min((one * other).sum(axis=1) / lengths))


def _test_inputs(wanted: ImageFormat, position_side: int) -> Mapping[str, Floats]:
    """Of a picture of slopes, rings and edges, the same every time."""
    grid = Grid(height=10 * wanted.merge_size, width=8 * wanted.merge_size)
    y, x = np.mgrid[0 : grid.height * wanted.patch_size, 0 : grid.width * wanted.patch_size].astype(np.float32)
    rings = 127.5 + 127.5 * np.sin(np.hypot(x - x.mean(), y - y.mean()) / 6)
    edges = 255.0 * (((x // 23).astype(int) + (y // 31).astype(int)) % 2)
    pixels = np.stack([255 * x / x.max(), rings, edges], axis=-1).astype(np.uint8)
    patches = patchify(pixels, wanted)
    return tower_inputs(patches, grid, merge_size=wanted.merge_size, position_side=position_side)
