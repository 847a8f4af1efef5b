"""What a recipe makes of a model, by arithmetic: for `python -m engines plan` and the documents."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from edged.errors import InvalidInput, nearest

from .architecture import Architecture
from .autoglm_phone.config import FULL_SIZE, PhoneConfig
from .catalog import CATALOG
from .checkpoint import open_checkpoint
from .checkpoint.config import read_architecture, text_config
from .checkpoint.text_file import read_json
from .graph.integer_weights import IntegerFormat
from .memory import (
    CONTEXTS,
    DEVICES,
    GB,
    Footprint,
    TextShape,
    VisionShape,
    footprint,
    text_shape,
    vision_shape,
    vision_weights,
    vision_working,
)
from .quantize import fitting
from .recipe import Recipe
from .vision.tower import read_tower

USUAL_MODEL = "autoglm-phone-9b"
DESIGNS: Mapping[str, PhoneConfig] = MappingProxyType({"autoglm-phone-9b-moe": FULL_SIZE})
"""Models that nobody has published, by what the plan calls them: the article's, of which experts take turns."""
SCREENSHOT_PATCHES = 12432
"""Of a picture of 1080 x 2400."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A model, a recipe, and what follows."""

    recipe: Recipe
    model: str
    footprint: Footprint
    screenshot: int
    """Bytes that computing a screenshot takes for its time; 0 without a vision tower of the kind of glm4v."""
    parameters: int
    """With the towers; biases and norms of a glm4v tower aside."""
    active_parameters: int
    """Those that a token of text passes, with the head."""

    def needs(self, context: int) -> int:
        """Bytes on the device with one conversation of so many tokens that has seen a screenshot."""
        return self.footprint.weights + self.footprint.kv(context) + self.screenshot


def plan(recipe: Recipe, model: str | None = None) -> Plan:
    """`model`: a name of the catalog, a checkpoint folder or a GGUF file; None takes what the recipe names, else the
    model that the device recipes are made for.

    Raises InvalidInput, CheckpointError, or MissingExtra where the recipe's package is not installed.
    """
    model = model or (str(recipe.source.find()) if recipe.source else USUAL_MODEL)
    sizes = _sizes(recipe, model)
    vision, activations = sizes.vision, recipe.target.activations
    needs = footprint(
        sizes.text,
        sizes.storage,
        activations=activations,
        vision=vision,
        vision_bits=recipe.vision.bits,
        kept_minimum=sizes.kept_minimum,
    )
    dequantized = recipe.vision.bits == 8 and recipe.target.device == "cuda"
    seeing = screenshot = 0
    if vision is not None:
        seeing = vision_weights(vision, 8)
        screenshot = vision_working(vision, SCREENSHOT_PATCHES, activations, dequantized=dequantized)
    return Plan(
        recipe=recipe,
        model=Path(model).name,
        footprint=replace(needs, vision=needs.vision + sizes.towers * recipe.vision.bits // 8),
        screenshot=screenshot,
        parameters=sizes.text.parameters + seeing + sizes.towers,
        active_parameters=sizes.text.active_parameters,
    )


def describe(found: Plan) -> str:
    """For people: sizes, and the least time of a token on every device."""
    needs = found.footprint
    kv = ", ".join(f"{_gb(needs.kv(context))} at {context:,} tokens" for context in CONTEXTS)
    read = ", ".join(f"{_gb(needs.read_per_token(context))} after {context:,}" for context in CONTEXTS)
    lines = [
        f"{found.model} by recipe {found.recipe.name}: computed, not measured",
        f"  {_count(found.parameters)} parameters, {_count(found.active_parameters)} active a token of text",
        f"  weights {_gb(needs.weights)}: text {_gb(needs.text)}, vision and audio {_gb(needs.vision)}",
        f"  keys and values {kv}",
        *([f"  a screenshot of 1080 x 2400 takes {_gb(found.screenshot)} meanwhile"] * (found.screenshot > 0)),
        f"  read for a token {read}",
        "  least time of a token that bandwidth allows:",
    ]
    for device in DEVICES.values():
        times = (f"{needs.token_ms(device, context):.1f} ms at {context:,}" for context in CONTEXTS)
        fits = "" if found.needs(CONTEXTS[-1]) <= device.memory else f"; {_gb(device.memory)} of memory are too few"
        lines.append(f"    {device.title:34} {', '.join(times)}{fits}")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sizes:
    text: TextShape
    vision: VisionShape | None = None
    """A tower of the kind of glm4v."""
    towers: int = 0
    """Parameters of the towers of an autoglm_phone."""
    storage: IntegerFormat
    kept_minimum: bool = False
    """Blocks with a minimum are kept."""


def _sizes(recipe: Recipe, model: str) -> _Sizes:
    """Of what the name or path stands for, stored as the recipe says."""
    path = Path(model).expanduser()
    if not path.exists():
        return _sizes_by_name(recipe, model)
    checkpoint = open_checkpoint(path)
    arch = checkpoint.architecture
    vision, towers = None, 0
    if checkpoint.vision_tensors and arch.mrope:
        config = read_json(checkpoint.path / "config.json")
        vision = vision_shape(read_tower(config, checkpoint.vision_tensors, arch.hidden_size))
    else:
        both = (*checkpoint.vision_tensors.values(), *checkpoint.audio_tensors.values())
        towers = sum(math.prod(tensor.shape) for tensor in both)
    linear = fitting(list(checkpoint.tensors.values()), recipe.format.linear)
    return _Sizes(
        text=_text(arch, recipe, qkv_bias="layers.0.q.bias" in checkpoint.tensors),
        vision=vision,
        towers=towers,
        storage=replace(recipe.format, linear=linear),
        kept_minimum=checkpoint.encoding == "Q4_1" and recipe.format.linear.keep,
    )


def _sizes_by_name(recipe: Recipe, model: str) -> _Sizes:
    if config := DESIGNS.get(model):
        arch = read_architecture(text_config(config.to_json()))
        return _Sizes(
            text=_text(arch, recipe), towers=config.parameters - config.text.parameters, storage=recipe.format
        )
    if entry := CATALOG.get(model):
        return _Sizes(text=entry.shape, vision=entry.vision, storage=recipe.format)
    known = nearest(model, [*CATALOG, *DESIGNS])
    raise InvalidInput(f"{model[:100]!r} is no file, no folder and not in the catalog{known}")


def _text(arch: Architecture, recipe: Recipe, *, qkv_bias: bool = False) -> TextShape:
    return text_shape(arch, positions=min(arch.context_length, recipe.max_context), qkv_bias=qkv_bias)


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:.2f} B" if parameters >= 1e9 else f"{parameters / 1e6:.1f} M"


def _gb(size: int) -> str:
    return f"{size / GB:.2f} GB"
