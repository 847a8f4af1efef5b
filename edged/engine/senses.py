"""What the manifest says of a model's eyes and ears, and the ranges that the run time relies on."""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

PATCHES, PIXELS = "patches", "pixels"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vision:
    """The part that turns pictures into embeddings; `edged.vision` says what the numbers mean."""

    file: str
    """The graph in ONNX Runtime's attention."""
    standard: str
    """The same in standard operators over the same weights, which `engines compile` reads."""
    kind: str = PATCHES
    """What it reads: "patches" with their places (glm4v), or the "pixels" of a whole picture (autoglm_phone)."""
    precision: str
    """How its weights are stored, e.g. "int8"."""
    patch_size: int
    """Pixels of the side of what becomes one state, by cutting or by strided convolutions."""
    temporal_patch_size: int
    merge_size: int
    position_side: int
    min_pixels: int
    """Of a picture as the model reads it, counted once for each of temporal_patch_size frames; so is max_pixels."""
    max_pixels: int
    rescale_factor: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_token: int
    """Where the chat template wants a picture it writes this token, once; each token of the picture takes its place."""
    image_text: str
    cosine_similarity: float
    """Least of a picture's embeddings with those of the checkpoint's own weights, measured at build time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """The part that turns recordings into embeddings; `edged.audio.mel` says what the numbers mean."""

    file: str
    """The graph in ONNX Runtime's attention."""
    standard: str
    """The same in standard operators over the same weights, which `engines compile` reads."""
    precision: str
    """How its weights are stored, e.g. "int8"."""
    sample_rate: int
    """Samples a second that it listens to; recordings are resampled to that."""
    mel_bins: int
    window: int
    """Samples of a frame."""
    hop: int
    """Samples from one frame to the next."""
    frames_per_token: int
    """Frames that become one token; a recording is padded to a multiple of them."""
    max_seconds: int
    """Longest recording that it was made for."""
    audio_token: int
    """Where the chat template wants a recording it writes this token, once, as with pictures."""
    audio_text: str
    cosine_similarity: float
    """Least of a recording's embeddings with those of the checkpoint's own weights, measured at build time."""


Require = Callable[[str, bool], None]
"""Raises ArtefactError for a key that is out of range."""


def check_vision(vision: Vision, files: Collection[str], vocab_size: int, require: Require) -> None:
    """Whether pictures can be read as it says."""
    require("vision.file", vision.file in files)
    require("vision.standard", vision.standard in files)
    require("vision.kind", vision.kind in (PATCHES, PIXELS))
    _check_counts("vision", vision, _VISION_COUNTS, require)
    require("vision.temporal_patch_size", vision.kind == PATCHES or vision.temporal_patch_size == 1)
    require("vision.max_pixels", vision.min_pixels <= vision.max_pixels)
    require("vision.rescale_factor", 0 < vision.rescale_factor <= 1)
    require("vision.mean", len(vision.mean) == 3)
    require("vision.std", len(vision.std) == 3 and min(vision.std) > 0)
    require("vision.image_token", 0 <= vision.image_token < vocab_size)
    require("vision.image_text", bool(vision.image_text))


def check_audio(audio: Audio, files: Collection[str], vocab_size: int, require: Require) -> None:
    """Whether recordings can be listened to as it says."""
    require("audio.file", audio.file in files)
    require("audio.standard", audio.standard in files)
    _check_counts("audio", audio, _AUDIO_COUNTS, require)
    require("audio.hop", audio.hop <= audio.window)
    require("audio.audio_token", 0 <= audio.audio_token < vocab_size)
    require("audio.audio_text", bool(audio.audio_text))


def _check_counts(name: str, sense: Vision | Audio, counts: Mapping[str, int], require: Require) -> None:
    for key, limit in counts.items():
        require(f"{name}.{key}", 0 < getattr(sense, key) <= limit)


_VISION_COUNTS: Mapping[str, int] = types.MappingProxyType(
    {
        "patch_size": 256,
        "temporal_patch_size": 16,
        "merge_size": 16,
        "position_side": 1024,
        "min_pixels": 2**27,
        "max_pixels": 2**27,
    }
)
_AUDIO_COUNTS: Mapping[str, int] = types.MappingProxyType(
    {
        "sample_rate": 192_000,
        "mel_bins": 1024,
        "window": 2**14,
        "hop": 2**14,
        "frames_per_token": 1024,
        "max_seconds": 3600,
    }
)
