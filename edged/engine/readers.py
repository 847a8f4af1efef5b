"""How files of each kind reach the towers of one engine, as its manifest says."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from edged.audio.decode import RecordingFormat, begin_samples, read_length
from edged.audio.mel import MelFormat, Samples, log_mel
from edged.engine.encoder import MediaType, Percept, Reader, content_tokens
from edged.engine.manifest import Manifest
from edged.engine.senses import PIXELS, Audio, Vision
from edged.engine.session import TokenType
from edged.events import Audio as AudioPart
from edged.events import Image
from edged.vision.preprocess import ImageFormat, Patches, begin_patches, begin_pixels, read_grid
from edged.vision.tower_inputs import pixel_inputs, tower_inputs

MEDIA_NAMES: Mapping[MediaType, str] = MappingProxyType({Image: "images", AudioPart: "audio"})
Inputs = Mapping[str, NDArray[np.float32]]
PATCH_INPUTS = frozenset({"patches", "places", "row_weights", "column_weights"})
PIXEL_INPUTS = frozenset({"pixels", "row_weights", "column_weights"})


class PictureReader:
    """Satisfies `edged.engine.encoder.Reader`."""

    type = TokenType.IMAGE

    def __init__(self, vision: Vision) -> None:
        self.token, self.text, self.file = vision.image_token, vision.image_text, vision.file
        self.input_names = PIXEL_INPUTS if vision.kind == PIXELS else PATCH_INPUTS
        self.image_format = image_format(vision)
        self._vision = vision

    def perceive(self, data: bytes) -> Percept:
        """See Reader."""
        grid, merge = read_grid(data, self.image_format), self._vision.merge_size
        rows, columns = grid.height // merge, grid.width // merge
        tokens = content_tokens(data, rows * columns)
        return Percept(type=self.type, data=data, rows=rows, columns=columns, tokens=tokens)

    def begin(self, data: bytes) -> Future[Patches]:
        """See Reader."""
        begin = begin_pixels if self._vision.kind == PIXELS else begin_patches
        return begin(data, self.image_format)

    def inputs(self, decoded: Patches) -> Inputs:
        """See Reader."""
        values, grid = decoded
        vision = self._vision
        if vision.kind == PIXELS:
            return pixel_inputs(values, grid, position_side=vision.position_side)
        return tower_inputs(values, grid, merge_size=vision.merge_size, position_side=vision.position_side)


class RecordingReader:
    """Satisfies `edged.engine.encoder.Reader`."""

    type = TokenType.AUDIO
    input_names = frozenset({"mel"})

    def __init__(self, audio: Audio) -> None:
        self.token, self.text, self.file = audio.audio_token, audio.audio_text, audio.file
        self.mel_format = mel_format(audio)
        self._format = RecordingFormat(sample_rate=audio.sample_rate, max_seconds=audio.max_seconds)

    def perceive(self, data: bytes) -> Percept:
        """See Reader."""
        count = self.mel_format.tokens(read_length(data, self._format))
        return Percept(type=self.type, data=data, rows=1, columns=count, tokens=content_tokens(data, count))

    def begin(self, data: bytes) -> Future[Samples]:
        """See Reader."""
        return begin_samples(data, self._format)

    def inputs(self, decoded: Samples) -> Inputs:
        """See Reader."""
        return {"mel": log_mel(decoded, self.mel_format)[None]}


def readers(manifest: Manifest) -> dict[MediaType, Reader]:
    """What this engine reads besides text."""
    found: dict[MediaType, Reader] = {}
    if manifest.vision is not None:
        found[Image] = PictureReader(manifest.vision)
    if manifest.audio is not None:
        found[AudioPart] = RecordingReader(manifest.audio)
    return found


def reads(manifest: Manifest) -> tuple[str, ...]:
    """What a message to this engine may hold, in words."""
    return ("text", *(MEDIA_NAMES[media] for media in readers(manifest)))


def image_format(vision: Vision) -> ImageFormat:
    """How the model wants its pictures."""
    return ImageFormat(
        patch_size=vision.patch_size,
        temporal_patch_size=vision.temporal_patch_size,
        merge_size=vision.merge_size,
        min_pixels=vision.min_pixels,
        max_pixels=vision.max_pixels,
        rescale_factor=vision.rescale_factor,
        mean=vision.mean,
        std=vision.std,
    )


def mel_format(audio: Audio) -> MelFormat:
    """How the model wants its recordings."""
    return MelFormat(
        sample_rate=audio.sample_rate,
        mel_bins=audio.mel_bins,
        window=audio.window,
        hop=audio.hop,
        frames_per_token=audio.frames_per_token,
    )
