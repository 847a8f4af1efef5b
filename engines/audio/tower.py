"""The ears of autoglm_phone: sizes, names, shapes, and what they compute.

Two strided convolutions over a log-mel spectrum, sines and cosines for the places, blocks of attention, and
neighbours projected to the text model's width. `engines.autoglm_phone.audio` is the same in PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edged.audio.mel import MelFormat
from edged.errors import CheckpointError
from engines.autoglm_phone.config import AudioConfig, read_section
from engines.encoder.reference import Weights, convolved, encoded, gelu, projected, stored_weights, weights_of
from engines.encoder.sizes import check_encoder, check_tensors, expected_encoder
from engines.reference.arrays import Array, Arrays, numpy_arrays
from engines.tensor import Floats, Tensor

_MOST_RATE, _MOST_BINS, _MOST_WINDOW, _MOST_SECONDS = 192_000, 1024, 2**14, 3600
STRIDE, PADDING = 2, 1
"""Of each convolution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioTower:
    """Sizes, and the tensors behind them."""

    config: AudioConfig
    width: int
    """Of the text model."""
    tensors: Mapping[str, Tensor]
    """By the checkpoint's names without `model.audio.`; exactly those of `expected_shapes`."""

    @property
    def mel_format(self) -> MelFormat:
        """How it wants its recordings."""
        config = self.config
        return MelFormat(
            sample_rate=config.sample_rate,
            mel_bins=config.num_mel_bins,
            window=config.window,
            hop=config.hop,
            frames_per_token=config.stride,
        )

    def frequencies(self) -> Floats:
        """Angle per state of each pair of channels.  # (1, hidden / 2)"""
        half = self.config.hidden_size // 2
        return np.asarray(10000.0 ** -(np.arange(half) / (half - 1))[None], np.float32)

    def weights(self, arrays: Arrays | None = None) -> Weights:
        """The checkpoint's own, for `embeddings`."""
        return stored_weights(self.tensors, arrays or numpy_arrays())


def read_audio_tower(config: Mapping[str, object], tensors: Mapping[str, Tensor], width: int) -> AudioTower:
    """From config.json and the audio tensors, for a text model of that width. Raises CheckpointError."""
    found = read_section(AudioConfig, config, "audio_config")
    check_encoder(found, "audio_config")
    if found.sample_rate > _MOST_RATE or found.num_mel_bins > _MOST_BINS or found.max_seconds > _MOST_SECONDS:
        raise CheckpointError(
            f"config.json: audio_config: {found.num_mel_bins} bands of {found.sample_rate} samples a second, for "
            f"{found.max_seconds} seconds, are not possible"
        )
    if not found.hop <= found.window <= _MOST_WINDOW:
        raise CheckpointError(
            f"config.json: audio_config: frames of {found.window} samples every {found.hop} are not possible"
        )
    check_tensors(expected_shapes(found, width), tensors, "audio")
    return AudioTower(config=found, width=width, tensors=tensors)


def expected_shapes(config: AudioConfig, width: int) -> dict[str, tuple[int, ...]]:
    """Every tensor of the tower."""
    hidden = config.hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "conv1.weight": (hidden, config.num_mel_bins, 3),
        "conv1.bias": (hidden,),
        "conv2.weight": (hidden, hidden, 3),
        "conv2.bias": (hidden,),
    }
    return shapes | expected_encoder(config, config.merge_size, width)


def embeddings(tower: AudioTower, inputs: Mapping[str, Array], weights: Weights, arrays: Arrays | None = None) -> Array:
    """What the text model is given for one recording; inputs as of the graph.  # (tokens, width)"""
    arrays = arrays or numpy_arrays()
    xp, config = arrays.xp, tower.config
    x = xp.permute_dims(inputs["mel"], (1, 0, 2))  # (mel bins, 1, frames)
    for name in ("conv1", "conv2"):
        x = gelu(convolved(x, _flat_kernel(weights, name), stride=(1, STRIDE), padding=(0, PADDING), xp=xp), xp)
    x = x[:, 0, :].T
    angles = arrays.of(np.arange(len(x), dtype=np.float32)[:, None] * tower.frequencies())
    x = x + xp.concat([xp.sin(angles), xp.cos(angles)], axis=1)
    x = encoded(config, x, weights, arrays)
    return projected(xp.reshape(x, (-1, config.merge_size * config.hidden_size)), weights, xp)


def _flat_kernel(weights: Weights, name: str) -> Weights:
    """A kernel along one axis as one along the second of two."""
    inner = weights_of(weights, f"{name}.")
    return lambda part: inner(part)[:, :, None, :] if part == "weight" else inner(part)
