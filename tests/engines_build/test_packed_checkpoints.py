"""Folders quantized by GPTQ or AWQ: read bit for bit, judged by the published formulas written out here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_memory import CONSTANTS, stored_bytes
from tiny_checkpoints import integer_session, reference_logits, relative_error, save_folder, tiny_model, tokens_of

from edged.errors import CheckpointError
from engines.build import Order, build
from engines.checkpoint import open_checkpoint
from engines.checkpoint.packed import joined, read_packing
from engines.graph.integer_weights import IntegerFormat
from engines.plan import plan
from engines.quantize import Rounding, kept, quantized
from engines.recipe import load_recipe

FORMAT = IntegerFormat(
    linear=Rounding(bits=4, block_size=32),
    minimum={},
    embedding=Rounding(bits=8, block_size=32),
    head=Rounding(bits=8, block_size=32),
)
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def random_integers(columns: int, rows: int, group: int, seed: int, *, symmetric: bool) -> dict[str, np.ndarray]:
    """q (columns, rows), zeros (groups, rows) and scales (groups, rows), as QuantLinear has them before packing."""
    rng = np.random.default_rng(seed)
    groups = -(-columns // group)
    zeros = np.full((groups, rows), 8) if symmetric else rng.integers(1, 16, (groups, rows))
    scales = (rng.uniform(0.5, 2.0, (groups, rows)) / columns**0.5 / 4).astype(np.float16)
    return {"q": rng.integers(0, 16, (columns, rows)), "zeros": zeros, "scales": scales}


def dense(integers: dict[str, np.ndarray], group: int) -> np.ndarray:
    """The formula: weight[input, output] = scale[group of input, output] * (q - zero).  # (rows, columns)"""
    of = np.arange(len(integers["q"])) // group
    scales = integers["scales"].astype(np.float32)
    return ((integers["q"] - integers["zeros"][of]).astype(np.float32) * scales[of]).T


def gptq_words(integers: dict[str, np.ndarray], group: int, *, less_one: bool) -> dict[str, torch.Tensor]:
    """As AutoGPTQ's QuantLinear.pack leaves them, a word at a time."""
    q, zeros = integers["q"].astype(np.uint64), integers["zeros"].astype(np.uint64) - int(less_one)
    qweight = np.zeros((len(q) // 8, q.shape[1]), np.uint64)
    for place in range(8):
        qweight |= q[place::8] << np.uint64(4 * place)
    qzeros = np.zeros((len(zeros), q.shape[1] // 8), np.uint64)
    for place in range(8):
        qzeros |= zeros[:, place::8] << np.uint64(4 * place)
    return as_torch(qweight, qzeros, integers["scales"]) | {
        "g_idx": torch.from_numpy((np.arange(len(q)) // group).astype(np.int32))
    }


def awq_words(integers: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """As AutoAWQ's WQLinear_GEMM.from_linear leaves them."""
    words = []
    for values in (integers["q"], integers["zeros"]):
        packed = np.zeros((len(values), values.shape[1] // 8), np.uint64)
        for column in range(packed.shape[1]):
            for place, output in enumerate(AWQ_ORDER):
                packed[:, column] |= values[:, column * 8 + output].astype(np.uint64) << np.uint64(4 * place)
        words.append(packed)
    return as_torch(*words, integers["scales"])


def as_torch(qweight: np.ndarray, qzeros: np.ndarray, scales: np.ndarray) -> dict[str, torch.Tensor]:
    signed = [torch.from_numpy(words.astype(np.uint32).view(np.int32)) for words in (qweight, qzeros)]
    return {"qweight": signed[0], "qzeros": signed[1], "scales": torch.from_numpy(scales)}


def quantization(method: str, group: int, **more: Any) -> dict[str, Any]:
    return {"quant_method": method, "bits": 4, "group_size": group} | more


def save_packed(folder: Path, method: str, group: int, *, symmetric: bool = False, **more: Any) -> Any:
    """A tiny folder with packed matrices; returns the transformers model with the weights that they stand for."""
    model = tiny_model("qwen2", hidden_size=128, intermediate_size=256, head_dim=32)
    save_folder(model, folder)
    stored = safetensors.torch.load_file(folder / "model.safetensors")
    state = model.state_dict()
    for seed, name in enumerate(name for name in list(stored) if name.endswith("proj.weight")):
        rows, columns = stored.pop(name).shape
        size = columns if group == -1 else group
        integers = random_integers(columns, rows, size, seed, symmetric=symmetric)
        if method == "awq":
            words = awq_words(integers)
        else:
            words = gptq_words(integers, size, less_one=more.get("checkpoint_format", "gptq") != "gptq_v2")
        stored |= {name.replace("weight", leaf): value for leaf, value in words.items()}
        state[name].copy_(torch.from_numpy(dense(integers, size)))
    safetensors.torch.save_file(
        {name: value.contiguous() for name, value in stored.items()}, folder / "model.safetensors"
    )
    edit_config(folder, quantization_config=quantization(method, group, **more))
    return model


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes), encoding="utf-8")


@pytest.mark.parametrize(
    ("method", "group", "more"),
    [
        ("gptq", 32, {}),
        ("gptq", 32, {"checkpoint_format": "GPTQ"}),
        ("gptq", 64, {"checkpoint_format": "gptq_v2"}),
        ("gptq", 128, {"symmetric": True, "desc_act": False}),
        ("gptq", -1, {}),
        ("awq", 32, {"version": "gemm", "zero_point": True}),
        ("awq", 128, {"version": "GEMM"}),
    ],
)
def test_integers_are_kept_and_the_engine_computes_with_them(
    method: str, group: int, more: dict[str, Any], tmp_path: Path
) -> None:
    model = save_packed(tmp_path / "model", method, group, **more)
    checkpoint = open_checkpoint(tmp_path / "model")
    assert checkpoint.encoding == method.upper()
    state = model.state_dict()
    for part, name in (("q", "self_attn.q_proj"), ("down", "mlp.down_proj")):
        tensor = checkpoint.tensors[f"layers.1.{part}.weight"]
        expected = state[f"model.layers.1.{name}.weight"].numpy()
        np.testing.assert_array_equal(tensor.read(), expected)
        blocks = quantized([tensor], FORMAT.linear)
        np.testing.assert_array_equal(blocks.dense(), expected)
        assert not blocks.remainder().any(), "zero points are integers"

    session = integer_session(checkpoint, tmp_path / "engine", FORMAT)
    tokens = tokens_of(24)
    found = session.prefill(session.allocate(), 0, tokens, range(len(tokens)))
    table = quantized([checkpoint.tensors["embedding.weight"]], FORMAT.embedding).dense()
    state["model.embed_tokens.weight"].copy_(torch.from_numpy(table))
    assert relative_error(found, reference_logits(model, tokens)) < 1e-3


def test_a_packed_folder_builds_and_says_so(tmp_path: Path) -> None:
    save_packed(tmp_path / "model", "awq", 64, version="gemm")
    recipe = load_recipe("cpu")
    manifest = build(Order(recipe=recipe, source=tmp_path / "model", destination=tmp_path / "tiny"), lambda line: None)
    assert manifest.precision.label == "INT4 (AWQ blocks kept), INT8 head and embedding"
    assert (manifest.precision.linear, manifest.precision.block_size) == ("awq", 64)


def test_memory_is_planned_by_the_blocks_of_the_folder(tmp_path: Path) -> None:
    save_packed(tmp_path / "model", "gptq", 128, symmetric=True)
    recipe = load_recipe("cpu")
    needs = plan(recipe, str(tmp_path / "model")).footprint
    build(Order(recipe=recipe, source=tmp_path / "model", destination=tmp_path / "tiny"), lambda line: None)
    assert 0 <= stored_bytes(tmp_path / "tiny" / "model.onnx") - needs.weights <= CONSTANTS


@settings(deadline=None, max_examples=20)
@given(
    method=st.sampled_from(["gptq", "awq"]),
    group=st.sampled_from([32, 64, 128]),
    groups=st.integers(1, 3),
    words=st.integers(1, 4),
    seed=st.integers(0, 1000),
    order=st.booleans(),
)
def test_any_rows_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, method: str, group: int, groups: int, words: int, seed: int, order: bool
) -> None:
    folder = tmp_path_factory.mktemp("packed")
    integers = random_integers(group * groups, 8 * words, group, seed, symmetric=False)
    stored = awq_words(integers) if method == "awq" else gptq_words(integers, group, less_one=True)
    safetensors.torch.save_file({f"x.{leaf}": value for leaf, value in stored.items()}, folder / "x.safetensors")
    packing = read_packing({"quantization_config": quantization(method, group)})
    tensor = joined(read_header(folder / "x.safetensors"), packing)["x.weight"]
    rows = np.random.default_rng(seed).permutation(8 * words) if order else np.arange(8 * words)
    tensor = tensor.reordered(rows) if order else tensor
    expected = dense(integers, group)[rows]
    start, stop = words, 8 * words - words // 2
    assert kept(tensor, Rounding(bits=4, block_size=group))
    np.testing.assert_array_equal(tensor.read_rows(start, stop), expected[start:stop])
    np.testing.assert_array_equal(tensor.part(start, stop).read(), expected[start:stop])


def read_header(path: Path) -> dict[str, Any]:
    from engines.checkpoint.safetensors import _read_header

    return _read_header(path, {"I32": 4, "F16": 2})


def test_zeros_that_borrowed_from_their_neighbours_come_back(tmp_path: Path) -> None:
    """GPTQModel takes ones from whole words: a zero of 0 is stored as 15, and its neighbour as one less still."""
    integers = random_integers(32, 8, 32, 0, symmetric=False)
    integers["zeros"][0] = [0, 3, 0, 0, 15, 8, 1, 9]
    stored = gptq_words(integers, 32, less_one=False)
    stored["qzeros"] = (stored["qzeros"].to(torch.int64) - 0x11111111).to(torch.int32)
    safetensors.torch.save_file({f"x.{leaf}": value for leaf, value in stored.items()}, tmp_path / "x.safetensors")
    packing = read_packing({"quantization_config": quantization("gptq", 32)})
    tensor = joined(read_header(tmp_path / "x.safetensors"), packing)["x.weight"]
    np.testing.assert_array_equal(tensor.read(), dense(integers, 32))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("gptq", "quantization_config must be an object"),
        ({"quant_method": "fp8"}, "weights quantized by 'fp8' cannot be read, only by gptq or awq"),
        ({"bits": 3}, "gptq with 3 bits cannot be read"),
        ({"group_size": 0}, "a group_size of 0 is not possible"),
        ({"group_size": "128"}, "a group_size of 128 is not possible"),
        ({"group_size": 48}, "packed weights do not fit each other: qweight I32"),
        ({"checkpoint_format": "marlin"}, "the gptq layout 'marlin' cannot be read"),
        ({"quant_method": "awq", "version": "gemv"}, "the awq layout 'gemv' cannot be read"),
        ({"quant_method": "awq"}, "packed weights do not fit each other"),
        (None, "is I32; supported are F32, F16, BF16"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(config: Any, message: str, tmp_path: Path) -> None:
    save_packed(tmp_path / "model", "gptq", 64)
    usual = quantization("gptq", 64)
    edit_config(tmp_path / "model", quantization_config=usual | config if isinstance(config, dict) else config)
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(tmp_path / "model")


@pytest.mark.parametrize(
    ("leaf", "change", "message"),
    [
        ("g_idx", lambda values: values.flip(0), "desc_act has put inputs into groups out of order"),
        ("g_idx", lambda values: values[:-1].clone(), "g_idx is I32"),
        ("qzeros", None, "qzeros is missing beside qweight"),
        ("qzeros", lambda values: values.to(torch.float16), "packed weights do not fit each other"),
        ("scales", lambda values: values[:, :-8].clone(), "packed weights do not fit each other"),
        ("qweight", lambda values: values.reshape(-1), "packed weights do not fit each other"),
        ("qweight", None, "is I32, which only packed weights may be"),
    ],
)
def test_damaged_packing_is_refused(leaf: str, change: Any, message: str, tmp_path: Path) -> None:
    save_packed(tmp_path / "model", "gptq", 64)
    path = tmp_path / "model" / "model.safetensors"
    stored = safetensors.torch.load_file(path)
    name = f"model.layers.0.self_attn.q_proj.{leaf}"
    values = stored.pop(name)
    if change:
        stored[name] = change(values)
    safetensors.torch.save_file(stored, path)
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(tmp_path / "model")
