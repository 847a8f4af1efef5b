"""Folders of the model type autoglm_phone with a text model of a few hundred kilobytes, as floats and in INT4."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny_checkpoints import CONTEXT, VOCAB_SIZE, save_vocabulary
from torch.nn import functional

from edged.engine.session import Sight
from engines.autoglm_phone.config import AudioConfig, PhoneConfig, TextConfig, VisionConfig
from engines.autoglm_phone.model import TEXT, AutoGLMPhone, rotary_turns
from engines.checkpoint.int4 import write_int4_checkpoint
from engines.quantize import Rounding, rounded

BLOCK_SIZE = 32
TOWERS = ("model.visual.", "model.audio.")
TYPES = [0, 0, 0, 1, 1, 1, 1, 0, 2, 2, 2, 0, 0, 1, 1, 0, 2, 0, 0, 0]
"""Text around two pictures and two recordings."""


def tiny_config(**overrides: Any) -> PhoneConfig:
    settings: dict[str, Any] = {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 96,
        "vision_adapter_rank": 16,
        "audio_adapter_rank": 32,
        "max_position_embeddings": CONTEXT,
    }
    tower: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return PhoneConfig(
        text=TextConfig(**settings | overrides),
        vision=VisionConfig(**tower, intermediate_size=64, stem_channels=(16, 16)),
        audio=AudioConfig(**tower, intermediate_size=64),
        image_token_id=3,
        audio_token_id=4,
    )


def tiny_phone(seed: int = 0, scale: float = 1.5, **overrides: Any) -> AutoGLMPhone:
    """Random weights, large enough that every part of it matters."""
    torch.manual_seed(seed)
    model = AutoGLMPhone(tiny_config(**overrides)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("adapter.gate") or parameter.dim() == 1:
                parameter.uniform_(0.5, 1.5)
            else:
                parameter.normal_(0, scale / parameter.shape[1] ** 0.5)
    return model


def text_tensors(model: AutoGLMPhone) -> dict[str, np.ndarray[Any, Any]]:
    """Of the text model."""
    return {name: value.detach().numpy() for name, value in model.named_parameters() if not name.startswith(TOWERS)}


def save_phone(model: AutoGLMPhone, folder: Path) -> Path:
    """The text model as floats."""
    folder.mkdir(parents=True)
    write_int4_checkpoint(folder, text_config(model), text_tensors(model), {}, BLOCK_SIZE)
    return save_vocabulary(folder)


def save_int4(model: AutoGLMPhone, folder: Path, block_size: int = BLOCK_SIZE) -> Path:
    """The text model with its matrices rounded; the model's own become what the integers stand for.

    The embedding table is stored as floats that INT8 in blocks of 32 represents as they are.
    """
    folder.mkdir(parents=True)
    with torch.no_grad():
        table = model.model.embed_tokens.weight
        table.copy_(torch.from_numpy(rounded(table.numpy(), Rounding(bits=8, block_size=32)).dense()))
    floats, integers = text_tensors(model), {}
    for name in [name for name in floats if is_quantized(name)]:
        integers[name] = q, scale = rounded_int4(floats.pop(name), block_size)
        dense = q * np.repeat(scale.astype(np.float32), q.shape[1] // scale.shape[1], axis=1)
        with torch.no_grad():
            model.get_parameter(name).copy_(torch.from_numpy(dense))
    write_int4_checkpoint(folder, text_config(model), floats, integers, block_size)
    return save_vocabulary(folder)


def is_quantized(name: str) -> bool:
    return name.startswith("model.layers.") and "norm" not in name and name.endswith("weight") and "router" not in name


def rounded_int4(weight: np.ndarray[Any, Any], block_size: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """q (rows, columns) and scale (rows, blocks), as training exports them."""
    rows, columns = weight.shape
    blocks = weight.reshape(rows, -1, min(block_size, columns))
    scale = (np.abs(blocks).max(-1) / 7).astype(np.float16)
    q = np.clip(np.rint(blocks / scale[..., None].astype(np.float32)), -8, 7).astype(np.int8)
    return q.reshape(rows, columns), scale


def text_config(model: AutoGLMPhone) -> dict[str, Any]:
    """config.json without the towers."""
    whole = model.config.to_json()
    return {key: whole[key] for key in ("architectures", "model_type", "text_config")}


def a_sight(types: Sequence[int], hidden_size: int = 64, seed: int = 0) -> Sight:
    """Random rows where something stands."""
    rows = np.random.default_rng(seed).standard_normal((len(types), hidden_size)).astype(np.float32)
    kinds = np.array(types, np.int64)
    return Sight(
        positions=np.tile(np.arange(len(types)), (3, 1)),
        embeddings=np.where(kinds[:, None] > 0, rows, 0),
        types=kinds,
    )


def mixed_tokens(types: Sequence[int], seed: int = 0) -> list[int]:
    """Text, and numbers below 0 where something stands."""
    text = np.random.default_rng(seed).integers(5, VOCAB_SIZE, len(types))
    return np.where(np.array(types) > 0, -1 - np.arange(len(types)), text).tolist()


@torch.no_grad()
def torch_logits(
    model: AutoGLMPhone, tokens: Sequence[int], sight: Sight
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Scores (tokens, vocabulary), and those of the routers (layers, tokens, experts); rows of towers are given."""
    text, types = model.config.text, torch.from_numpy(sight.types)[None]
    embedded = model.model.embed_tokens(torch.tensor([tokens]).clamp(min=0))
    x = torch.where((types == TEXT)[..., None], embedded, torch.from_numpy(sight.embeddings)[None])
    masks = [(types == kind).float()[..., None] for kind in (1, 2)]
    turns = rotary_turns(len(tokens), text.head_dim, text.rope_theta, x.device)
    for layer in model.model.layers:
        x = layer(x, masks, turns)
    routers = np.stack([mixture.router_logits.numpy() for mixture in model.mixtures()])
    return functional.linear(model.model.norm(x), model.model.embed_tokens.weight)[0].numpy(), routers
