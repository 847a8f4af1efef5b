"""Folders of the model type autoglm_phone: what is read of them, bit for bit, and what is refused in one line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from tiny_phone import (
    BLOCK_SIZE,
    is_quantized,
    rounded_int4,
    save_int4,
    save_phone,
    text_tensors,
    tiny_config,
    tiny_phone,
)

from edged.errors import CheckpointError
from engines.architecture import Architecture
from engines.autoglm_phone.config import FULL_SIZE, TextConfig
from engines.checkpoint import open_checkpoint
from engines.checkpoint.config import read_architecture, text_config
from engines.checkpoint.int4 import packed_codes, write_int4_checkpoint, write_safetensors
from engines.quantize import Rounding, kept, quantized, quantized_beside

KEEP = Rounding(bits=4, block_size=128)
"""Another block size than the checkpoint's, which gives way to it."""


def architecture_of(text: TextConfig) -> Architecture:
    document = {"model_type": "autoglm_phone", "text_config": dataclasses.asdict(text)}
    return read_architecture(text_config(document))


@pytest.mark.parametrize("text", [tiny_config().text, FULL_SIZE.text], ids=["tiny", "full size"])
def test_parameters_are_those_of_the_design(text: TextConfig) -> None:
    architecture = architecture_of(text)
    assert architecture.parameters == text.parameters
    assert architecture.active_parameters == text.active_parameters


def test_parameters_are_those_of_the_folder(tmp_path: Path) -> None:
    model = tiny_phone()
    checkpoint = open_checkpoint(save_phone(model, tmp_path / "model"))
    assert checkpoint.parameters == checkpoint.architecture.parameters
    assert checkpoint.parameters == sum(values.size for values in text_tensors(model).values())
    assert checkpoint.architecture.matrices["experts"][:4] == (
        "experts.0.gate",
        "experts.0.up",
        "experts.0.down",
        "experts.1.gate",
    )


def test_integers_and_scales_of_training_are_kept_bit_for_bit(tmp_path: Path) -> None:
    model = tiny_phone()
    expected = {
        name: rounded_int4(values, BLOCK_SIZE) for name, values in text_tensors(model).items() if is_quantized(name)
    }
    checkpoint = open_checkpoint(save_int4(model, tmp_path / "model"))
    assert checkpoint.encoding == "INT4"
    names = {
        "layers.1.q": "model.layers.1.self_attn.q_proj",
        "layers.0.experts.7.down": "model.layers.0.mlp.experts.7.down_proj",
        "layers.1.vision_adapter.up": "model.layers.1.vision_adapter.up",
    }
    for ours, theirs in names.items():
        tensor = checkpoint.tensors[f"{ours}.weight"]
        q, scale = expected[f"{theirs}.weight"]
        fitting = dataclasses.replace(KEEP, block_size=min(BLOCK_SIZE, tensor.columns))
        assert kept(tensor, fitting)
        blocks = quantized([tensor], KEEP)
        np.testing.assert_array_equal(blocks.q.reshape(q.shape), q + 8)
        np.testing.assert_array_equal(blocks.scale, scale.astype(np.float32))
        np.testing.assert_array_equal(blocks.zero_points(), 8)
        dense = q * np.repeat(scale.astype(np.float32), q.shape[1] // scale.shape[1], axis=1)
        np.testing.assert_array_equal(tensor.read(), dense)
        np.testing.assert_array_equal(tensor.part(3, 5).read(), dense[3:5])
        np.testing.assert_array_equal(tensor.reordered(np.arange(tensor.rows)[::-1]).read(), dense[::-1])


def test_adapters_of_different_ranks_stand_side_by_side_with_their_own_scales(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save_int4(tiny_phone(), tmp_path / "model"))
    parts = [checkpoint.tensors[f"layers.0.{name}_adapter.up.weight"] for name in ("vision", "audio")]
    blocks = quantized_beside(parts, KEEP)
    assert (blocks.block_size, blocks.blocks) == (16, 3)
    np.testing.assert_array_equal(blocks.dense(), np.concatenate([part.read() for part in parts], axis=1))


def test_what_is_written_is_what_safetensors_reads(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    q = random.integers(-8, 8, (3, 64)).astype(np.int8)
    scale = random.random((3, 2)).astype(np.float16)
    norm = random.random(5).astype(np.float32)
    write_int4_checkpoint(tmp_path, {"model_type": "x"}, {"norm": norm}, {"a.weight": (q, scale)}, 32)
    found = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(found["norm"], norm)
    np.testing.assert_array_equal(found["a.weight.scale"], scale)
    codes = found["a.weight.q4"]
    np.testing.assert_array_equal(codes & 15, q[:, 0::2] + 8)
    np.testing.assert_array_equal(codes >> 4, q[:, 1::2] + 8)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert config["quantization_config"] == {"quant_method": "edged", "bits": 4, "block_size": 32}


def test_integers_that_are_none_of_four_bits_are_not_written() -> None:
    with pytest.raises(ValueError, match="from -8 to 7"):
        packed_codes(np.array([[8, 0]]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_experts_per_tok": 9}, "a token cannot pass 9 of 8 experts"),
        ({"num_experts_per_tok": 0}, "num_experts_per_tok must be a positive whole number"),
        ({"num_experts": 2**20}, "2 layers of 1048576 experts are more than any model has"),
        ({"num_experts": None}, "num_experts must be a positive whole number, not None"),
        ({"moe_intermediate_size": 100}, "experts of 100 values are not possible"),
        ({"vision_adapter_rank": 24}, "adapters of the ranks 24 and 32 are not possible"),
        ({"audio_adapter_rank": 0}, "adapters of the ranks 16 and 0 are not possible"),
        ({"audio_adapter_rank": 4096}, "adapters of the ranks 16 and 4096 are not possible"),
        ({"hidden_act": "relu"}, "hidden_act 'relu' is not supported"),
        ({"num_experts": 9}, "tensors are missing: layers.0.experts.8.down.weight"),
        ({"num_experts": 7}, "tensors have no place in a autoglm_phone"),
    ],
)
def test_what_no_model_is_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = save_phone(tiny_phone(), tmp_path / "model")
    document = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del document["quantization_config"]
    document["text_config"] |= changes
    (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(CheckpointError, match=message) as caught:
        open_checkpoint(folder)
    assert "\n" not in caught.value.message


NAME = "model.layers.0.mlp.experts.3.up_proj.weight"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (f"{NAME}.scale", lambda values: None, "q4: must come with one scale and without the weight itself"),
        (f"{NAME}.scale", lambda values: values[:, :1], "integers and scales do not fit each other"),
        (f"{NAME}.scale", lambda values: values.astype(np.float32), "integers and scales do not fit each other"),
        (f"{NAME}.q4", lambda values: values[:-1], "integers and scales do not fit each other"),
        (f"{NAME}.q4", lambda values: values[:, :-1], "integers and scales do not fit each other"),
        (f"{NAME}.q4", lambda values: values.reshape(-1), "integers and scales do not fit each other"),
        (f"{NAME}.q4", lambda values: None, "tensors have no place"),
        ("model.norm.weight", lambda values: np.zeros(64, np.uint8), "is U8, which only q4 may be"),
    ],
)
def test_damaged_integers_are_refused(name: str, change: Any, message: str, tmp_path: Path) -> None:
    folder = save_int4(tiny_phone(), tmp_path / "model")
    stored = safetensors.numpy.load_file(folder / "model.safetensors")
    changed = change(stored.pop(name))
    write_safetensors(folder / "model.safetensors", stored if changed is None else stored | {name: changed})
    if "no place" in message:
        message = "tensors are missing|tensors have no place"
    with pytest.raises(CheckpointError, match=message) as caught:
        open_checkpoint(folder)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"quant_method": "edged", "bits": 4, "block_size": 48}, "a block_size of 48 is not possible"),
        ({"quant_method": "edged", "bits": 4}, "a block_size of None is not possible"),
        ({"quant_method": "edged", "bits": 8, "block_size": 64}, "edged with 8 bits cannot be read"),
        ({"quant_method": "others"}, "weights quantized by 'others' cannot be read"),
        (None, "is U8; supported are"),
    ],
)
def test_other_quantizations_are_refused(said: dict[str, Any] | None, message: str, tmp_path: Path) -> None:
    folder = save_int4(tiny_phone(), tmp_path / "model")
    document = json.loads((folder / "config.json").read_text(encoding="utf-8")) | {"quantization_config": said}
    (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(folder)
