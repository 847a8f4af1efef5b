"""The eyes of autoglm_phone: pixels to embeddings."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edged.vision.tower_inputs import cubic_weights

from .blocks import Block, projector
from .config import VisionConfig

STRIDED = 3
"""Convolutions of the stem that make the picture smaller; those after them are added to what they read."""


class VisionTower(nn.Module):
    """Convolutions, blocks, and 2 x 2 neighbours to an embedding of the text model."""

    def __init__(self, config: VisionConfig, hidden_size: int) -> None:
        super().__init__()
        self.config = config
        first, second = config.stem_channels
        wide, patch = config.hidden_size, config.patch_size
        self.stem = nn.ModuleList(
            [
                nn.Conv2d(3, first, patch, stride=patch),
                nn.Conv2d(first, second, 3, stride=2, padding=1),
                nn.Conv2d(second, wide, 3, stride=2, padding=1),
                *(nn.Conv2d(wide, wide, 3, padding=1) for _ in range(config.stem_residuals)),
            ]
        )
        self.position_embedding = nn.Embedding(config.position_side**2, wide)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(wide, config.rms_norm_eps)
        self.projector = projector(config.merge_size**2 * wide, hidden_size)
        self.states = torch.empty(0)
        """What `encode` gave last."""

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (batch, 3, height, width) to (batch, tokens, hidden_size), row by row.

        Height and width are multiples of 2 x stride.
        """
        self.states = self.encode(pixels)
        batch, rows, columns, wide = self.states.shape
        merge = self.config.merge_size
        squares = self.states.view(batch, rows // merge, merge, columns // merge, merge, wide)
        tokens: Tensor = self.projector(squares.transpose(2, 3).reshape(batch, -1, merge * merge * wide))
        return tokens

    def encode(self, pixels: Tensor) -> Tensor:
        """A state for each stride x stride pixels.  # (batch, rows, columns, hidden)"""
        pixels = pixels.contiguous(memory_format=torch.channels_last)  # as fast kernels of convolutions want them
        for index, convolution in enumerate(self.stem):
            convolved = convolution(functional.gelu(pixels) if index else pixels)
            pixels = pixels + convolved if index >= STRIDED else convolved
        batch, wide, rows, columns = pixels.shape
        x = pixels.flatten(2).transpose(1, 2).float() + self.positions(rows, columns)
        for block in self.blocks:
            x = block(x)
        states: Tensor = self.norm(x).view(batch, rows, columns, wide)
        return states

    def positions(self, rows: int, columns: int) -> Tensor:
        """The table, resampled bicubically to a picture of so many states.  # (rows * columns, hidden)"""
        side, wide = self.config.position_side, self.config.hidden_size
        table = self.position_embedding.weight.view(side, side * wide)
        high, broad = (_resampling(count, side, table.device) for count in (rows, columns))
        return torch.matmul(broad, (high @ table).view(rows, side, wide)).reshape(rows * columns, wide)


@functools.cache
def _resampling(count: int, side: int, device: torch.device) -> Tensor:
    """Weights of a table's sides in so many states.  # float32 (count, side)"""
    return torch.from_numpy(cubic_weights(np.arange(count), count, side)).float().to(device)
