"""What the vision part of a checkpoint computes: sizes, names and shapes.

A tower of the GLM-4.1V kind (transformers: modeling_glm4v.py, Glm4vVisionModel): patches are projected, normed and
given resampled position embeddings; blocks of attention within the picture and gated SiLU layers; four neighbours
become one, projected to the text model's width by the merger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edged.errors import CheckpointError
from engines.architecture import check_shapes
from engines.tensor import Floats, Tensor

MERGER_NORM_EPSILON = 1e-5
"""PyTorch's default for LayerNorm; no configuration has it."""
_MOST_BLOCKS = 1024
_MOST_POSITIONS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionTower:
    """Sizes, named as in vision_config, and the tensors behind them."""

    depth: int
    hidden_size: int
    heads: int
    patch_size: int
    temporal_patch_size: int
    merge_size: int
    channels: int
    position_side: int
    """The position embeddings are a square of so many."""
    out_hidden_size: int
    """Width of the text model, and of the gated layers within the blocks."""
    merger_size: int
    """Width of the merger's gated layer: `intermediate_size` of the configuration, which blocks do not have."""
    norm_epsilon: float
    rope_theta: float
    tensors: Mapping[str, Tensor]
    """By the checkpoint's names without `visual.`; exactly those of `expected_shapes`."""

    @property
    def head_dim(self) -> int:
        """Width of an attention head."""
        return self.hidden_size // self.heads

    @property
    def patch_values(self) -> int:
        """Values of a patch: channels, frames, rows, columns."""
        return self.channels * self.temporal_patch_size * self.patch_size**2

    def frequencies(self) -> Floats:
        """Angle per step of the grid: the first half of the pairs turns with the row, the other with the column.

        (2, head_dim / 2)
        """
        pairs = self.head_dim // 4
        frequencies = np.zeros((2, 2 * pairs), np.float32)
        frequencies[0, :pairs] = frequencies[1, pairs:] = self.rope_theta ** -(np.arange(pairs) / pairs)
        return frequencies


def read_tower(config: Mapping[str, object], tensors: Mapping[str, Tensor], width: int) -> VisionTower:
    """From config.json and the vision tensors, for a text model of that width. Raises CheckpointError."""
    settings = config.get("vision_config")
    if not isinstance(settings, dict):
        raise CheckpointError("config.json: vision_config must be an object")
    if settings.get("hidden_act", "silu") != "silu":
        raise CheckpointError(f"config.json: vision_config.hidden_act {str(settings['hidden_act'])[:40]!r}: only silu")
    rope = settings.get("rope_parameters") or {}
    patch = _size(settings, "patch_size", 14)
    tower = VisionTower(
        depth=_size(settings, "depth", 24),
        hidden_size=_size(settings, "hidden_size", 1536),
        heads=_size(settings, "num_heads", 12),
        patch_size=patch,
        temporal_patch_size=_size(settings, "temporal_patch_size", 2),
        merge_size=_size(settings, "spatial_merge_size", 2),
        channels=_size(settings, "in_channels", 3),
        position_side=_size(settings, "image_size", 336) // patch,
        out_hidden_size=_size(settings, "out_hidden_size", 4096),
        merger_size=_size(settings, "intermediate_size", 13696),
        norm_epsilon=_number(settings, "rms_norm_eps", 1e-5),
        rope_theta=_number(rope if isinstance(rope, dict) else {}, "rope_theta", 10000.0),
        tensors=tensors,
    )
    _check(tower, width)
    return tower


def expected_shapes(tower: VisionTower) -> dict[str, tuple[int, ...]]:
    """Every tensor of the tower."""
    hidden, wide = tower.hidden_size, tower.out_hidden_size
    patch, merge = tower.patch_size, tower.merge_size
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embed.proj.weight": (hidden, tower.channels, tower.temporal_patch_size, patch, patch),
        "patch_embed.proj.bias": (hidden,),
        "post_conv_layernorm.weight": (hidden,),
        "embeddings.position_embedding.weight": (tower.position_side**2, hidden),
        "post_layernorm.weight": (hidden,),
        "downsample.weight": (wide, hidden, merge, merge),
        "downsample.bias": (wide,),
        "merger.proj.weight": (wide, wide),
        "merger.post_projection_norm.weight": (wide,),
        "merger.post_projection_norm.bias": (wide,),
        "merger.gate_proj.weight": (tower.merger_size, wide),
        "merger.up_proj.weight": (tower.merger_size, wide),
        "merger.down_proj.weight": (wide, tower.merger_size),
    }
    for block in range(tower.depth):
        shapes |= {
            f"blocks.{block}.norm1.weight": (hidden,),
            f"blocks.{block}.norm2.weight": (hidden,),
            f"blocks.{block}.attn.qkv.weight": (3 * hidden, hidden),
            f"blocks.{block}.attn.proj.weight": (hidden, hidden),
            f"blocks.{block}.mlp.gate_proj.weight": (wide, hidden),
            f"blocks.{block}.mlp.up_proj.weight": (wide, hidden),
            f"blocks.{block}.mlp.down_proj.weight": (hidden, wide),
        }
    return shapes


def _check(tower: VisionTower, width: int) -> None:
    """That the sizes are possible and the checkpoint has exactly the tensors that follow from them."""
    if tower.out_hidden_size != width:
        raise CheckpointError(
            f"config.json: vision_config.out_hidden_size is {tower.out_hidden_size}, the text model is {width} wide"
        )
    if tower.depth > _MOST_BLOCKS or tower.position_side not in range(1, _MOST_POSITIONS):
        raise CheckpointError(
            f"config.json: a vision tower of {tower.depth} blocks and {tower.position_side} positions a side is not "
            "possible"
        )
    if tower.hidden_size % tower.heads or tower.head_dim % 4:
        raise CheckpointError(
            f"config.json: a vision tower {tower.hidden_size} wide with {tower.heads} heads is not possible"
        )
    if tower.channels != 3:
        raise CheckpointError(f"config.json: vision_config.in_channels is {tower.channels}; pictures have 3")
    expected = {f"visual.{name}": shape for name, shape in expected_shapes(tower).items()}
    check_shapes(expected, {f"visual.{name}": item for name, item in tower.tensors.items()}, "the vision tower")


def _size(settings: Mapping[str, object], key: str, default: int) -> int:
    value = settings.get(key, default)
    if type(value) is not int or not 0 < value <= 2**20:
        raise CheckpointError(
            f"config.json: vision_config.{key} must be a positive whole number, not {str(value)[:40]}"
        )
    return value


def _number(settings: Mapping[str, object], key: str, default: float) -> float:
    value = settings.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e18:
        raise CheckpointError(f"config.json: vision_config.{key} must be a positive number, not {str(value)[:40]}")
    return float(value)
