"""From the trained module to the checkpoint that is shipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.autoglm_phone.model import AutoGLMPhone
from engines.checkpoint.int4 import write_int4_checkpoint
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
