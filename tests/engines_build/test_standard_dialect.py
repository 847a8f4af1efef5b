"""The graph in standard operators: equal to the fused one and the reference, as it is and as TensorRT gets it."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from standard_run import CAPACITY, StandardRun
from tiny_checkpoints import (
    float_session,
    integer_session,
    reference_logits,
    relative_error,
    save_folder,
    save_gguf,
    session,
    tiny_model,
    tokens_of,
)
from variants import ONE_OF_EACH, VARIANTS

from edged.errors import ArtefactError, CheckpointError
from engines.checkpoint import open_checkpoint
from engines.graph.float_weights import FloatWeights
from engines.graph.integer_weights import IntegerFormat
from engines.graph.standard import write_standard
from engines.quantize import Rounding
from engines.tensorrt.lower import lower

TOKENS = tokens_of(40)
GLM4V = VARIANTS["glm4v"]
INT8 = Rounding(bits=8, block_size=32)
FORMATS: dict[str, tuple[str, IntegerFormat]] = {
    "INT4": ("F16", IntegerFormat(linear=Rounding(bits=4, block_size=32), minimum={}, embedding=INT8, head=INT8)),
    "asymmetric": (
        "F16",
        IntegerFormat(linear=Rounding(bits=4, block_size=32, symmetric=False), minimum={}, embedding=INT8, head=INT8),
    ),
    "INT8": ("F16", IntegerFormat(linear=INT8, minimum={}, embedding=INT8, head=INT8)),
    "asymmetric INT8": (
        "F16",
        IntegerFormat(linear=Rounding(bits=8, block_size=32, symmetric=False), minimum={}, embedding=INT8, head=INT8),
    ),
    "INT4 tables": (
        "F16",
        IntegerFormat(
            linear=Rounding(bits=4, block_size=32),
            minimum={},
            embedding=Rounding(bits=4, block_size=32),
            head=Rounding(bits=4, block_size=32),
        ),
    ),
    "some matrices wider": (
        "F16",
        IntegerFormat(
            linear=Rounding(bits=4, block_size=32),
            minimum={},
            embedding=INT8,
            head=INT8,
            bits=(("layers.0.*", 8), ("layers.1.down", 16), ("head", 16)),
        ),
    ),
    **{
        f"Q4_1, {minimum}": (
            "Q4_1",
            IntegerFormat(
                linear=Rounding(bits=4, block_size=32),
                minimum=dict.fromkeys(("qkv", "o", "gate_up", "down"), minimum),
                embedding=INT8,
                head=INT8,
            ),
        )
        for minimum in ("drop", "columns", "exact", "int8")
    },
}


def read_in_pieces(run: StandardRun) -> np.ndarray[Any, Any]:
    """Two chunks, then one by one."""
    pieces = [run.read(TOKENS[:13]), run.read(TOKENS[13:33])]
    return np.concatenate([*pieces, *(run.read([token]) for token in TOKENS[33:])])


@pytest.mark.parametrize("variant", VARIANTS)
def test_floats_equal_transformers_in_pieces_over_a_poisoned_cache(variant: str, tmp_path: Path) -> None:
    """A masked place has the weight 0, so any finite number may stand there; 0 * NaN is NaN in the standard's words,
    so nothing promises that for NaN, and the run time gives caches that begin as zeros."""
    model_type, overrides = VARIANTS[variant]
    model = tiny_model(model_type, **overrides)
    checkpoint = open_checkpoint(save_folder(model, tmp_path / "model"))
    float_session(checkpoint, tmp_path / "engine")
    write_standard(tmp_path / "engine" / "model.onnx", tmp_path / "engine" / "standard.onnx")
    onnx.checker.check_model(tmp_path / "engine" / "standard.onnx", full_check=True)
    found = read_in_pieces(StandardRun(tmp_path / "engine" / "standard.onnx"))
    assert relative_error(found, reference_logits(model, TOKENS)) < 1e-3
    whole = StandardRun(tmp_path / "engine" / "standard.onnx").read(TOKENS)
    assert relative_error(found, whole) < 1e-5


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("name", FORMATS)
def test_integers_equal_the_fused_graph_and_lowered_too(name: str, tied: bool, tmp_path: Path) -> None:
    encoding, format_ = FORMATS[name]
    model = tiny_model(
        "llama", tie_word_embeddings=tied, attention_bias=True, hidden_size=96, intermediate_size=160, head_dim=32
    )
    checkpoint = open_checkpoint(save_gguf(model, tmp_path / "model.gguf", encoding))
    engine = integer_session(checkpoint, tmp_path / "engine", format_)
    expected = engine.prefill(engine.allocate(), 0, TOKENS, range(len(TOKENS)))
    folder = tmp_path / "engine"
    write_standard(folder / "model.onnx", folder / "standard.onnx")
    assert relative_error(read_in_pieces(StandardRun(folder / "standard.onnx")), expected) < 1e-5

    lower(folder / "standard.onnx", folder / "lowered.onnx", capacity=CAPACITY, floats=TensorProto.FLOAT)
    lowered = StandardRun(folder / "lowered.onnx")
    assert relative_error(read_in_pieces(lowered), expected) < 3e-3

    lower(folder / "standard.onnx", folder / "half.onnx", capacity=CAPACITY)
    # In float16 a score of a poisoned key must stay finite as well.
    assert relative_error(read_in_pieces(StandardRun(folder / "half.onnx", poison=100.0)), expected) < 2e-2


@pytest.mark.parametrize("variant", ONE_OF_EACH)
def test_lowered_to_half_precision(variant: str, tmp_path: Path) -> None:
    model_type, overrides = VARIANTS[variant]
    checkpoint = open_checkpoint(save_folder(tiny_model(model_type, **overrides), tmp_path / "model"))
    folder = tmp_path / "engine"
    engine = float_session(checkpoint, folder)
    expected = engine.prefill(engine.allocate(), 0, TOKENS, range(len(TOKENS)))
    write_standard(folder / "model.onnx", folder / "standard.onnx")
    lower(folder / "standard.onnx", folder / "half.onnx", capacity=CAPACITY)
    assert relative_error(read_in_pieces(StandardRun(folder / "half.onnx", poison=100.0)), expected) < 3e-2


def test_an_engine_for_gpus_is_lowered_as_it_is(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save_folder(tiny_model(GLM4V[0], **GLM4V[1]), tmp_path / "model"))
    folder = tmp_path / "engine"
    engine = float_session(checkpoint, folder)
    expected = engine.prefill(engine.allocate(), 0, TOKENS, range(len(TOKENS)))
    session(checkpoint, folder, FloatWeights, "float16")
    write_standard(folder / "model.onnx", folder / "standard.onnx")
    lower(folder / "standard.onnx", folder / "half.onnx", capacity=CAPACITY)
    assert relative_error(read_in_pieces(StandardRun(folder / "half.onnx", poison=100.0)), expected) < 3e-2


def test_pictures_enter_where_tokens_are_below_zero(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save_folder(tiny_model(GLM4V[0], **GLM4V[1]), tmp_path / "model"))
    folder = tmp_path / "engine"
    float_session(checkpoint, folder)
    write_standard(folder / "model.onnx", folder / "standard.onnx")
    table = checkpoint.tensors["embedding.weight"].read()
    rows = np.zeros((1, 12, table.shape[1]), np.float32)
    rows[0, 3:7] = table[TOKENS[3:7]]
    seen = [*TOKENS[:3], -1, -2, -3, -4, *TOKENS[7:12]]
    places = {"position_ids": np.tile(np.arange(12) * 3 % 7, (3, 1)), "embeddings": rows}
    as_text = StandardRun(folder / "standard.onnx").read(TOKENS[:12], places)
    assert relative_error(StandardRun(folder / "standard.onnx").read(seen, places), as_text) < 1e-6
    moved = places | {"position_ids": np.arange(36).reshape(3, 12)}
    assert relative_error(StandardRun(folder / "standard.onnx").read(TOKENS[:12], moved), as_text) > 1e-2


def test_both_graphs_name_the_same_bytes(tmp_path: Path) -> None:
    folder = integers(tmp_path, "INT4")
    fused, standard = (onnx.load(folder / name, load_external_data=False).graph for name in NAMES)
    outside = [{place.value for place in tensor.external_data} for tensor in standard.initializer]
    known = [{place.value for place in tensor.external_data} for tensor in fused.initializer]
    assert all(place in known for place in outside)
    assert sorted(path.name for path in folder.iterdir()) == ["model.onnx", "model.onnx.data", "standard.onnx"]
    assert {node.domain for node in standard.node} == {""}
    inline = sum(len(tensor.raw_data) for tensor in standard.initializer)
    assert inline < 0.1 * (folder / "model.onnx.data").stat().st_size


def test_lowered_products_are_fused_by_onnx_runtime(tmp_path: Path) -> None:
    folder = integers(tmp_path, "Q4_1, columns")
    lower(folder / "standard.onnx", folder / "lowered.onnx", capacity=CAPACITY, floats=TensorProto.FLOAT)
    lowered = onnx.load(folder / "lowered.onnx", load_external_data=False).graph
    kinds = Counter(tensor.data_type for tensor in lowered.initializer if len(tensor.dims) == 2)
    assert kinds[TensorProto.INT4] == 4 * 2 + 1 and not {TensorProto.UINT4, TensorProto.UINT8} & set(kinds)
    found = Counter(node.op_type for node in StandardRun(folder / "lowered.onnx").optimized.graph.node)
    assert found["MatMulNBits"] == 4 * 2, "all but the head, which shares its table with the embedding"


def test_an_operator_without_a_standard_form_is_named(tmp_path: Path) -> None:
    folder = integers(tmp_path, "INT4")
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    model.graph.node[-1].op_type = "FancyGemm"
    model.graph.node[-1].domain = "com.microsoft"
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match="FancyGemm of logits has no form in standard operators"):
        write_standard(folder / "model.onnx", folder / "standard.onnx")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("text", "not a valid ONNX file"),
        ("place", "does not hold the weight"),
        ("scale", "is not as edged writes it"),
        ("huge", "holds numbers beyond float16"),
    ],
)
def test_a_tampered_graph_is_one_line(damage: str, message: str, tmp_path: Path) -> None:
    folder = integers(tmp_path, "INT4")
    model = onnx.load(folder / "standard.onnx", load_external_data=False)
    tensors = model.graph.initializer
    match damage:
        case "text":
            (folder / "standard.onnx").write_text("no", encoding="utf-8")
        case "place":
            next(item for tensor in tensors for item in tensor.external_data if item.key == "offset").value = str(2**40)
        case "scale":
            next(tensor for tensor in tensors if tensor.name.endswith(".scale")).dims[1] += 1
        case "huge":
            norm = next(tensor for tensor in tensors if tensor.name == "norm.weight")
            norm.CopyFrom(helper.make_tensor(norm.name, norm.data_type, norm.dims, [1e9] * norm.dims[0]))
    if damage != "text":
        (folder / "standard.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ArtefactError, match=message):
        lower(folder / "standard.onnx", folder / "lowered.onnx", capacity=CAPACITY)


NAMES = ("model.onnx", "standard.onnx")


def integers(tmp_path: Path, name: str) -> Path:
    """A folder with both graphs of a tiny model."""
    encoding, format_ = FORMATS[name]
    checkpoint = open_checkpoint(save_gguf(tiny_model("llama"), tmp_path / "model.gguf", encoding))
    integer_session(checkpoint, tmp_path / "engine", format_)
    write_standard(tmp_path / "engine" / "model.onnx", tmp_path / "engine" / "standard.onnx")
    return tmp_path / "engine"


@pytest.mark.parametrize("bits", [4, 8])
def test_a_table_is_lowered_in_pieces(bits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 151,552 x 4,096 would take gigabytes as a whole."""
    rows, columns, size = 2**14, 1024, 32
    kind, random = (TensorProto.UINT4 if bits == 4 else TensorProto.UINT8), np.random.default_rng(0)
    codes = random.integers(0, 256, rows * columns * bits // 8, np.uint8)
    scale = np.full((rows, columns // size), 0.01, np.float16)
    zero = np.full(scale.size * bits // 8, 0x88 if bits == 4 else 0x80, np.uint8)
    (tmp_path / "weights").write_bytes(codes.tobytes())
    table = TensorProto(name="q", data_type=kind, dims=[rows, columns], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": "weights", "offset": 0, "length": codes.size}.items():
        table.external_data.add(key=key, value=str(value))
    graph = helper.make_graph(
        [
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["table"], "q", axis=1, block_size=size),
            helper.make_node("Gather", ["table", "input_ids"], ["rows"], "rows", axis=0),
        ],
        "table",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "tokens"])],
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT16, [1, "tokens", columns])],
        [table, numpy_helper.from_array(scale, "s"), helper.make_tensor("z", kind, scale.shape, zero.tobytes(), True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=11)
    (tmp_path / "standard.onnx").write_bytes(model.SerializeToString())
    monkeypatch.setattr("engines.tensorrt.lower.CHUNK_VALUES", 2**18)
    tracemalloc.start()
    lower(tmp_path / "standard.onnx", tmp_path / "lowered.onnx", capacity=CAPACITY, floats=TensorProto.FLOAT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * rows * columns, "twice a byte for each weight"

    session = onnxruntime.InferenceSession(tmp_path / "lowered.onnx", providers=["CPUExecutionProvider"])
    asked = np.array([[0, 255, 256, 257, rows - 1]])
    (found,) = session.run(None, {"input_ids": asked})
    values = codes if bits == 8 else np.stack([codes & 15, codes >> 4], axis=-1)
    expected = (values.reshape(rows, columns)[asked[0]].astype(np.float32) - 2 ** (bits - 1)) * np.float32(scale[0, 0])
    assert np.abs(found[0] - expected).max() < 1e-3 * np.abs(expected).max()
