"""A model in stages computes what it computes whole: two CPU sessions stand for two devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tiny_checkpoints import CONTEXT, manifest_of, save_folder, session, tiny_model, tokens_of

from edged.config import EngineConfig
from edged.engine.buffer import Host
from edged.engine.engine import load_engine
from edged.engine.manifest import read_manifest
from edged.engine.onnx_session import OnnxSession
from edged.engine.session import Sight
from engines.build import Order, build
from engines.checkpoint import open_checkpoint
from engines.graph.float_weights import FloatWeights
from engines.graph.stages import write_stages
from engines.recipe import load_recipe
from engines.target import Target

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "qwen2": ("qwen2", {"head_dim": 16}),
    "qwen3": ("qwen3", {}),
    "gemma2": ("gemma2", {"sliding_window": 9, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}),
    "gemma3": ("gemma3_text", {"sliding_window": 7}),
    "glm4v": ("glm4v", {"num_attention_heads": 2, "tie_word_embeddings": False}),
}
TOKENS = tokens_of(40)


class ForeignBuffer:
    """Memory that only its own methods reach, like that of a GPU."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self._array = Host().zeros(shape, dtype).array
        self.shape, self.dtype, self.pointer = shape, np.dtype(dtype), self._array.ctypes.data

    def write(self, values: Any) -> None:
        self._array[...] = values

    def read(self, target: np.ndarray[Any, Any]) -> None:
        np.copyto(target, self._array)

    def copy(self, source: ForeignBuffer) -> None:
        np.copyto(self._array, source._array)

    def copy_prefix(self, source: ForeignBuffer, length: int) -> None:
        self._array[..., :length, :] = source._array[..., :length, :]


@dataclass(frozen=True)
class Elsewhere:
    """A device that is not the host, though the CPU computes for it."""

    index: int
    kind: str = "cpu"

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> ForeignBuffer:
        return ForeignBuffer(shape, dtype)


def whole_and_staged(
    folder: Path, layers: Sequence[int], model_type: str = "llama", activations: str = "float32", **settings: Any
) -> tuple[OnnxSession, OnnxSession]:
    """The same weights as one stage and as several, each stage with a device of its own."""
    model = tiny_model(model_type, num_hidden_layers=sum(layers), **settings)
    checkpoint = open_checkpoint(save_folder(model, folder / "checkpoint"))
    whole = session(checkpoint, folder / "engine", FloatWeights, activations)
    manifest = manifest_of(checkpoint, activations)
    stages = write_stages(folder / "engine/model.onnx", layers)
    manifest = replace(manifest, graph=replace(manifest.graph, stages=stages))
    devices = [Elsewhere(index) for index in range(len(layers))]
    return whole, OnnxSession(folder / "engine", manifest, max_seq_len=CONTEXT, threads=1, devices=devices)


def assert_equal(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> None:
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", MODELS)
def test_prefill_in_chunks_and_decode_are_equal(name: str, tmp_path: Path) -> None:
    model_type, settings = MODELS[name]
    whole, staged = whole_and_staged(tmp_path, (2, 2), model_type, **settings)
    memories = whole.allocate(), staged.allocate()
    for begin, end in ((0, 17), (17, 18), (18, 30)):
        expected, found = (
            each.prefill(memory, begin, TOKENS[begin:end], range(end - begin))
            for each, memory in zip((whole, staged), memories, strict=True)
        )
        assert_equal(found, expected)
    for position in range(30, 40):
        expected, found = (
            each.decode(memory, position, TOKENS[position]).copy()
            for each, memory in zip((whole, staged), memories, strict=True)
        )
        assert_equal(found, expected)


def test_pictures_enter_in_the_first_stage_and_turn_in_every_one(tmp_path: Path) -> None:
    model_type, settings = MODELS["glm4v"]
    whole, staged = whole_and_staged(tmp_path, (1, 1), model_type, **settings)
    tokens = [5, 6, -3, -4, 7]
    hidden_size = whole._manifest.hidden_size
    sight = Sight(
        positions=np.array([[0, 1, 2, 2, 4], [0, 1, 2, 2, 4], [0, 1, 2, 3, 4]]),
        embeddings=np.random.default_rng(0).standard_normal((5, hidden_size)).astype(np.float32),
        types=np.array([0, 0, 1, 1, 0]),
    )
    results = []
    for each in (whole, staged):
        memory = each.allocate()
        seen = each.prefill(memory, 0, tokens, range(5), sight)
        results.append(np.vstack([seen, each.decode(memory, 5, 9, shift=-1)]))
    assert_equal(results[1], results[0])
    assert not np.allclose(results[0], whole_without(whole, tokens), atol=1e-3)


def whole_without(session_: OnnxSession, tokens: Sequence[int]) -> np.ndarray[Any, Any]:
    """The same tokens with nothing where the picture is."""
    memory = session_.allocate()
    seen = session_.prefill(memory, 0, tokens, range(5))
    return np.vstack([seen, session_.decode(memory, 5, 9, shift=-1)])


def test_a_copied_prefix_and_a_rewound_sequence_go_on_alike_in_three_stages(tmp_path: Path) -> None:
    whole, staged = whole_and_staged(tmp_path, (1, 2, 1))
    results = []
    for each in (whole, staged):
        source, target = each.allocate(), each.allocate()
        each.prefill(source, 0, TOKENS[:20])
        each.copy_prefix(source, target, 12)
        followed = each.prefill(target, 12, TOKENS[12:25])
        each.prefill(source, 6, TOKENS[30:40])  # an answer that was cancelled is written over
        rewound = each.prefill(source, 8, TOKENS[:3])
        results.append(np.vstack([followed, rewound]))
    assert_equal(results[1], results[0])


def test_float16_stages_hand_on_float16(tmp_path: Path) -> None:
    whole, staged = whole_and_staged(tmp_path, (1, 1), activations="float16")
    expected, found = (each.prefill(each.allocate(), 0, TOKENS, range(40)) for each in (whole, staged))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-2 * float(np.abs(expected).max()))


def test_stages_share_one_weights_file_and_no_weight_of_a_layer_is_in_two(tmp_path: Path) -> None:
    whole_and_staged(tmp_path, (1, 2, 1), "glm4v", **MODELS["glm4v"][1])
    files = sorted((tmp_path / "engine").glob("*.onnx"))
    assert [file.name for file in files] == ["model.0.onnx", "model.1.onnx", "model.2.onnx"]
    graphs = [onnx.load(file, load_external_data=False).graph for file in files]
    owned = [{tensor.name for tensor in graph.initializer if tensor.name.startswith("layers.")} for graph in graphs]
    assert all(owned) and not (owned[0] & owned[1] or owned[1] & owned[2] or owned[0] & owned[2])
    places = {item.value for graph in graphs for tensor in graph.initializer for item in tensor.external_data[:1]}
    assert places == {"model.onnx.data"}


def test_a_build_splits_as_its_recipe_says(tmp_path: Path) -> None:
    source = save_folder(tiny_model(num_hidden_layers=3), tmp_path / "checkpoint")
    results = []
    for name, target in (("one", Target()), ("two", Target(split=(1, 2)))):
        recipe = replace(load_recipe("cpu"), max_perplexity_loss=10.0, target=target)
        manifest = build(Order(recipe=recipe, source=source, destination=tmp_path / name), say=lambda line: None)
        assert read_manifest(tmp_path / name) == manifest
        results.append((manifest, load_engine(tmp_path / name, EngineConfig(device="cpu", threads=1))))
    (one, whole), (two, staged) = results
    assert [(stage.file, stage.layers) for stage in two.graph.stages] == [("model.0.onnx", 1), ("model.1.onnx", 2)]
    assert one.quality == two.quality and "model.onnx" not in two.files
    assert one.files["model.onnx.data"] == two.files["model.onnx.data"]
    assert staged.session.device == "onnxruntime CPU, 1 thread, 2 stages"
    prompt = TOKENS[:20]
    with whole.cache.lease(prompt) as expected, staged.cache.lease(prompt) as found:
        assert_equal(found.prefill(prompt), expected.prefill(prompt))
        assert_equal(found.decode(7), expected.decode(7))


def test_a_float16_artefact_runs_on_the_cpu_too(tmp_path: Path) -> None:
    source = save_folder(tiny_model(), tmp_path / "checkpoint")
    recipe = replace(load_recipe("cpu"), max_perplexity_loss=10.0, target=Target(device="cuda", activations="float16"))
    manifest = build(Order(recipe=recipe, source=source, destination=tmp_path / "half"), say=lambda line: None)
    engine = load_engine(tmp_path / "half", EngineConfig(device="cpu", threads=1))
    assert manifest.kv_bytes_per_token == 2 * 2 * 2 * 2 * 16
    with engine.cache.lease(TOKENS) as sequence:
        assert np.isfinite(sequence.prefill(TOKENS)).all()
    assert engine.cache.used_bytes == 40 * manifest.kv_bytes_per_token
