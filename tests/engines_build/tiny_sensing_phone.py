"""Whole folders of the model type autoglm_phone, eyes and ears included, as floats and in INT4."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny_phone import is_quantized, rounded_int4, tiny_config

from engines.autoglm_phone.model import AutoGLMPhone
from engines.checkpoint.int4 import write_int4_checkpoint
from engines.quantize import Rounding, rounded
from tests.sensing_artefact import SPECIALS, TEMPLATE
from tests.tiny_artefact import tiny_tokenizer

CONTEXT = 512
BLOCK_SIZE = 32


def sensing_phone(seed: int = 0, scale: float = 0.5) -> AutoGLMPhone:
    """Random weights; the tokenizer is that of `tests.sensing_artefact`."""
    tokenizer = tiny_tokenizer(SPECIALS)
    config = tiny_config(vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=CONTEXT)
    config = replace(
        config,
        vision=replace(config.vision, min_pixels=32 * 32, max_pixels=50_176),
        audio=replace(config.audio, max_seconds=3),
        image_token_id=tokenizer.token_to_id("<|image|>"),
        audio_token_id=tokenizer.token_to_id("<|audio|>"),
    )
    torch.manual_seed(seed)
    model = AutoGLMPhone(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_tower = name.startswith(("model.visual.", "model.audio."))
            if name.endswith("bias"):
                parameter.normal_(0, 0.3)
            elif parameter.dim() == 1:
                parameter.uniform_(0.5, 1.5)
            else:
                parameter.normal_(0, (1.2 if is_tower else scale) / parameter[0].numel() ** 0.5)
    return model


def save_sensing_phone(model: AutoGLMPhone, folder: Path, *, int4: bool, **config: Any) -> Path:
    """As training exports it. In INT4 the model's own weights become what the integers stand for.

    The embedding table then is floats that INT8 in blocks of 32 represents as they are.
    config: instead of what config.json would say.
    """
    folder.mkdir(parents=True)
    table = model.model.embed_tokens.weight
    if int4:
        with torch.no_grad():
            table.copy_(torch.from_numpy(rounded(table.numpy(), Rounding(bits=8, block_size=32)).dense()))
    floats: dict[str, np.ndarray[Any, Any]] = {name: value.numpy() for name, value in model.state_dict().items()}
    integers = {}
    for name in [name for name in floats if int4 and (is_quantized(name) or is_tower_matrix(name))]:
        integers[name] = q, scale = rounded_int4(floats.pop(name), BLOCK_SIZE)
        dense = q * np.repeat(scale.astype(np.float32), q.shape[1] // scale.shape[1], axis=1)
        with torch.no_grad():
            model.get_parameter(name).copy_(torch.from_numpy(dense))
    write_int4_checkpoint(folder, model.config.to_json() | config, floats, integers, BLOCK_SIZE)
    if not int4:
        document = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        del document["quantization_config"]
        (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")
    tiny_tokenizer(SPECIALS).save(str(folder / "tokenizer.json"))
    settings = {"eos_token": "<|endoftext|>", "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def is_tower_matrix(name: str) -> bool:
    is_matrix = name.endswith(".weight") and ("blocks" in name or "projector" in name) and "norm" not in name
    return is_matrix and name.startswith(("model.visual.", "model.audio."))
