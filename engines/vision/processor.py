"""preprocessor_config.json of a Hugging Face folder: how its model wants pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edged.errors import CheckpointError
from edged.vision.preprocess import ImageFormat
from engines.checkpoint.text_file import read_optional_json

from .tower import VisionTower

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_BICUBIC = 3
_MIN_PIXELS, _MAX_PIXELS = 112 * 112, 28 * 28 * 15000
"""What transformers' Glm4vImageProcessor takes where the folder says nothing."""


def read_image_format(folder: Path, tower: VisionTower) -> ImageFormat:
    """Raises CheckpointError when the file asks for what is not done here, or disagrees with the tower."""
    settings = _settings(folder)
    for key in ("do_resize", "do_rescale", "do_normalize", "do_convert_rgb"):
        if settings.get(key) is False:
            raise _unsupported(key, settings[key])
    if settings.get("resample", _BICUBIC) != _BICUBIC:
        raise _unsupported("resample", settings["resample"])
    sides = ("patch_size", "temporal_patch_size", "merge_size")
    for key in sides:
        if settings.get(key, getattr(tower, key)) != getattr(tower, key):
            raise CheckpointError(
                f"preprocessor_config.json: {key} is {str(settings[key])[:40]}, config.json says {getattr(tower, key)}"
            )
    least, most = _limits(settings)
    return ImageFormat(
        **{key: getattr(tower, key) for key in sides},
        min_pixels=least,
        max_pixels=most,
        rescale_factor=_numbers(settings, "rescale_factor", (1 / 255,))[0],
        mean=_numbers(settings, "image_mean", _CLIP_MEAN),
        std=_numbers(settings, "image_std", _CLIP_STD),
    )


def _settings(folder: Path) -> Mapping[str, object]:
    """Of its own file, or of the one that newer saves write for all of a model's processors."""
    nested = read_optional_json(folder / "processor_config.json").get("image_processor")
    own = read_optional_json(folder / "preprocessor_config.json")
    return own or (nested if isinstance(nested, dict) else {})


def _limits(settings: Mapping[str, object]) -> tuple[int, int]:
    size = settings.get("size") or {}
    if not isinstance(size, dict):
        raise _unsupported("size", size)
    least = settings.get("min_pixels") or size.get("shortest_edge", _MIN_PIXELS)
    most = settings.get("max_pixels") or size.get("longest_edge", _MAX_PIXELS)
    if type(least) is not int or type(most) is not int or not 0 < least <= most <= 2**27:
        raise _unsupported("size", size)
    return least, most


def _numbers(settings: Mapping[str, object], key: str, default: tuple[float, ...]) -> tuple[float, ...]:
    value = settings.get(key)
    if value is None:
        return default
    values = [
        float(one)
        for one in (value if isinstance(value, list) else [value])
        if isinstance(one, int | float) and 0 < one < 1e3
    ]
    if len(values) != len(default):
        raise _unsupported(key, value)
    return tuple(values)


def _unsupported(key: str, value: object) -> CheckpointError:
    return CheckpointError(f"preprocessor_config.json: {key} {str(value)[:60]} is not supported")
