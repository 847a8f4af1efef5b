"""On an NVIDIA GPU (make test-gpu): the CUDA session computes what the CPU computes, and keeps its books."""

from __future__ import annotations

import ctypes
import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edged.config import EngineConfig
from edged.engine import cuda
from edged.engine.buffer import Host
from edged.engine.cuda import CudaBuffer, CudaDevice
from edged.engine.gpu import find_gpus
from edged.engine.manifest import Manifest, describe_files
from edged.engine.onnx_session import OnnxSession
from edged.engine.open_session import PROVED, UNPROVED, open_session
from edged.errors import DeviceUnavailable
from engines.checkpoint import open_checkpoint
from engines.graph.integer_weights import FLOAT_INPUTS, IntegerWeights
from engines.graph.stages import write_stages
from engines.recipe import load_recipe
from tests.engines_build.tiny_checkpoints import CONTEXT, manifest_of, save_folder, session, tiny_model, tokens_of

pytestmark = pytest.mark.gpu
TOKENS = tokens_of(60)
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {"num_hidden_layers": 4}),
    "qwen2, with bias": ("qwen2", {"num_hidden_layers": 4, "head_dim": 16}),
    "gemma2, capped": ("gemma2", {"num_hidden_layers": 4, "sliding_window": 9, "attn_logit_softcapping": 20.0}),
    "glm4v": ("glm4v", {"num_hidden_layers": 4, "num_attention_heads": 2, "tie_word_embeddings": False}),
}


@pytest.fixture(autouse=True)
def _gpu() -> None:
    if obstacle := find_gpus().obstacle or cuda.provider_obstacle():
        pytest.skip(obstacle)


@pytest.fixture(params=MODELS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Manifest, OnnxSession]:
    """Folder and manifest of an INT4 engine in float16, and its session on the CPU."""
    model_type, settings = MODELS[request.param]
    return built(tmp_path, model_type, **settings)


def built(folder: Path, model_type: str = "llama", **settings: Any) -> tuple[Path, Manifest, OnnxSession]:
    checkpoint = open_checkpoint(save_folder(tiny_model(model_type, **settings), folder / "checkpoint"))
    storage = load_recipe("cpu").format
    # No GPU rounds inputs to INT8, so the CPU must not either.
    on_cpu = session(checkpoint, folder / "engine", lambda file: IntegerWeights(file, storage, FLOAT_INPUTS), "float16")
    return folder / "engine", manifest_of(checkpoint, "float16"), on_cpu


def on_gpu(folder: Path, manifest: Manifest, *indices: int) -> OnnxSession:
    devices = [CudaDevice(index) for index in indices or (0,)]
    return OnnxSession(folder, manifest, max_seq_len=CONTEXT, threads=1, devices=devices)


def assert_close(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> None:
    """Two kernels that sum float16 products in another order."""
    np.testing.assert_allclose(found, expected, atol=3e-2 * float(np.abs(expected).max()))


def test_logits_are_those_of_the_cpu(engine: tuple[Path, Manifest, OnnxSession]) -> None:
    folder, manifest, on_cpu = engine
    device = on_gpu(folder, manifest)
    assert device.device.startswith("onnxruntime CUDA, GPU 0")
    memories = on_cpu.allocate(), device.allocate()
    for begin, end in ((0, 30), (30, 31), (31, 45)):
        expected, found = (
            each.prefill(memory, begin, TOKENS[begin:end], range(end - begin))
            for each, memory in zip((on_cpu, device), memories, strict=True)
        )
        assert found.dtype == np.float32
        assert_close(found, expected)
    for position in range(45, 60):
        expected, found = (
            each.decode(memory, position, TOKENS[position]).copy()
            for each, memory in zip((on_cpu, device), memories, strict=True)
        )
        assert_close(found, expected)


def test_recorded_steps_equal_plain_ones_and_sequences_do_not_mix(tmp_path: Path) -> None:
    folder, manifest, _ = built(tmp_path, num_hidden_layers=3)
    device = on_gpu(folder, manifest)
    plain, first, second = (device.allocate() for _ in range(3))
    expected = [device.prefill(plain, place, [token])[0] for place, token in enumerate(TOKENS)]
    backwards = device.prefill(second, 0, TOKENS[::-1], range(len(TOKENS)))
    device.prefill(second, 0, TOKENS[::-1][:5])
    for place, token in enumerate(TOKENS):
        assert_close(device.decode(first, place, token), expected[place])
        if place >= 5:
            assert_close(device.decode(second, place, TOKENS[::-1][place]), backwards[place])
    device.prefill(first, 20, TOKENS[20:40])  # a graph goes on after a chunk in between
    assert_close(device.decode(first, 40, TOKENS[40]), expected[40])


def test_a_copied_prefix_goes_on_like_the_original(tmp_path: Path) -> None:
    folder, manifest, _ = built(tmp_path, num_hidden_layers=3)
    device = on_gpu(folder, manifest)
    source, target = device.allocate(), device.allocate()
    expected = device.prefill(source, 0, TOKENS)[0]
    device.copy_prefix(source, target, 33)
    device.prefill(target, 33, TOKENS[33:-1])
    assert_close(device.decode(target, len(TOKENS) - 1, TOKENS[-1]), expected)


def test_memories_take_what_is_charged_and_are_taken_over(tmp_path: Path) -> None:
    folder, manifest, _ = built(tmp_path, num_hidden_layers=2)
    device = on_gpu(folder, replace(manifest, context_length=2**18))
    wide = OnnxSession(
        folder, replace(manifest, context_length=2**18), max_seq_len=2**18, threads=1, devices=[CudaDevice(0)]
    )
    warm = device.allocate()
    device.prefill(warm, 0, TOKENS)
    device.decode(warm, len(TOKENS), 5)
    charged = wide.committed_positions(1) * manifest.kv_bytes_per_token
    assert charged == 2**18 * manifest.kv_bytes_per_token
    before = free_bytes()
    memories = [wide.allocate() for _ in range(3)]
    assert abs(before - free_bytes() - 3 * charged) < 32 * 2**20
    del memories
    memories = [wide.allocate() for _ in range(3)]
    assert abs(before - free_bytes() - 3 * charged) < 32 * 2**20
    del memories, wide
    gc.collect()
    assert before - free_bytes() < 32 * 2**20


def free_bytes() -> int:
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    cuda.call("cudaMemGetInfo", ctypes.byref(free), ctypes.byref(total))
    return free.value


def test_a_thousand_sequences_come_and_go(tmp_path: Path) -> None:
    folder, manifest, _ = built(tmp_path, num_hidden_layers=2)
    device = on_gpu(folder, manifest)
    expected = None
    for _ in range(50):
        memory = device.allocate()
        device.prefill(memory, 0, TOKENS[:10])
        logits = device.decode(memory, 10, TOKENS[10]).copy()
        expected = logits if expected is None else expected
        assert_close(logits, expected)
    before = free_bytes()
    for _ in range(1000):
        device.decode(device.allocate(), 0, 5)
    assert before - free_bytes() < 64 * 2**20


def test_two_stages_equal_one(engine: tuple[Path, Manifest, OnnxSession]) -> None:
    folder, manifest, on_cpu = engine
    whole = on_gpu(folder, manifest)
    stages = write_stages(folder / "model.onnx", (2, 2))
    split = replace(manifest, graph=replace(manifest.graph, stages=stages))
    second = 1 if len(find_gpus().found) > 1 else 0
    staged = on_gpu(folder, split, 0, second)
    results = []
    for each in (on_cpu, whole, staged):
        memory = each.allocate()
        seen = each.prefill(memory, 0, TOKENS[:40], range(40))
        steps = [each.decode(memory, place, TOKENS[place]).copy() for place in range(40, 60)]
        results.append(np.vstack([seen, *steps]))
    assert_close(results[1], results[0])
    assert_close(results[2], results[1])


def test_buffers_copy_exactly() -> None:
    values = np.arange(2 * 3 * 8 * 4, dtype=np.float16).reshape(2, 3, 8, 4)
    source, target = (CudaBuffer(0, values.shape, values.dtype) for _ in range(2))
    source.write(values)
    target.write(0)
    target.copy_prefix(source, 5)
    read = np.empty_like(values)
    target.read(read)
    assert (read[:, :, :5] == values[:, :, :5]).all() and not read[:, :, 5:].any()
    host = Host().zeros(values.shape, values.dtype)
    host.write(values)
    target.copy(host)
    target.read(read)
    assert (read == values).all()


def test_the_configuration_chooses_the_gpu_and_float32_is_refused(tmp_path: Path) -> None:
    folder, manifest, _ = built(tmp_path, num_hidden_layers=2)
    manifest = replace(manifest, files=describe_files(folder))
    opened = open_session(folder, manifest, EngineConfig(device="cuda"))
    assert opened.session.device.startswith("onnxruntime CUDA, GPU 0")
    assert opened.remark == ("" if find_gpus().found[0].capability in PROVED else UNPROVED)
    single = replace(manifest, graph=replace(manifest.graph, activations="float32"))
    with pytest.raises(DeviceUnavailable, match="GPUs need float16"):
        open_session(folder, single, EngineConfig(device="cuda"))
    with pytest.raises(DeviceUnavailable, match="there are"):
        open_session(folder, manifest, EngineConfig(device="cuda", devices="63"))
