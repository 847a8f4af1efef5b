"""The eyes and ears of an artefact, beside its text model."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from edged.engine.manifest import Manifest
from edged.engine.senses import Audio, Vision

from .audio.artefact import AudioFormat, write_audio
from .checkpoint import Checkpoint
from .graph.model_file import Activations
from .vision.artefact import VisionFormat, write_vision


@dataclass(frozen=True, slots=True, kw_only=True)
class Senses:
    """What the manifest says of both; None where there is no tower."""

    vision: Vision | None
    audio: Audio | None


def write_senses(
    checkpoint: Checkpoint, vision: VisionFormat, audio: AudioFormat, activations: Activations, folder: Path
) -> Senses:
    """Write the graphs of both, and measure. Raises CheckpointError, QualityGateFailed."""
    return Senses(
        vision=write_vision(checkpoint, vision, activations, folder),
        audio=write_audio(checkpoint, audio, activations, folder),
    )


def with_senses(manifest: Manifest, senses: Senses, checkpoint: Checkpoint) -> Manifest:
    """The manifest of the text model with what there is for pictures and recordings."""
    label, parameters = manifest.precision.label, manifest.parameters
    for name, sense, tensors in (
        ("vision", senses.vision, checkpoint.vision_tensors),
        ("audio", senses.audio, checkpoint.audio_tensors),
    ):
        if sense is not None:
            label += f", {sense.precision.replace('int', 'INT')} {name}"
            parameters += sum(math.prod(tensor.shape) for tensor in tensors.values())
    return replace(
        manifest,
        vision=senses.vision,
        audio=senses.audio,
        parameters=parameters,
        precision=replace(manifest.precision, label=label),
    )
