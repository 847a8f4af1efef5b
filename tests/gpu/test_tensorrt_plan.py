"""A plan on the GPU it was built for, against the fused graph on the CPU. Has not been run anywhere yet."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edged.config import EngineConfig
from edged.engine.gpu import find_gpus
from edged.engine.onnx_session import OnnxSession
from edged.engine.open_session import open_session
from edged.errors import MissingExtra
from engines.tensorrt.compile import JETSON, TARGETS, CompileOrder, compile_artefact

pytestmark = pytest.mark.gpu
DEFAULT = Path(__file__).parents[2] / "build" / "engines" / "smollm2-135m"


def test_chunks_and_recorded_steps_equal_the_cpu(tmp_path: Path) -> None:
    found = find_gpus().found
    if not found or found[0].capability not in (*TARGETS, JETSON):
        pytest.skip("no GPU that TensorRT has a target for here")
    folder = Path(shutil.copytree(DEFAULT, tmp_path / "engine"))
    try:
        manifest = compile_artefact(
            CompileOrder(folder=folder, target=found[0].capability, context=256, max_tokens=64), print
        )
    except MissingExtra as exc:
        pytest.skip(exc.message)
    cpu = OnnxSession(folder, manifest, max_seq_len=256, threads=1)
    gpu = open_session(folder, manifest, EngineConfig(device="tensorrt")).session
    tokens = np.random.default_rng(0).integers(5, manifest.vocab_size, 90).tolist()
    ours, theirs = gpu.allocate(), cpu.allocate()
    expected = cpu.prefill(theirs, 0, tokens, (10, -1))
    assert np.abs(gpu.prefill(ours, 0, tokens, (10, -1)) - expected).max() < 0.05 * np.abs(expected).max()
    other = gpu.allocate()
    gpu.copy_prefix(ours, other, 90)
    for position in range(90, 95):
        step = cpu.decode(theirs, position, 7).copy()
        for memory in (ours, other):  # by turns: each has its own recording
            assert np.abs(gpu.decode(memory, position, 7) - step).max() < 0.05 * np.abs(step).max()
    expected = cpu.prefill(theirs, 95, tokens[:70])
    assert np.abs(gpu.prefill(other, 95, tokens[:70]) - expected).max() < 0.05 * np.abs(expected).max()
