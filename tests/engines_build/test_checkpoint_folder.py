"""Hugging Face folders: data types, shards, and what is wrong with a folder said in one line."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from tiny_checkpoints import save_folder, tiny_model
from tokenizers import Tokenizer

from edged.errors import CheckpointError
from engines.checkpoint import checkpoint_sha256, open_checkpoint
from engines.gate import read_text


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


def test_a_folder_of_gguf_files_is_answered_with_their_names(tmp_path: Path) -> None:
    (tmp_path / "model.Q4_0.gguf").touch()
    for read in (open_checkpoint, checkpoint_sha256):
        with pytest.raises(
            CheckpointError, match=r"no config.json .*; name one of its GGUF files instead: model.Q4_0.gguf"
        ):
            read(tmp_path)


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
        (
            "rope_parameters",
            {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1.0},
            "yarn is not possible with base 1",
        ),
        (
            "rope_parameters",
            {"partial_rotary_factor": 0.5, "rope_theta": 1e4},
            "partial_rotary_factor is not supported",
        ),
        ("head_dim", 2**39, "rope of 549755813888 values .* is not possible"),
        ("max_position_embeddings", 0, "context_length is 0"),
    ],
)
def test_wrong_configurations(key: str, value: Any, message: str, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps(config | {key: value}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(folder)


def test_yarn_over_no_context_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_bytes())
    config |= {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4}, "max_position_embeddings": 0}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(CheckpointError, match="yarn is not possible with base 10000 and a context of 0"):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    ("model_type", "settings", "windows"),
    [
        ("llama", {"sliding_window": 8}, (0, 0)),
        ("mistral", {"sliding_window": 8}, (8, 8)),
        ("qwen2", {"sliding_window": 8}, (0, 0)),
        ("qwen2", {"sliding_window": 8, "use_sliding_window": True, "max_window_layers": 1}, (0, 8)),
        ("qwen3", {"sliding_window": 8, "use_sliding_window": True}, (0, 0)),
    ],
)
def test_windows_are_those_of_transformers_defaults(
    model_type: str, settings: dict[str, Any], windows: tuple[int, ...], tmp_path: Path
) -> None:
    """A config.json may leave keys out; then the defaults of the model type count."""
    folder = save_folder(tiny_model(model_type), tmp_path / "model")
    config = json.loads((folder / "config.json").read_bytes())
    for key in ("sliding_window", "use_sliding_window", "max_window_layers", "layer_types"):
        config.pop(key, None)
    (folder / "config.json").write_text(json.dumps(config | settings), encoding="utf-8")
    assert open_checkpoint(folder).architecture.windows == windows


@pytest.mark.parametrize(
    ("shape", "offsets", "message"),
    [
        ([16], [-4, 60], "lies outside the file"),
        ([16], [60, 0], "lies outside the file"),
        ([2**39, 2**39], [0, 2**80], "lies outside the file"),
        ([16], [2**62, 2**62 + 64], "lies outside the file"),
        ([-1, -16], [0, 64], "not described as the format wants it"),
        ([2**70], [0, 64], "not described as the format wants it"),
        ([], [0, 4], "missing"),
    ],
)
def test_hostile_headers(shape: list[int], offsets: list[int], message: str, folder: Path) -> None:
    header = json.dumps({"model.norm.weight": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(folder)


def test_weights_that_are_no_file_are_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.unlink()
    weights.mkdir()
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be read: Is a directory"):
        open_checkpoint(folder)
    weights.rmdir()
    weights.symlink_to(weights.name)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be read: Too many levels"):
        open_checkpoint(folder)


def test_weights_in_another_layout_beside_the_indexed_ones_are_left_alone(folder: Path) -> None:
    whole = open_checkpoint(folder)
    names = dict.fromkeys(safetensors.torch.load_file(folder / "model.safetensors"), "model-00001-of-00001.safetensors")
    (folder / "consolidated.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    assert open_checkpoint(folder).tensors.keys() == whole.tensors.keys()
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": names}), encoding="utf-8")
    assert open_checkpoint(folder).tensors.keys() == whole.tensors.keys()
    index.write_text(json.dumps({"weight_map": names | {"x": "00002"}}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="00002 is missing"):
        open_checkpoint(folder)


def edited_tokenizer(folder: Path, **changes: Any) -> Path:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes), encoding="utf-8")
    return folder


def test_a_tokenizer_that_cuts_and_fills_texts_no_longer_does(folder: Path) -> None:
    cut = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    fill = {"direction": "Right", "pad_id": 0, "pad_type_id": 0, "pad_token": "x", "pad_to_multiple_of": None}
    edited_tokenizer(folder, truncation=cut, padding=fill | {"strategy": {"Fixed": 600}})
    tokenizer = Tokenizer.from_str(open_checkpoint(folder).vocabulary.tokenizer)
    assert len(tokenizer.encode("the lighthouse").ids) == 11


def test_tokens_that_a_post_processor_invents_are_refused(folder: Path) -> None:
    start, text = {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    special = {"<s>": {"id": "<s>", "ids": [999999], "tokens": ["<s>"]}}
    template = {"type": "TemplateProcessing", "single": [start, text], "pair": [text, text], "special_tokens": special}
    edited_tokenizer(folder, post_processor=template)
    with pytest.raises(CheckpointError, match="tokens beyond the 272 rows"):
        open_checkpoint(folder)


def test_a_tokenizer_that_makes_its_library_panic_is_refused(folder: Path) -> None:
    edited_tokenizer(folder, normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"})
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: not a tokenizer"):
        open_checkpoint(folder)


def test_a_context_without_room_to_measure_in_is_refused(folder: Path) -> None:
    tokenizer = open_checkpoint(folder).vocabulary.tokenizer
    with pytest.raises(CheckpointError, match="a context of 1 tokens leaves no room"):
        read_text("harbour", tokenizer, 1)


def test_a_truncated_file_is_said_to_be_one(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-1])
    with pytest.raises(CheckpointError, match="lies outside the file"):
        open_checkpoint(folder)
