"""What both towers are made of: transformer blocks that see everything, and the way into the text model."""

from __future__ import annotations

import functools
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import AudioConfig, VisionConfig


class SelfAttention(nn.Module):
    """Every state sees every other one of its picture or recording."""

    def __init__(self, hidden_size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.proj = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, states, hidden) to the same."""
        batch, states, hidden = x.shape
        qkv = self.qkv(x).view(batch, states, 3, self.heads, hidden // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        return cast(Tensor, self.proj(mixed.transpose(1, 2).reshape(batch, states, hidden)))


class Mlp(nn.Module):
    """fc2(GELU(fc1(x)))"""

    def __init__(self, hidden_size: int, intermediate_size: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden_size, intermediate_size)
        self.fc2 = nn.Linear(intermediate_size, hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """(..., hidden) to the same."""
        return cast(Tensor, self.fc2(functional.gelu(self.fc1(x))))


class Block(nn.Module):
    """Attention, then an MLP, each normed before and added."""

    def __init__(self, config: VisionConfig | AudioConfig) -> None:
        super().__init__()
        self.norm1 = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.attn = SelfAttention(config.hidden_size, config.num_attention_heads)
        self.norm2 = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = Mlp(config.hidden_size, config.intermediate_size)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, states, hidden) to the same."""
        x = x + self.attn(self.norm1(x))
        return cast(Tensor, x + self.mlp(self.norm2(x)))


def projector(width: int, hidden_size: int) -> nn.Sequential:
    """From merged states to embeddings of the text model."""
    return nn.Sequential(nn.Linear(width, hidden_size), nn.GELU(), nn.Linear(hidden_size, hidden_size))


@functools.cache
def sinusoids(states: int, channels: int, device: torch.device) -> Tensor:
    """Positions that need no weights: sines in the first half of the channels, cosines in the second.

    (states, channels). Source: Vaswani et al. 2017, arXiv:1706.03762, in the layout of Whisper.
    """
    half = channels // 2
    frequencies = torch.pow(10000.0, -torch.arange(half) / (half - 1))
    angles = torch.arange(states)[:, None] * frequencies
    return torch.cat((angles.sin(), angles.cos()), dim=1).to(device)
