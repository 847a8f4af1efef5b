"""What a recipe makes of a model, by arithmetic: for `python -m engines plan` and the documents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edged.errors import InvalidInput, nearest

from .catalog import CATALOG
from .checkpoint import open_checkpoint
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
    vision_working,
)
from .quantize import fitting
from .recipe import Recipe
from .vision.tower import read_tower

USUAL_MODEL = "autoglm-phone-9b"
SCREENSHOT_PATCHES = 12432
"""Of a picture of 1080 x 2400."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A model, a recipe, and what follows."""

    recipe: Recipe
    model: str
    footprint: Footprint
    screenshot: int
    """Bytes that computing a screenshot takes for its time; 0 without a vision tower."""

    def needs(self, context: int) -> int:
        """Bytes on the device with one conversation of so many tokens that has seen a screenshot."""
        return self.footprint.weights + self.footprint.kv(context) + self.screenshot


def plan(recipe: Recipe, model: str | None = None) -> Plan:
    """`model`: a name of the catalog, a checkpoint folder or a GGUF file; None takes what the recipe names, else the
    model that the device recipes are made for.

    Raises InvalidInput, CheckpointError, or MissingExtra where the recipe's package is not installed.
    """
    model = model or (str(recipe.source.find()) if recipe.source else USUAL_MODEL)
    shape, vision, storage, kept_minimum = _shapes(recipe, model)
    activations = recipe.target.activations
    dequantized = recipe.vision.bits == 8 and recipe.target.device == "cuda"
    return Plan(
        recipe=recipe,
        model=Path(model).name,
        footprint=footprint(
            shape,
            storage,
            activations=activations,
            vision=vision,
            vision_bits=recipe.vision.bits,
            kept_minimum=kept_minimum,
        ),
        screenshot=0
        if vision is None
        else vision_working(vision, SCREENSHOT_PATCHES, activations, dequantized=dequantized),
    )


def describe(found: Plan) -> str:
    """For people: sizes, and the least time of a token on every device."""
    needs = found.footprint
    kv = ", ".join(f"{_gb(needs.kv(context))} at {context:,} tokens" for context in CONTEXTS)
    read = ", ".join(f"{_gb(needs.read_per_token(context))} after {context:,}" for context in CONTEXTS)
    lines = [
        f"{found.model} by recipe {found.recipe.name}: computed, not measured",
        f"  weights {_gb(needs.weights)}: text {_gb(needs.text)}, vision {_gb(needs.vision)}",
        f"  keys and values {kv}",
        *([f"  a screenshot of 1080 x 2400 takes {_gb(found.screenshot)} while it is computed"] * (needs.vision > 0)),
        f"  read for a token {read}",
        "  least time of a token that bandwidth allows:",
    ]
    for device in DEVICES.values():
        times = (f"{needs.token_ms(device, context):.1f} ms at {context:,}" for context in CONTEXTS)
        fits = "" if found.needs(CONTEXTS[-1]) <= device.memory else f"; {_gb(device.memory)} of memory are too few"
        lines.append(f"    {device.title:34} {', '.join(times)}{fits}")
    return "\n".join(lines)


def _shapes(recipe: Recipe, model: str) -> tuple[TextShape, VisionShape | None, IntegerFormat, bool]:
    """Sizes of text model and vision tower, how weights are stored, and whether blocks with a minimum are kept."""
    path = Path(model).expanduser()
    if not path.exists():
        if model not in CATALOG:
            raise InvalidInput(f"{model[:100]!r} is no file, no folder and not in the catalog{nearest(model, CATALOG)}")
        entry = CATALOG[model]
        return entry.shape, entry.vision, recipe.format, False
    checkpoint = open_checkpoint(path)
    arch = checkpoint.architecture
    shape = text_shape(
        arch,
        positions=min(arch.context_length, recipe.max_context),
        qkv_bias="layers.0.q.bias" in checkpoint.tensors,
    )
    vision = None
    if checkpoint.vision_tensors:
        config = read_json(checkpoint.path / "config.json")
        vision = vision_shape(read_tower(config, checkpoint.vision_tensors, arch.hidden_size))
    linear = fitting(list(checkpoint.tensors.values()), recipe.format.linear)
    storage = replace(recipe.format, linear=linear)
    return shape, vision, storage, checkpoint.encoding == "Q4_1" and recipe.format.linear.keep


def _gb(size: int) -> str:
    return f"{size / GB:.2f} GB"
