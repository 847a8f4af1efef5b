"""From a trained student to a checkpoint that `python -m engines build` reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edged.errors import InvalidInput
from engines.architecture import Architecture
from engines.checkpoint import Checkpoint
from engines.checkpoint.int4 import write_int4_checkpoint
from engines.checkpoint.names import hugging_face
from engines.rope import rope_from

from .decoder import Decoder
from .fake_quant import exported


def write_checkpoint(folder: Path, model: Decoder, checkpoint: Checkpoint, block_size: int) -> None:
    """Replace the folder: integers as trained, all else in float32, the vocabulary of the checkpoint."""
    beside = folder.with_name(folder.name + ".new")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    arch = checkpoint.architecture
    integers = {_hugging_face_name(name, arch): value for name, value in exported(model).items()}
    floats: dict[str, NDArray[np.floating]] = {
        _hugging_face_name(name, arch): value.float().cpu().numpy()
        for name, value in model.state_dict().items()
        if ".parametrizations." not in name
    }
    floats["model.embed_tokens.weight"] = model.table.float().cpu().numpy()
    if not arch.tied:
        floats["lm_head.weight"] = model.head.float().cpu().numpy()
    write_int4_checkpoint(beside, _config(checkpoint), floats, integers, block_size)
    _write_vocabulary(beside, checkpoint)
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)


def _hugging_face_name(name: str, arch: Architecture) -> str:
    """layers.0.q.weight -> model.layers.0.self_attn.q_proj.weight"""
    naming = hugging_face(arch.model_type)
    if not name.startswith("layers."):
        return f"model.{name}"
    _, number, part, leaf = name.split(".")
    theirs = {ours: theirs for theirs, ours in naming.parts.items()}
    return f"model.layers.{number}.{theirs[part]}.{leaf}"


def _config(checkpoint: Checkpoint) -> Mapping[str, object]:
    arch, vocabulary = checkpoint.architecture, checkpoint.vocabulary
    return {
        "model_type": arch.model_type,
        "vocab_size": arch.vocab_size,
        "hidden_size": arch.hidden_size,
        "intermediate_size": arch.intermediate_size,
        "num_hidden_layers": arch.layers,
        "num_attention_heads": arch.heads,
        "num_key_value_heads": arch.kv_heads,
        "head_dim": arch.head_dim,
        "hidden_act": arch.activation,
        "rms_norm_eps": arch.norm_epsilon,
        "rope_theta": _theta(arch),
        "max_position_embeddings": arch.context_length,
        "tie_word_embeddings": arch.tied,
        "bos_token_id": vocabulary.bos,
        "eos_token_id": list(vocabulary.eos),
    }


def _theta(arch: Architecture) -> float:
    """The base of the rotary frequencies. Raises InvalidInput where they are scaled."""
    rope = arch.ropes[0]
    theta = float(f"{rope.frequencies[1] ** -len(rope.frequencies):.6g}")
    plain = rope_from({}, theta=theta, rotary_dim=arch.head_dim, context=arch.context_length)
    if any(each != rope for each in arch.ropes) or not np.allclose(plain.frequencies, rope.frequencies, rtol=1e-6):
        raise InvalidInput(f"a {arch.model_type} with scaled rotary positions cannot be trained here")
    return theta


def _write_vocabulary(folder: Path, checkpoint: Checkpoint) -> None:
    vocabulary = checkpoint.vocabulary
    settings = {"bos_token": vocabulary.bos_text, "eos_token": vocabulary.eos_text}
    (folder / "tokenizer.json").write_text(vocabulary.tokenizer, encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "chat_template.jinja").write_text(vocabulary.chat_template, encoding="utf-8")
    (folder / "README.md").write_text(
        f"---\nlicense: {checkpoint.license}\n---\n\n{checkpoint.title}, its matrices trained in four bits.\n",
        encoding="utf-8",
    )
