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
from engines.qat.checkpoints import load_state, module_weights
from engines.qat.fake_quant import exported, quantize_module

from .shape import BLOCK_SIZE, nano_config
from .tokenizer import write_vocabulary

_CARD = """---
license: apache-2.0
---

autoglm-phone-nano, trained at four bits by `python -m engines train autoglm-phone-nano`; what it gets right is in
engines/README.md.
"""


def quantize_nano(model: AutoGLMPhone) -> None:
    """Fake-quantize all matrices but those of routers, which decide rather than compute."""
    quantize_module(model, lambda name: not name.endswith("router"), BLOCK_SIZE, learned_scales=True)


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
    (folder / "README.md").write_text(_CARD, encoding="utf-8")


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


def read_float(training: Path) -> AutoGLMPhone | None:
    """The module as the float phase in this folder of training left it, None where none did. Raises CheckpointError."""
    found = load_state(training / "float") or load_state(training / "float-portable")
    if found is None:
        return None
    prefix = "model."  # of a Learner, beside its hints
    weights = {name: value.float() for name, value in module_weights(found[0]).items() if name.startswith(prefix)}
    model = AutoGLMPhone(nano_config())
    model.load_state_dict({name.removeprefix(prefix): value for name, value in weights.items()})
    return model.eval()


def _dense(codes: Tensor, scale: Tensor) -> Tensor:
    q = torch.stack((codes & 15, codes >> 4), dim=-1).float() - 8  # (rows, columns / 2, 2)
    return (q.view(*scale.shape, -1) * scale.float()[..., None]).view(codes.shape[0], -1)
