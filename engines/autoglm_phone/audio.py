"""The ears of autoglm_phone: a log-mel spectrum to embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .blocks import Block, projector, sinusoids
from .config import AudioConfig


class AudioTower(nn.Module):
    """Two strided convolutions, blocks, and neighbouring states to an embedding of the text model."""

    def __init__(self, config: AudioConfig, hidden_size: int) -> None:
        super().__init__()
        self.config = config
        wide = config.hidden_size
        self.conv1 = nn.Conv1d(config.num_mel_bins, wide, 3, stride=2, padding=1)
        self.conv2 = nn.Conv1d(wide, wide, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(wide, config.rms_norm_eps)
        self.projector = projector(config.merge_size * wide, hidden_size)
        self.states = torch.empty(0)
        """What `encode` gave last."""

    def forward(self, mel: Tensor) -> Tensor:
        """(batch, mel bins, frames), frames a multiple of the stride, to (batch, frames / stride, hidden_size)."""
        self.states = self.encode(mel)
        batch, states, wide = self.states.shape
        merge = self.config.merge_size
        tokens: Tensor = self.projector(self.states.reshape(batch, states // merge, merge * wide))
        return tokens

    def encode(self, mel: Tensor) -> Tensor:
        """A state for every four frames.  # (batch, frames / 4, hidden)"""
        x = functional.gelu(self.conv2(functional.gelu(self.conv1(mel)))).transpose(1, 2)
        x = x + sinusoids(x.shape[1], x.shape[2], x.device)
        for block in self.blocks:
            x = block(x)
        normed: Tensor = self.norm(x)
        return normed
