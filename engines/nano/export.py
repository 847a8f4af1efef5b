"""From the trained module to the checkpoint that is shipped, and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from engines.autoglm_phone.config import read_config
from engines.autoglm_phone.model import AutoGLMPhone
from engines.checkpoint.int4 import CODES, SCALE, write_int4_checkpoint
from engines.checkpoint.text_file import read_json
from engines.qat.fake_quant import exported

from .shape import BLOCK_SIZE
from .tokenizer import write_vocabulary


def write_checkpoint(folder: Path, model: AutoGLMPhone) -> None:
    """A folder that `python -m engines build` reads: integers as trained, all else as float16."""
    folder.mkdir(parents=True, exist_ok=True)
    integers = exported(model)
    parametrized = (".parametrizations.weight.original", ".parametrizations.weight.0.scale")
    floats = {
        name: value.float().cpu().numpy().astype(np.float16)
        for name, value in model.state_dict().items()
        if not name.endswith(parametrized)
    }
    write_int4_checkpoint(folder, model.config.to_json(), floats, integers, BLOCK_SIZE)
    write_vocabulary(folder)


def read_checkpoint(folder: Path) -> AutoGLMPhone:
    """The module with the numbers that the folder's integers stand for. Raises CheckpointError."""
    stored = load_file(folder / "model.safetensors")
    state = {name: value.float() for name, value in stored.items() if not name.endswith((CODES, SCALE))}
    for name, codes in stored.items():
        if name.endswith(CODES):
            weight = name.removesuffix(CODES)
            state[weight] = _dense(codes, stored[weight + SCALE])
    model = AutoGLMPhone(read_config(read_json(folder / "config.json")))
    model.load_state_dict(state)
    return model.eval()


def _dense(codes: Tensor, scale: Tensor) -> Tensor:
    q = torch.stack((codes & 15, codes >> 4), dim=-1).float() - 8  # (rows, columns / 2, 2)
    return (q.view(*scale.shape, -1) * scale.float()[..., None]).view(codes.shape[0], -1)
