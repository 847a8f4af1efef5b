"""On an NVIDIA GPU (make test-gpu): a mixture of experts computes there what it computes on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edged.engine import cuda
from edged.engine.buffer import Device, Host
from edged.engine.cuda import CudaDevice
from edged.engine.gpu import find_gpus
from edged.engine.onnx_session import OnnxSession
from edged.engine.session import Sight, TokenType
from engines.architecture import Architecture
from tests.bench import random_model

pytestmark = pytest.mark.gpu
MODELS: dict[str, Callable[[], Architecture]] = {"narrow": random_model.tiny_phone, "wide": random_model.wide_phone}
"""Kernels for single tokens want wide experts: those of narrow ones are computed by other kernels."""
PROMPT, TOKENS = 30, np.random.default_rng(5).integers(0, 512, 100).tolist()


@pytest.fixture(autouse=True)
def _gpu() -> None:
    if obstacle := find_gpus().obstacle or cuda.provider_obstacle():
        pytest.skip(obstacle)


@pytest.mark.parametrize("width", MODELS)
@pytest.mark.parametrize("block_size", [32, 64])
def test_experts_are_those_of_the_cpu(width: str, block_size: int, tmp_path: Path) -> None:
    """Prompts and single tokens have kernels of their own. Where two experts score nearly the same, either may be
    taken: a token in twenty may differ."""
    checkpoint = random_model.random_checkpoint(MODELS[width](), tmp_path)
    storage = replace(random_model.random_format(block_size), inputs="float")  # as GPUs have it
    manifest = random_model.write_engine(checkpoint, storage, "float16", tmp_path)
    devices: tuple[Device, ...] = Host(), CudaDevice()
    on_cpu, on_gpu = (
        OnnxSession(tmp_path, manifest, max_seq_len=128, threads=1, devices=[device]) for device in devices
    )
    scores = [_scores(session, manifest.hidden_size) for session in (on_cpu, on_gpu)]
    errors = np.abs(scores[1] - scores[0]).max(axis=-1) / np.abs(scores[0]).max()
    assert np.median(errors) < 0.01
    assert (errors < 0.03).mean() > 0.95
    assert on_cpu.expert_load is not None and on_gpu.expert_load is not None
    assert np.abs(on_gpu.expert_load - on_cpu.expert_load).sum() <= 0.02 * on_cpu.expert_load.sum()


def _scores(session: OnnxSession, hidden: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Of a prompt of text, pictures and recordings, and of the tokens that follow one by one, the first again without
    its graph."""
    types = np.arange(PROMPT) % 3
    tokens = np.where(types == TokenType.TEXT, TOKENS[:PROMPT], -1).tolist()
    embeddings = np.random.default_rng(6).normal(size=(PROMPT, hidden)).astype(np.float32)
    sight = Sight(positions=np.tile(np.arange(PROMPT), (3, 1)), embeddings=embeddings, types=types)
    memory = session.allocate()
    prompt = session.prefill(memory, 0, tokens, range(PROMPT), sight)
    plain = session.prefill(memory, PROMPT, TOKENS[PROMPT : PROMPT + 1])
    steps = [session.decode(memory, place, TOKENS[place]).copy() for place in range(PROMPT, len(TOKENS))]
    return np.vstack([prompt, plain, *steps])
