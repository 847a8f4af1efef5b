"""The audio part of an artefact: its graphs, what the manifest says of it, and what its weights lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edged.engine.readers import RecordingReader
from edged.engine.senses import Audio
from engines.checkpoint import Checkpoint
from engines.checkpoint.media_token import media_token
from engines.checkpoint.text_file import read_json
from engines.encoder.measure import agreement, measured
from engines.encoder.products import Bits, precision_of
from engines.graph.model_file import Activations
from engines.tensor import Floats

from .graph import FUSED_FILE, STANDARD_FILE, write_audio_tower
from .tower import AudioTower, embeddings, read_audio_tower

_SECONDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFormat:
    """What a recipe says about the audio part."""

    bits: Bits


def write_audio(checkpoint: Checkpoint, format_: AudioFormat, activations: Activations, folder: Path) -> Audio | None:
    """Write the graphs, measure, and describe them; None for a checkpoint without ears.

    Raises CheckpointError, QualityGateFailed.
    """
    if not checkpoint.architecture.adapts:
        return None
    config = read_json(checkpoint.path / "config.json")
    if not checkpoint.audio_tensors and "audio_config" not in config:
        return None
    tower = read_audio_tower(config, checkpoint.audio_tensors, checkpoint.architecture.hidden_size)
    audio = _described(tower, format_, checkpoint, config)
    write_audio_tower(tower, folder, format_.bits, activations)
    inputs = recording_inputs(audio)

    def expected() -> Floats:
        return np.asarray(embeddings(tower, inputs, tower.weights()))

    return replace(audio, cosine_similarity=measured(folder / FUSED_FILE, inputs, expected, format_.bits, "recording"))


def audio_agreement(folder: Path, audio: Audio) -> float:
    """Least cosine of an artefact's two graphs on a recording. Raises ArtefactError where it is small."""
    return agreement(folder, audio.file, audio.standard, recording_inputs(audio))


def _described(tower: AudioTower, format_: AudioFormat, checkpoint: Checkpoint, config: Mapping[str, object]) -> Audio:
    """All that is known before the graphs are measured."""
    token, text = media_token(config, "audio_token_id", checkpoint)
    wanted = tower.mel_format
    return Audio(
        file=FUSED_FILE,
        standard=STANDARD_FILE,
        precision=precision_of(checkpoint.audio_tensors.values(), format_.bits),
        sample_rate=wanted.sample_rate,
        mel_bins=wanted.mel_bins,
        window=wanted.window,
        hop=wanted.hop,
        frames_per_token=wanted.frames_per_token,
        max_seconds=tower.config.max_seconds,
        audio_token=token,
        audio_text=text,
        cosine_similarity=0.0,
    )


def recording_inputs(audio: Audio) -> Mapping[str, Floats]:
    """What the graph reads of a rising tone with knocks and a pause, the same every time."""
    seconds = np.arange(_SECONDS * audio.sample_rate) / audio.sample_rate
    tone = np.sin(2 * np.pi * (200 + 900 * seconds) * seconds) * (np.abs(seconds - 1.2) > 0.2)
    knocks = np.random.default_rng(0).standard_normal(len(seconds)) * np.exp(-30 * (seconds % 0.3))
    samples = (0.3 * tone + 0.3 * knocks).clip(-1, 1).astype(np.float32)
    return RecordingReader(audio).inputs(samples)
