"""Eyes and ears of autoglm_phone: checkpoint, reference and graphs, for any sizes, against the PyTorch towers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_checkpoints import relative_error
from tiny_phone import rounded_int4

from edged.engine.onnx_tower import OnnxTower
from edged.engine.readers import PIXEL_INPUTS
from edged.errors import CheckpointError
from edged.vision.preprocess import Grid
from edged.vision.tower_inputs import pixel_inputs
from engines.audio import graph as audio_graph
from engines.audio import tower as audio
from engines.autoglm_phone import audio as torch_audio
from engines.autoglm_phone import vision as torch_vision
from engines.autoglm_phone.config import AudioConfig, VisionConfig
from engines.checkpoint.int4 import Int4Tensor, joined_blocks, packed_codes
from engines.encoder.products import BLOCK_SIZE, Bits, rounded_rows
from engines.quantize import Rounding, dividing, rounded
from engines.reference import torch_arrays
from engines.tensor import Tensor
from engines.vision import graph as vision_graph
from engines.vision import pixel_graph
from engines.vision import pixel_tower as pixels

WIDTH = 64
ENCODER = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 96}
Inputs = dict[str, np.ndarray[Any, Any]]
Array = np.ndarray[Any, Any]


class Eyes:
    """What the tests below need to know of one kind of tower."""

    config = VisionConfig(**ENCODER, stem_channels=(8, 16), stem_residuals=2)
    part, input_names = "vision_config", PIXEL_INPUTS
    fused, standard = vision_graph.FUSED_FILE, vision_graph.STANDARD_FILE
    read = staticmethod(pixels.read_pixel_tower)
    write = staticmethod(pixel_graph.write_pixel_tower)
    embeddings = staticmethod(pixels.embeddings)
    expected_shapes = staticmethod(pixels.expected_shapes)
    sizes = ((2, 2), (4, 6), (14, 14), (2, 20))
    """Of pictures in states."""

    @staticmethod
    def torch(config: Any, width: int) -> torch.nn.Module:
        return torch_vision.VisionTower(config, width)

    @staticmethod
    def inputs(config: Any, size: tuple[int, int], seed: int = 0) -> Inputs:
        rows, columns = size
        shape = (3, rows * config.stride, columns * config.stride)
        values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
        return pixel_inputs(values, Grid(height=rows, width=columns), position_side=config.position_side)


class Ears:
    config, part, input_names = AudioConfig(**ENCODER), "audio_config", frozenset({"mel"})
    fused, standard = audio_graph.FUSED_FILE, audio_graph.STANDARD_FILE
    read = staticmethod(audio.read_audio_tower)
    write = staticmethod(audio_graph.write_audio_tower)
    embeddings = staticmethod(audio.embeddings)
    expected_shapes = staticmethod(audio.expected_shapes)
    sizes = ((1, 1), (1, 2), (1, 9), (1, 40))
    """Of recordings in tokens."""

    @staticmethod
    def torch(config: Any, width: int) -> torch.nn.Module:
        return torch_audio.AudioTower(config, width)

    @staticmethod
    def inputs(config: Any, size: tuple[int, int], seed: int = 0) -> Inputs:
        shape = (1, config.num_mel_bins, size[1] * config.stride)
        return {"mel": np.random.default_rng(seed).standard_normal(shape).astype(np.float32)}


Sense = type[Eyes] | type[Ears]
SENSES: list[Sense] = [Eyes, Ears]


def tiny_model(sense: Sense, seed: int = 0, width: int = WIDTH, **sizes: Any) -> torch.nn.Module:
    """Random weights, large enough that every part of it matters."""
    torch.manual_seed(seed)
    model = sense.torch(replace(sense.config, **sizes), width).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.3)
            elif parameter.dim() == 1:
                parameter.uniform_(0.5, 1.5)
            else:
                parameter.normal_(0, 1.2 / parameter[0].numel() ** 0.5)
    return model


def stored(arrays: dict[str, Array], path: Path) -> dict[str, Tensor]:
    encodings = {"float32": "F32", "float16": "F16", "uint8": "U8"}
    tensors = {}
    with path.open("wb") as file:
        for name, values in arrays.items():
            encoding = encodings[values.dtype.name]
            tensors[name] = Tensor(name=name, path=path, offset=file.tell(), shape=values.shape, encoding=encoding)
            file.write(np.ascontiguousarray(values).tobytes())
    return tensors


def weights_of(model: torch.nn.Module) -> dict[str, Array]:
    return {name: values.numpy() for name, values in model.state_dict().items()}


def read(sense: Sense, model: Any, tensors: dict[str, Tensor], width: int = WIDTH, **changes: Any) -> Any:
    section = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(model.config).items()}
    return sense.read({sense.part: section | changes}, tensors, width)


def tiny_tower(sense: Sense, folder: Path, seed: int = 0, width: int = WIDTH, **sizes: Any) -> tuple[Any, Any]:
    """The PyTorch tower, and ours over its weights."""
    model = tiny_model(sense, seed, width, **sizes)
    return model, read(sense, model, stored(weights_of(model), folder / "weights"), width)


def int4_tower(sense: Sense, folder: Path, block_size: int = 32) -> tuple[Any, Any, dict[str, Any]]:
    """The same as training exports it; the model's weights become what the integers stand for."""
    model, arrays, integers = tiny_model(sense), {}, {}
    for name, values in weights_of(model).items():
        if is_quantized(name):
            integers[name] = q, scale = rounded_int4(values, block_size)
            arrays |= {f"{name}.q4": packed_codes(q), f"{name}.scale": scale}
            dense = q * np.repeat(scale.astype(np.float32), q.shape[1] // scale.shape[1], axis=1)
            with torch.no_grad():
                model.get_parameter(name).copy_(torch.from_numpy(dense))
        else:
            arrays[name] = values
    tensors = joined_blocks(stored(arrays, folder / "weights"), block_size)
    return model, read(sense, model, tensors), integers


def is_quantized(name: str) -> bool:
    return name.endswith(".weight") and ("blocks" in name or "projector" in name) and "norm" not in name


def expected_embeddings(model: torch.nn.Module, inputs: Inputs) -> Array:
    with torch.no_grad():
        found = model(torch.from_numpy(inputs["mel" if "mel" in inputs else "pixels"]))
    return np.asarray(found[0].numpy())


def run(sense: Sense, path: Path, inputs: Inputs) -> Array:
    found = OnnxTower(path, sense.input_names, threads=1).run(inputs, lambda: False)
    assert found is not None
    return found


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sense=st.sampled_from(SENSES),
    sizes=st.fixed_dictionaries(
        {
            "num_hidden_layers": st.integers(1, 3),
            "num_attention_heads": st.sampled_from([1, 2, 3]),
            "intermediate_size": st.sampled_from([20, 96]),
            "merge_size": st.sampled_from([1, 2, 3]),
            "rms_norm_eps": st.sampled_from([1e-5, 1e-3]),
        }
    ),
    own=st.fixed_dictionaries(
        {
            "patch_size": st.sampled_from([1, 2, 4]),
            "stem_channels": st.sampled_from([(8, 16), (5, 7)]),
            "position_side": st.sampled_from([1, 3, 14]),
        }
    ),
    head_dim=st.sampled_from([4, 16, 20]),
    width=st.sampled_from([24, 64]),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    seed=st.integers(0, 3),
)
def test_any_tower_equals_pytorch(
    tmp_path_factory: pytest.TempPathFactory,
    sense: Sense,
    sizes: dict[str, Any],
    own: dict[str, Any],
    head_dim: int,
    width: int,
    size: tuple[int, int],
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("tower")
    sizes |= {"hidden_size": head_dim * sizes["num_attention_heads"]} | (own if sense is Eyes else {})
    model, tower = tiny_tower(sense, folder, seed, width, **sizes)
    places = tuple(count * tower.config.merge_size for count in size) if sense is Eyes else size
    inputs = sense.inputs(tower.config, places, seed)
    expected = expected_embeddings(model, inputs)
    assert relative_error(sense.embeddings(tower, inputs, tower.weights()), expected) < 1e-4
    sense.write(tower, folder, 32, "float32")
    assert relative_error(run(sense, folder / sense.fused, inputs), expected) < 1e-4
    assert relative_error(run(sense, folder / sense.standard, inputs), expected) < 3e-2  # products in float16


def fake_quantized(tower: Any, bits: Bits) -> Callable[[str], Any]:
    """The checkpoint's weights as the graph has them."""
    exact = tower.weights()

    def weight(name: str) -> Any:
        values = exact(name)
        if bits == 32 or "norm" in name or name == "position_embedding.weight":
            return values
        if bits == 16 or name.startswith(("stem", "conv")):
            is_half = name.endswith("weight") or name.startswith(("stem", "conv"))
            return values.astype(np.float16).astype(np.float32) if is_half else values
        if values.ndim == 1:
            return values
        if bits == 8:
            q, scale = rounded_rows(values)
            return (q * scale[:, None]).astype(np.float32)
        blocks = rounded(values, Rounding(bits=4, block_size=dividing(BLOCK_SIZE, values.shape[1])))
        scale = blocks.scale.astype(np.float16).astype(np.float32)
        return replace(blocks, scale=scale, minimum=-8 * scale).dense()

    return weight


@pytest.mark.parametrize("bits", [4, 8, 16, 32])
@pytest.mark.parametrize("sense", SENSES)
def test_graphs_compute_the_weights_that_they_store(sense: Sense, tmp_path: Path, bits: Bits) -> None:
    _, tower = tiny_tower(sense, tmp_path)
    inputs = sense.inputs(tower.config, sense.sizes[1])
    sense.write(tower, tmp_path, bits, "float32")
    expected = sense.embeddings(tower, inputs, fake_quantized(tower, bits))
    assert relative_error(run(sense, tmp_path / sense.fused, inputs), expected) < 1e-4
    assert relative_error(run(sense, tmp_path / sense.standard, inputs), expected) < 1e-2
    sense.write(tower, tmp_path, bits, "float16")
    assert relative_error(run(sense, tmp_path / sense.fused, inputs), expected) < 1e-2


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("sense", SENSES)
def test_integers_of_training_are_kept_bit_for_bit(sense: Sense, tmp_path: Path, bits: Bits) -> None:
    model, tower, integers = int4_tower(sense, tmp_path)
    assert all(isinstance(tower.tensors[name], Int4Tensor) for name in integers)
    sense.write(tower, tmp_path, bits, "float32")
    for file in (sense.fused, sense.standard):
        graph = onnx.load(tmp_path / file).graph
        weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        for name, (q, scale) in integers.items():
            inner = name.removesuffix(".weight")
            np.testing.assert_array_equal(weights[f"{inner}.q4"].astype(np.int8), q.T)
            assert weights[f"{inner}.q4.scale"].dtype == np.float16
            np.testing.assert_array_equal(weights[f"{inner}.q4.scale"], scale.T)
    for size in sense.sizes:
        inputs = sense.inputs(tower.config, size)
        expected = expected_embeddings(model, inputs)
        assert relative_error(sense.embeddings(tower, inputs, tower.weights()), expected) < 1e-4
        assert relative_error(run(sense, tmp_path / sense.fused, inputs), expected) < 2e-3  # kernels in float16
        assert relative_error(run(sense, tmp_path / sense.standard, inputs), expected) < 1e-2


@pytest.mark.parametrize("sense", SENSES)
def test_integers_of_training_are_floats_where_floats_are_asked_for(sense: Sense, tmp_path: Path) -> None:
    model, tower, _ = int4_tower(sense, tmp_path)
    inputs = sense.inputs(tower.config, sense.sizes[1])
    sense.write(tower, tmp_path, 32, "float32")
    assert relative_error(run(sense, tmp_path / sense.fused, inputs), expected_embeddings(model, inputs)) < 1e-4


@pytest.mark.parametrize("sense", SENSES)
def test_onnx_runtime_multiplies_with_integers(sense: Sense, tmp_path: Path) -> None:
    """None is dequantized ahead, and attention keeps no scores."""
    _, tower, integers = int4_tower(sense, tmp_path)
    sense.write(tower, tmp_path, 4, "float32")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(tmp_path / sense.fused, options, providers=["CPUExecutionProvider"])
    found = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx", load_external_data=False).graph.node]
    assert found.count("MatMulNBits") == len(integers)
    assert "DequantizeLinear" not in found
    assert found.count("MultiHeadAttention") == tower.config.num_hidden_layers


@pytest.mark.parametrize("sense", SENSES)
def test_all_sizes_run_in_one_session(sense: Sense, tmp_path: Path) -> None:
    """In any order: each equals what a session of its own gives."""
    _, tower, _ = int4_tower(sense, tmp_path)
    sense.write(tower, tmp_path, 4, "float32")
    session = OnnxTower(tmp_path / sense.fused, sense.input_names, threads=1)
    for seed, size in enumerate((*sense.sizes, *reversed(sense.sizes))):
        inputs = sense.inputs(tower.config, size, seed)
        np.testing.assert_array_equal(session.run(inputs, lambda: False), run(sense, tmp_path / sense.fused, inputs))


@pytest.mark.parametrize("sense", SENSES)
def test_both_graphs_share_one_file_of_weights(sense: Sense, tmp_path: Path) -> None:
    _, tower = tiny_tower(sense, tmp_path)
    sizes = []
    for bits in (4, 8, 16, 32):
        folder = tmp_path / str(bits)
        folder.mkdir()
        sense.write(tower, folder, bits, "float32")
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            [sense.fused, f"{sense.fused}.data", sense.standard]
        )
        sizes.append((folder / f"{sense.fused}.data").stat().st_size)
    assert sizes == sorted(set(sizes))
    model = onnx.load(tmp_path / "4" / sense.standard, load_external_data=False)
    assert {node.domain for node in model.graph.node} == {""}
    assert "Attention" in {node.op_type for node in model.graph.node}


@pytest.mark.parametrize("sense", SENSES)
def test_the_reference_runs_on_torch_as_well(sense: Sense, tmp_path: Path) -> None:
    model, tower = tiny_tower(sense, tmp_path)
    inputs = sense.inputs(tower.config, sense.sizes[1])
    arrays = torch_arrays()
    there = {name: torch.from_numpy(values) for name, values in inputs.items()}
    found = sense.embeddings(tower, there, tower.weights(arrays), arrays)
    assert relative_error(found.numpy(), expected_embeddings(model, inputs)) < 1e-4


@pytest.mark.parametrize("sense", SENSES)
def test_expected_shapes_are_those_of_pytorch(sense: Sense) -> None:
    model: Any = tiny_model(sense)
    assert sense.expected_shapes(model.config, WIDTH) == {
        name: tuple(values.shape) for name, values in model.state_dict().items()
    }


@pytest.mark.parametrize("sense", SENSES)
def test_widths_without_blocks_are_refused_in_4_bits_only(sense: Sense, tmp_path: Path) -> None:
    _, tower = tiny_tower(sense, tmp_path, hidden_size=40, intermediate_size=40)
    with pytest.raises(CheckpointError, match=r"blocks\.0\.attn\.qkv: 40 inputs cannot be 4 bits each"):
        sense.write(tower, tmp_path, 4, "float32")
    sense.write(tower, tmp_path, 8, "float32")
