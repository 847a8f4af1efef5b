"""Hugging Face folders: data types, shards, and what is wrong with a folder said in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from tiny_checkpoints import save_folder, tiny_model

from edged.errors import CheckpointError
from engines.checkpoint import checkpoint_sha256, open_checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_folder(tiny_model("qwen2", tie_word_embeddings=False), tmp_path / "model")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_data_types(dtype: torch.dtype, tmp_path: Path) -> None:
    model = tiny_model("llama")
    checkpoint = open_checkpoint(save_folder(model, tmp_path / "model", dtype))
    expected = model.model.embed_tokens.weight.detach().to(dtype).float().numpy()
    np.testing.assert_array_equal(checkpoint.tensors["embedding.weight"].read(), expected)
    assert checkpoint.encoding == {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}[dtype]


def test_shards_are_one_checkpoint(folder: Path) -> None:
    whole = open_checkpoint(folder)
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    names = sorted(tensors)
    (folder / "model.safetensors").unlink()
    for index, part in enumerate((names[::2], names[1::2])):
        safetensors.torch.save_file({name: tensors[name] for name in part}, folder / f"model-{index}.safetensors")
    sharded = open_checkpoint(folder)
    assert sharded.tensors.keys() == whole.tensors.keys()
    np.testing.assert_array_equal(
        sharded.tensors["layers.1.q.weight"].read(), tensors["model.layers.1.self_attn.q_proj.weight"].numpy()
    )


def test_licence_and_title_come_from_the_folder(folder: Path) -> None:
    assert open_checkpoint(folder).license == "unknown"
    (folder / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    assert (open_checkpoint(folder).license, open_checkpoint(folder).title) == ("mit", "model")


def test_the_hash_covers_every_file(folder: Path) -> None:
    before = checkpoint_sha256(folder)
    assert checkpoint_sha256(folder) == before
    (folder / "config.json").write_bytes((folder / "config.json").read_bytes() + b"\n")
    assert checkpoint_sha256(folder) != before


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", "{", "config.json: not valid JSON"),
        ("config.json", "[]", "config.json: must hold an object"),
        (
            "config.json",
            '{"model_type": "gpt2"}',
            "'gpt2' is not supported; supported are llama, mistral, qwen2, qwen3",
        ),
        ("config.json", None, "no config.json in the folder"),
        ("tokenizer.json", None, "no tokenizer.json in the folder"),
        ("tokenizer.json", "{}", "tokenizer.json: not a tokenizer"),
        ("model.safetensors", None, r"no \*.safetensors in the folder"),
        ("model.safetensors", "xxxxxxxxxxxxx", "not a safetensors file"),
        ("model.safetensors", "", "not a safetensors file"),
    ],
)
def test_broken_files(file: str, content: str | None, message: str, folder: Path) -> None:
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("hidden_act", "gelu", "hidden_act 'gelu' is not supported, only silu"),
        ("hidden_size", "many", "hidden_size must be a positive whole number"),
        ("num_attention_heads", 0, "num_attention_heads must be"),
        ("num_hidden_layers", 3, r"12 tensors are missing: layers.2.attention_norm.weight"),
        ("num_hidden_layers", 10**9, "layers are not possible"),
        ("num_hidden_layers", 1, r"tensors have no place in a qwen2: layers.1"),
        ("num_key_value_heads", 3, "cannot share 3 key/value heads"),
        ("vocab_size", 100, "embedding.weight has the shape"),
        ("rope_parameters", {"rope_type": "longrope", "rope_theta": 1e4}, "'longrope' is not supported; supported are"),
        ("rope_parameters", {"rope_type": "linear"}, "factor must be a positive number"),
        ("rope_parameters", {"rope_theta": -1}, "rope_theta must be a positive number"),
    ],
)
def test_wrong_configurations(key: str, value: Any, message: str, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps(config | {key: value}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(folder)


def test_a_truncated_file_is_said_to_be_one(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-1])
    with pytest.raises(CheckpointError, match="lies outside the file"):
        open_checkpoint(folder)
