"""Sizes of pictures and recordings that the plans of towers are built for."""

from __future__ import annotations

import math

from edged.engine.readers import mel_format
from edged.engine.senses import PATCHES, Audio, Vision

from .builder import Profile

_USUAL_SECONDS = 10


def picture_profile(vision: Vision) -> tuple[Profile, int]:
    """Of the free dimensions of its graph, and what `Plan.max_tokens` is of them.

    Whole pictures are at most as long as twice the side of the largest square: kernels must work where both sides are
    longest, and more states have too many scores. So one of all the pixels allowed may be four times as long as it is
    wide, smaller ones more.
    """
    merge, patch = vision.merge_size, vision.patch_size
    if vision.kind == PATCHES:
        square = merge**2
        most = vision.max_pixels // (vision.temporal_patch_size * patch**2)
        most = max(square, most // square * square)
        return {"patches": (square, most, most)}, most
    side = math.isqrt(vision.max_pixels)
    usual, longest = (merge * max(1, times * side // (patch * merge)) for times in (1, 2))
    pixels, states = ((merge * unit, usual * unit, longest * unit) for unit in (patch, 1))
    return {"height": pixels, "width": pixels, "rows": states, "columns": states}, longest


def recording_profile(audio: Audio) -> tuple[Profile, int]:
    """The same of a recording."""
    tokens = mel_format(audio).tokens
    most = tokens(audio.max_seconds * audio.sample_rate)
    usual = min(most, tokens(_USUAL_SECONDS * audio.sample_rate))
    return {"frames": (audio.frames_per_token, usual * audio.frames_per_token, most * audio.frames_per_token)}, most
