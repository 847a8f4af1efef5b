"""Who speaks: 256 numbers that are alike for what the same person says (Wan et al., 2018; arXiv:1710.10467).

The network and its weights are Resemblyzer's (Apache-2.0), computed here without torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edged.audio.mel import Samples
from edged.audio.pcm import SAMPLE_RATE
from edged.errors import ArtefactError, InvalidInput
from edged.speech.slaney_mel import HOP, WINDOW, band_power
from edged.speech.torch_file import read_tensors

Floats = NDArray[np.float32]
Voiceprint = NDArray[np.float32]
"""Of length 1; two are as alike as their dot product is near 1.  # (256,)"""

_BANDS = 40
_HIDDEN = 256
_LAYERS = 3
_SPAN_FRAMES = 160
"""Of the 1.6 seconds that the network hears at once."""
_STEP_FRAMES = 77
"""From one span to the next: 1.3 in a second."""
_LEAST_COVERED = 0.75
"""Of the last span."""
_LOUDNESS = 10 ** (-30 / 20)
"""Root mean square that quieter speech is raised to."""
MIN_SECONDS = 0.5
MAX_SECONDS = 30.0
"""What is longer is heard so far."""


class SpeakerEncoder:
    """A network in memory."""

    def __init__(self, path: Path) -> None:
        """Raises ArtefactError naming the file."""
        self._weights = _read(path)

    def embed(self, samples: Samples) -> Voiceprint:
        """The voice in 16 kHz samples of one speaker, silence cut off.

        Raises InvalidInput for what is too short or silent, and for samples that are no numbers.
        """
        samples = samples[: int(MAX_SECONDS * SAMPLE_RATE)]
        if len(samples) < MIN_SECONDS * SAMPLE_RATE:
            raise InvalidInput(f"{MIN_SECONDS} seconds of speech are needed to tell who speaks", field="samples")
        loudness = float(np.sqrt(np.square(samples, dtype=np.float64).mean()))
        if not np.isfinite(loudness) or loudness == 0:
            raise InvalidInput("silence, or samples that are no numbers, do not tell who speaks", field="samples")
        louder = samples * np.float32(max(1.0, _LOUDNESS / loudness))
        return _unit(self._weights.voiceprints(_spans(louder)).mean(axis=0))


def _spans(samples: Samples) -> Floats:
    """Spectra of overlapping spans, the last one padded with silence or left out.  # (spans, frames, bands)"""
    frames = -(-(len(samples) + 1) // HOP)
    starts = list(range(0, max(1, frames - _SPAN_FRAMES + _STEP_FRAMES + 1), _STEP_FRAMES))
    covered = (len(samples) - starts[-1] * HOP) / (_SPAN_FRAMES * HOP)
    if covered < _LEAST_COVERED and len(starts) > 1:
        del starts[-1]
    missing = max(0, (starts[-1] + _SPAN_FRAMES) * HOP - len(samples))
    power = band_power(np.pad(samples, (WINDOW // 2, WINDOW // 2 + missing)), _BANDS)
    return np.stack([power[start : start + _SPAN_FRAMES] for start in starts])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """Of an LSTM."""

    inputs: Floats  # (inputs, 4 * hidden)
    hidden: Floats  # (hidden, 4 * hidden)
    bias: Floats

    def run(self, heard: Floats) -> Floats:
        """(spans, frames, inputs) -> (spans, frames, hidden)"""
        spans, frames, _ = heard.shape
        gates = heard @ self.inputs + self.bias
        hidden = np.zeros((spans, _HIDDEN), np.float32)
        cell = np.zeros_like(hidden)
        states = np.empty((spans, frames, _HIDDEN), np.float32)
        for frame in range(frames):
            step = gates[:, frame] + hidden @ self.hidden
            entry, forget, new, output = (step[:, place : place + _HIDDEN] for place in range(0, 4 * _HIDDEN, _HIDDEN))
            cell = _sigmoid(forget) * cell + _sigmoid(entry) * np.tanh(new)
            hidden = states[:, frame] = _sigmoid(output) * np.tanh(cell)
        return states


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weights:
    layers: tuple[_Layer, ...]
    projection: Floats  # (hidden, 256)
    bias: Floats

    def voiceprints(self, spans: Floats) -> Floats:
        """(spans, frames, bands) -> (spans, 256)"""
        for layer in self.layers:
            spans = layer.run(spans)
        return _unit(np.maximum(spans[:, -1] @ self.projection + self.bias, 0))


def _sigmoid(values: Floats) -> Floats:
    halves: Floats = 0.5 + 0.5 * np.tanh(0.5 * values)  # never overflows
    return halves


def _unit(vectors: Floats) -> Floats:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Floats = vectors / np.maximum(length, np.float32(1e-12))
    return unit


def _read(path: Path) -> _Weights:
    tensors = read_tensors(path, "model_state")

    def tensor(name: str, *shape: int) -> Floats:
        found = tensors.get(name)
        if found is None or found.shape != shape:
            raise ArtefactError(f"{path}: {name} is missing or of another shape: these are not Resemblyzer's weights")
        return np.ascontiguousarray(found.T)

    gates = 4 * _HIDDEN
    return _Weights(
        layers=tuple(
            _Layer(
                inputs=tensor(f"lstm.weight_ih_l{layer}", gates, _HIDDEN if layer else _BANDS),
                hidden=tensor(f"lstm.weight_hh_l{layer}", gates, _HIDDEN),
                bias=tensor(f"lstm.bias_ih_l{layer}", gates) + tensor(f"lstm.bias_hh_l{layer}", gates),
            )
            for layer in range(_LAYERS)
        ),
        projection=tensor("linear.weight", _HIDDEN, _HIDDEN),
        bias=tensor("linear.bias", _HIDDEN),
    )
