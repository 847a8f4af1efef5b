"""The benchmark of full-size models: on the CPU in a tiny shape, and as it is where there is a GPU."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from edged.engine import cuda
from edged.engine.buffer import Host
from edged.engine.gpu import Gpus, find_gpus
from engines.memory import footprint, text_shape
from tests.bench import gpu, random_model

ROW = re.compile(
    r"\| (?:glm4v|autoglm_phone) \| (32|64|128) \| [\d.]+ \| [\d.]+ \| [\d. /]+ \| \d+% / \d+% "
    r"\| (?:\d+|-) \| (?:\d+|-) \| [\d.]+ \| (.+) \|"
)


def test_a_tiny_model_on_the_cpu(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    gpu.main(["--shape", "tiny", "--device", "cpu", "--block", "32", "--dir", str(tmp_path)])
    said = capsys.readouterr().out
    assert said.startswith("CPU: this tries the program, it measures no GPU")
    assert [match[1] for match in ROW.finditer(said)] == ["32"]
    assert "onnxruntime CPU" in said
    assert re.search(
        r'^"tiny" = "[\d.]+ / [\d.]+ ms after 128 / 4,000, [\d.]+ GB \(CPU: .+ --shape tiny .+`\)"$', said, re.M
    )
    assert not list(tmp_path.iterdir())


def test_a_tiny_mixture_on_the_cpu(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Written, kept, and found again by the next runs, of which the second only decodes."""
    asked = ["--shape", "tiny-moe", "--device", "cpu", "--keep", str(tmp_path)]
    gpu.main([*asked, "--write"])
    written = (tmp_path / "tiny-moe-64-float32/model.onnx").stat().st_mtime_ns
    gpu.main(asked)
    gpu.main([*asked, "--decode-only"])
    said = capsys.readouterr().out
    assert [match[1] for match in ROW.finditer(said)] == ["64", "64"]
    assert "| - | - |" in said
    assert (tmp_path / "tiny-moe-64-float32/model.onnx").stat().st_mtime_ns == written


@pytest.mark.parametrize("name", ["tiny", "tiny-moe"])
def test_random_weights_compute_numbers_of_a_useful_size(name: str, tmp_path: Path) -> None:
    """Neither zeros nor infinities, in float16 as well, and the gate and up halves are not the same."""
    arch = gpu.SHAPES[name]()
    checkpoint = random_model.random_checkpoint(arch, tmp_path, gpu.BIASED.get(arch.model_type, ()))
    manifest = random_model.write_engine(checkpoint, random_model.random_format(32), "float16", tmp_path)
    session = gpu.OnnxSession(tmp_path, manifest, max_seq_len=256, threads=1, devices=[Host()])
    logits = session.prefill(session.allocate(), 0, list(range(100)), range(100))
    assert np.isfinite(logits).all()
    assert 0.1 < logits.std() < 10
    assert len(set(logits.argmax(-1).tolist())) > 4
    if (load := session.expert_load) is not None:
        assert (load > 0).all()


@pytest.mark.parametrize("name", ["autoglm-phone-9b", "autoglm-phone-9b-moe", "llama-3-8b", "gemma-2b"])
def test_full_size_models_have_their_size(name: str) -> None:
    arch = gpu.SHAPES[name]()
    shape = text_shape(arch, positions=0, qkv_bias=False)
    weights = footprint(shape, random_model.random_format(64 if arch.experts else 128), activations="float16")
    read = {"autoglm-phone-9b": 4.53, "autoglm-phone-9b-moe": 0.63, "llama-3-8b": 3.87, "gemma-2b": 1.29}
    assert weights.read_per_token(0) / 1e9 == pytest.approx(read[name], abs=0.01)


def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "find_gpus", lambda: Gpus(obstacle="there is none"))
    with pytest.raises(SystemExit):
        gpu.main(["--shape", "tiny"])
    assert "no GPU can be used: there is none" in capsys.readouterr().err


def test_a_profile_needs_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main(["--shape", "tiny", "--device", "cpu", "--profile"])
    assert "--profile listens to a GPU" in capsys.readouterr().err


def test_text_alone_reads_less_than_with_adapters() -> None:
    """What it leaves out are the adapters, and all that takes pictures and recordings in."""
    whole, text = random_model.phone_9b(), random_model.phone_9b_of_text()
    assert not text.sees and text.experts == whole.experts
    assert 0 < whole.active_parameters - text.active_parameters < 0.05 * whole.active_parameters


@pytest.mark.gpu
def test_a_tiny_model_on_the_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    if obstacle := find_gpus().obstacle or cuda.provider_obstacle():
        pytest.skip(obstacle)
    gpu.main(["--shape", "tiny"])
    said = capsys.readouterr().out
    assert [match[1] for match in ROW.finditer(said)] == ["128", "32"]
    assert all("CUDA" in match[2] for match in ROW.finditer(said))
