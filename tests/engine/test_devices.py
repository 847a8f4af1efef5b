"""What computes: discovery of GPUs, the choice among candidates, and that nothing else is taken instead."""

from __future__ import annotations

import ctypes
import json
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from edged.cli.bench import device_copy_bandwidth
from edged.config import EngineConfig
from edged.engine import cuda, gpu
from edged.engine.buffer import Host
from edged.engine.cuda import CudaDevice
from edged.engine.device_choice import candidates, choose, passed_over
from edged.engine.engine import load_engine
from edged.engine.gpu import Gpu, Gpus, find_gpus
from edged.engine.manifest import Manifest, Plan, read_manifest
from edged.engine.onnx_loading import load_graph
from edged.engine.onnx_session import OnnxSession
from edged.engine.worker import _where
from edged.errors import DeviceUnavailable, EdgedError
from tests.tiny_artefact import tiny_artefact

RTX = Gpu(name="NVIDIA GeForce RTX 4090", capability="sm89", memory_bytes=24 * 2**30)
NONE = Gpus(obstacle="this machine has no NVIDIA driver")
BROKEN = Gpus(obstacle="the NVIDIA driver does not answer within 10 s", has_driver=True)


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_artefact(tmp_path_factory.mktemp("engines"))


@pytest.fixture
def manifest(artefact: Path) -> Manifest:
    return read_manifest(artefact)


def halved(manifest: Manifest) -> Manifest:
    return replace(manifest, graph=replace(manifest.graph, activations="float16"))


def planned(manifest: Manifest, target: str) -> Manifest:
    plan = Plan(file="text.plan", part="text", builder="tensorrt_rtx 1.7", target=target, capacity=64, max_tokens=64)
    return replace(manifest, plans=(plan,))


def obstacles(manifest: Manifest, gpus: Gpus, config: EngineConfig | None = None) -> dict[str, str]:
    return {one.device: one.obstacle for one in candidates(Path("tiny"), manifest, config or EngineConfig(), gpus)}


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a machine with a driver; what the probe does is up to the script at `probe`."""
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/version").write_text("NVRM version: 580")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "probe"))
    monkeypatch.setattr(gpu, "PROBE_SECONDS", 0.5)
    return tmp_path


def probe(root: Path, script: str) -> Gpus:
    file = root / "probe"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(stat.S_IRWXU)
    return find_gpus(root)


def test_a_machine_without_a_driver_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    assert find_gpus(tmp_path) == Gpus(obstacle="this machine has no NVIDIA driver (no /proc/driver/nvidia)")


def test_gpus_are_what_the_driver_says(driver: Path) -> None:
    said = json.dumps([{"name": RTX.name, "capability": "sm89", "memory_bytes": RTX.memory_bytes}] * 2)
    assert probe(driver, f"echo '{said}'") == Gpus(found=(RTX, RTX), has_driver=True)


@pytest.mark.parametrize(
    ("script", "obstacle"),
    [
        ("sleep 30", "does not answer within"),
        ("echo 'warning' >&2; echo 'cuInit returns 999' >&2; exit 1", "cannot be used: cuInit returns 999"),
        ("kill -SEGV $$", "its probe ended with -11"),
        ("echo '[]'", "offers no GPU"),
    ],
)
def test_a_broken_driver_is_named_and_never_waited_for(driver: Path, script: str, obstacle: str) -> None:
    found = probe(driver, script)
    assert obstacle in found.obstacle and found.has_driver and not found.found


def test_a_probe_that_cannot_be_killed_is_left_behind(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a broken driver a process is deaf to every signal."""
    left: list[subprocess.Popen[str]] = []
    kill = subprocess.Popen.kill
    monkeypatch.setattr(subprocess.Popen, "kill", lambda process: left.append(process))
    monkeypatch.setattr(gpu, "KILL_SECONDS", 0.1)
    assert "does not answer within" in probe(driver, "exec sleep 30").obstacle
    (deaf,) = left
    assert deaf.poll() is None
    kill(deaf)
    deaf.wait(10)


def test_what_the_driver_complains_of_is_said_in_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    class Driver:
        """libcuda where CUDA_VISIBLE_DEVICES hides all GPUs."""

        def cuInit(self, flags: int) -> int:
            return 100

        def cuGetErrorString(self, status: int, reason: Any) -> None:
            reason._obj.value = b"no CUDA-capable device is detected"

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver())
    with pytest.raises(OSError, match=r"^no CUDA-capable device is detected \(cuInit returns 100\)$"):
        gpu._probe()


def test_the_probe_itself_says_that_there_is_no_driver(tmp_path: Path) -> None:
    if cuda_is_here():
        pytest.skip("this machine has the driver's library")
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").touch()
    assert "libcuda.so.1" in find_gpus(tmp_path).obstacle


def cuda_is_here() -> bool:
    return bool(find_gpus().found)


def test_without_a_gpu_the_cpu_is_chosen_and_nothing_is_remarked(manifest: Manifest) -> None:
    found = candidates(Path("tiny"), manifest, EngineConfig(), NONE)
    chosen = choose(found, "auto")
    assert (chosen.device, passed_over(found, chosen, NONE)) == ("cpu", "")
    assert obstacles(manifest, NONE) == {"tensorrt": NONE.obstacle, "cuda": NONE.obstacle, "cpu": ""}


def test_a_gpu_that_is_passed_over_is_remarked(manifest: Manifest) -> None:
    for gpus in (BROKEN, Gpus(found=(RTX,), has_driver=True)):
        found = candidates(Path("tiny"), manifest, EngineConfig(), gpus)
        remark = passed_over(found, choose(found, "auto"), gpus)
        assert remark.startswith("the GPU is not used: ")
        assert ("float16" in remark) is bool(gpus.found)


def test_each_obstacle_says_what_to_do(manifest: Manifest) -> None:
    gpus = Gpus(found=(RTX,), has_driver=True)
    assert "python -m engines build MODEL --recipe rtx-4090" in obstacles(manifest, gpus)["cuda"]
    assert "python -m engines compile tiny --target sm89" in obstacles(manifest, gpus)["tensorrt"]
    assert "(only for sm120)" in obstacles(planned(manifest, "sm120"), gpus)["tensorrt"]
    missing = obstacles(manifest, gpus, EngineConfig(devices="0,3"))
    assert "engine.devices names GPU 3, there are 1" in missing["cuda"]


def test_an_onnxruntime_for_cpus_says_how_to_get_the_other(manifest: Manifest) -> None:
    if cuda.PROVIDER in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    obstacle = obstacles(halved(manifest), Gpus(found=(RTX,), has_driver=True))["cuda"]
    assert "build for CPUs: `make setup EXTRAS=cuda`" in obstacle


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_device_that_is_asked_for_is_never_replaced(device: str, artefact: Path) -> None:
    if cuda_is_here():
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceUnavailable, match=f"engine.device is {device}, which cannot be used: "):
        load_engine(artefact, EngineConfig(device=device))


def test_a_session_on_a_gpu_without_cuda_is_refused(artefact: Path, manifest: Manifest) -> None:
    if cuda_is_here():
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceUnavailable, match="the GPU cannot be used: "):
        OnnxSession(artefact, manifest, max_seq_len=64, threads=1, devices=[CudaDevice(0)])


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (RuntimeError("[ONNXRuntimeError] : CUDA failure 2: out of memory ; GPU=0"), "GPU 0 has no room for it: `nv"),
        (RuntimeError("Failed to allocate memory for requested buffer of size 5"), "GPU 0 has no room for it: `nvid"),
        (RuntimeError("nodes that are assigned to the default CPU EP, but"), "GPU 0 cannot compute every node of it"),
    ],
)
def test_a_graph_that_does_not_fit_a_gpu_is_put_nowhere_else(
    failure: Exception,
    message: str,
    artefact: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """ONNX Runtime's own fallback would say so on stdout and compute on the CPU."""
    asked: list[object] = []

    def fail(self: object, providers: object, *_: object) -> None:
        asked.append(providers)
        raise failure

    monkeypatch.setattr(cuda, "provider_obstacle", lambda device: "")
    monkeypatch.setattr(onnxruntime.InferenceSession, "_create_inference_session", fail)
    with pytest.raises(DeviceUnavailable, match=message):
        load_graph(artefact / "model.onnx", onnxruntime.SessionOptions(), CudaDevice(0), captured=True)
    assert len(asked) == 1 and capsys.readouterr().out == ""


def test_the_cpu_is_taken_as_it_is_asked_for(artefact: Path) -> None:
    engine = load_engine(artefact, EngineConfig(device="cpu", threads=1))
    assert (engine.session.device, engine.remark) == ("onnxruntime CPU, 1 thread", "")


def test_status_says_why_the_gpu_is_not_used(artefact: Path) -> None:
    engine = load_engine(artefact, EngineConfig(device="cpu", threads=1))
    assert _where(engine) == "onnxruntime CPU, 1 thread"
    assert _where(replace(engine, remark="the GPU is not used: x")).endswith("1 thread; the GPU is not used: x")


def test_copying_on_a_device_is_measured_by_its_own_buffers() -> None:
    assert device_copy_bandwidth(Host(), size=4096, rounds=1) > 0


def test_an_error_of_cuda_is_raised_once_and_not_left_to_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA keeps a thread's last error until it is asked for, and ONNX Runtime asks after each of its kernels."""
    pending: list[int] = []

    class Runtime:
        """What cudart does with an error."""

        def __init__(self, status: int) -> None:
            self.status = status

        def cudaMalloc(self) -> int:
            pending.append(self.status)
            return self.status

        def cudaGetLastError(self) -> int:
            return pending.pop()

        def cudaGetErrorString(self, status: int) -> bytes:
            return b"no such device"

    for status, message in ((2, "the GPU has no room left: lower engine.kv_cache_mb"), (100, "no such device")):
        monkeypatch.setattr(cuda, "_runtime", lambda status=status: Runtime(status))
        with pytest.raises(EdgedError, match=message):
            cuda.call("cudaMalloc")
        assert not pending


def test_host_buffers_hold_what_they_are_given() -> None:
    source, target = (Host().zeros((2, 3, 8, 4), np.float16) for _ in range(2))
    source.write(np.arange(192, dtype=np.float16).reshape(2, 3, 8, 4))
    target.copy_prefix(source, 5)
    assert (target.array[:, :, :5] == source.array[:, :, :5]).all() and not target.array[:, :, 5:].any()
    target.copy(source)
    read = np.empty_like(target.array)
    target.read(read)
    assert (read == source.array).all() and source.pointer != target.pointer
