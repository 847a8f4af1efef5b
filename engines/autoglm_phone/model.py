"""The text model with its adapters, and the whole of autoglm_phone around it.

Module names are those of the checkpoint's tensors. The graphs in engines/graph compute the same.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .audio import AudioTower
from .config import PhoneConfig, TextConfig
from .experts import MixtureOfExperts
from .vision import VisionTower

TEXT, IMAGE, AUDIO = range(3)
"""Types of tokens."""


class Attention(nn.Module):
    """Grouped-query attention on what came before, with rotary positions."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        hidden, size = config.hidden_size, config.head_dim
        self.q_proj = nn.Linear(hidden, config.num_attention_heads * size, bias=False)
        self.k_proj = nn.Linear(hidden, config.num_key_value_heads * size, bias=False)
        self.v_proj = nn.Linear(hidden, config.num_key_value_heads * size, bias=False)
        self.o_proj = nn.Linear(config.num_attention_heads * size, hidden, bias=False)

    def forward(self, x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
        """(batch, tokens, hidden) to the same; turns: cosines and sines (tokens, head_dim / 2)."""
        batch, tokens, _ = x.shape
        cut = (batch, tokens, -1, self.config.head_dim)
        q, k, v = (project(x).view(cut).transpose(1, 2) for project in (self.q_proj, self.k_proj, self.v_proj))
        mixed = functional.scaled_dot_product_attention(
            _turned(q, turns), _turned(k, turns), v, is_causal=True, enable_gqa=True
        )
        return cast(Tensor, self.o_proj(mixed.transpose(1, 2).reshape(batch, tokens, -1)))


def _turned(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    cos, sin = (turn.to(x.dtype) for turn in turns)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Adapter(nn.Module):
    """up(gate * silu(down(x))), of low rank, for the tokens of one type."""

    def __init__(self, hidden_size: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(hidden_size, rank, bias=False)
        self.up = nn.Linear(rank, hidden_size, bias=False)
        self.gate = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor, is_mine: Tensor) -> Tensor:
        """(batch, tokens, hidden) to the same, nothing where the mask (batch, tokens, 1) is 0."""
        return cast(Tensor, self.up(functional.silu(self.down(x)) * (self.gate * is_mine)))


class DecoderLayer(nn.Module):
    """Adapters, attention, experts."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        hidden, epsilon = config.hidden_size, config.rms_norm_eps
        self.adapter_norm = nn.RMSNorm(hidden, epsilon)
        self.vision_adapter = Adapter(hidden, config.vision_adapter_rank)
        self.audio_adapter = Adapter(hidden, config.audio_adapter_rank)
        self.input_layernorm = nn.RMSNorm(hidden, epsilon)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = nn.RMSNorm(hidden, epsilon)
        self.mlp = MixtureOfExperts(config)

    def forward(self, x: Tensor, masks: tuple[Tensor, Tensor], turns: tuple[Tensor, Tensor]) -> Tensor:
        """(batch, tokens, hidden) to the same; masks: 1 at tokens of pictures, and of recordings."""
        adapted = self.adapter_norm(x)
        x = x + self.vision_adapter(adapted, masks[0]) + self.audio_adapter(adapted, masks[1])
        x = x + self.self_attn(self.input_layernorm(x), turns)
        return cast(Tensor, x + self.mlp(self.post_attention_layernorm(x)))


class TextModel(nn.Module):
    """Embeddings to final states."""

    def __init__(self, config: PhoneConfig) -> None:
        super().__init__()
        text = config.text
        self.embed_tokens = nn.Embedding(text.vocab_size, text.hidden_size)
        self.visual = VisionTower(config.vision, text.hidden_size)
        self.audio = AudioTower(config.audio, text.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(text) for _ in range(text.num_hidden_layers))
        self.norm = nn.RMSNorm(text.hidden_size, text.rms_norm_eps)


class AutoGLMPhone(nn.Module):
    """Text, pictures and recordings in one sequence, to scores of the next token."""

    def __init__(self, config: PhoneConfig) -> None:
        super().__init__()
        self.config = config
        self.model = TextModel(config)
        self.apply(_initialised)

    def forward(
        self, tokens: Tensor, types: Tensor, pixels: Tensor | None = None, mels: Tensor | None = None
    ) -> Tensor:
        """Final states of every position.

        tokens, types: (batch, tokens); what stands in `tokens` where `types` is not TEXT does not count.
        pixels: (pictures, 3, height, width), mels: (recordings, mel bins, frames), in the order in which their
        tokens follow each other, sequence by sequence. Returns (batch, tokens, hidden).
        """
        model, text = self.model, self.config.text
        x = model.embed_tokens(torch.where(types == TEXT, tokens, 0)).float()
        for kind, tower, given in ((IMAGE, model.visual, pixels), (AUDIO, model.audio, mels)):
            if given is not None:
                x = _placed(x, types == kind, tower(given).flatten(0, 1))
        masks = tuple((types == kind).to(x.dtype)[..., None] for kind in (IMAGE, AUDIO))
        turns = rotary_turns(tokens.shape[1], text.head_dim, text.rope_theta, tokens.device)
        for layer in model.layers:
            x = layer(x, masks, turns)
        return cast(Tensor, model.norm(x))

    def logits(self, states: Tensor) -> Tensor:
        """Scores of the vocabulary for final states (..., hidden)."""
        return functional.linear(states, self.model.embed_tokens.weight)

    def mixtures(self) -> list[MixtureOfExperts]:
        """The experts of every layer."""
        return [cast(MixtureOfExperts, layer.mlp) for layer in self.model.layers]


def _placed(x: Tensor, is_there: Tensor, embeddings: Tensor) -> Tensor:
    """The embeddings where the mask (batch, tokens) says, in its order; as many as there are such places.

    Like masked_scatter, whose gradient asks a GPU how many they are.
    """
    places = (~is_there).flatten().to(torch.uint8).argsort(stable=True)[: len(embeddings)]
    return x.flatten(0, 1).index_copy(0, places, embeddings.to(x.dtype)).view_as(x)


def rotary_turns(tokens: int, head_dim: int, theta: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the positions 0, 1, 2 ...  # (tokens, head_dim / 2) each"""
    frequencies = theta ** -(torch.arange(0, head_dim, 2, device=device) / head_dim)
    angles = torch.arange(tokens, device=device)[:, None] * frequencies
    return angles.cos(), angles.sin()


def _initialised(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv1d):
        nn.init.trunc_normal_(module.weight, std=(module.weight[0].numel()) ** -0.5, a=-1, b=1)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
