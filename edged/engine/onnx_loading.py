"""Loading a graph into ONNX Runtime on the device it is meant for, or an error that says why it cannot be there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import onnxruntime

from edged.engine import cuda
from edged.engine.buffer import Device
from edged.errors import ArtefactError, DeviceUnavailable

_NO_ROOM = ("Failed to allocate memory", "out of memory")
"""What ONNX Runtime's arena and CUDA say."""


def load_graph(
    path: Path, options: onnxruntime.SessionOptions, device: Device, *, captured: bool = False
) -> onnxruntime.InferenceSession:
    """The graph on the device.

    captured: it runs in CUDA graphs on a GPU, so every node has to be there.
    Raises ArtefactError naming the file, or DeviceUnavailable when a GPU would not compute it: never is it put
    on the CPU instead.
    """
    onnxruntime.disable_telemetry_events()
    if device.kind != "cuda":
        return _session(path, options, ["CPUExecutionProvider"])
    if obstacle := cuda.provider_obstacle(device.index):
        raise DeviceUnavailable(f"the GPU cannot be used: {obstacle}")
    options.log_severity_level = 4  # what fails is raised below, with what to do about it
    settings = {"device_id": str(device.index), "arena_extend_strategy": "kSameAsRequested"}
    # The arena would round the weights up to a power of two.
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    if captured:
        settings["enable_cuda_graph"] = "1"
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        session = _session(path, options, [(cuda.PROVIDER, settings)])
    except ArtefactError as exc:
        if any(sign in exc.message for sign in _NO_ROOM):
            raise DeviceUnavailable(
                f"{path}: GPU {device.index} has no room for it: `nvidia-smi` shows who has it; a smaller engine, or "
                'engine.device = "cpu", does without'
            ) from exc
        if "CPU EP" not in exc.message:
            raise
        raise DeviceUnavailable(
            f"{path}: GPU {device.index} cannot compute every node of it: build it with a recipe for GPUs "
            "(python -m engines build MODEL --recipe rtx-4090)"
        ) from exc
    if (found := session.get_providers()[0]) != cuda.PROVIDER:
        raise DeviceUnavailable(f"{path}: ONNX Runtime put it on {found} instead of GPU {device.index}")
    return session


def _session(path: Path, options: onnxruntime.SessionOptions, providers: list[Any]) -> onnxruntime.InferenceSession:
    try:
        # Its own fallback would print what failed and try the CPU.
        return onnxruntime.InferenceSession(path, options, providers=providers, enable_fallback=0)
    except Exception as exc:  # the runtime's errors share no base class
        reason = str(exc).partition("\n")[0][:300]
        raise ArtefactError(f"{path}: ONNX Runtime cannot load it: {reason}") from exc


def usable_cores() -> int:
    """Cores that the scheduler and the control group leave to this process."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))
