"""The session that computes an engine here: chosen, loaded, and known by what it really is."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edged.config import EngineConfig
from edged.engine.buffer import Device, Host
from edged.engine.device_choice import candidates, choose, passed_over
from edged.engine.encoder import TowerSession
from edged.engine.gpu import Gpu, Gpus, find_gpus
from edged.engine.manifest import Manifest
from edged.engine.onnx_session import OnnxSession
from edged.engine.senses import PATCHES
from edged.engine.session import Session
from edged.errors import DeviceUnavailable

log = logging.getLogger(__name__)

UNPROVED = "edged's makers have not run it on such a GPU yet, compare answers with those of engine.device = cpu"
"""Said by `edged status` of everything but the CPU, until somebody has (README.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A loaded session and where it computes."""

    session: Session[Any]
    devices: tuple[Device, ...]
    """One for each stage."""
    kv_bytes_per_token: int
    """Memory of one token's keys and values, both, in every layer."""
    vision: TowerSession | None = None
    """What reads pictures, where there is a plan of that too; else its graph is to be loaded on the first device."""
    remark: str = ""
    """What whoever asks for the status should know: why the GPU is not used, or that it is unproved there."""


def open_session(folder: Path, manifest: Manifest, config: EngineConfig) -> Opened:
    """Load the engine on the best device that can compute it, or on the one that the configuration names.

    Raises DeviceUnavailable when that one cannot, ArtefactError naming the file at fault.
    """
    gpus = find_gpus() if config.device != "cpu" else Gpus(obstacle="not looked for")
    found = candidates(folder, manifest, config, gpus)
    chosen = choose(found, config.device)
    remark = passed_over(found, chosen, gpus)
    if remark:
        log.warning("%s: %s", manifest.name, remark)
    if chosen.device == "tensorrt":
        return _tensorrt(folder, manifest, gpus.found[chosen.indices[0]], chosen.indices[0])
    devices = _devices(chosen.device, chosen.indices)
    session = OnnxSession(folder, manifest, max_seq_len=config.max_seq_len, threads=config.threads, devices=devices)
    return Opened(
        session=session,
        devices=devices,
        kv_bytes_per_token=manifest.kv_bytes_per_token,
        remark=UNPROVED if chosen.device == "cuda" else remark,
    )


def _tensorrt(folder: Path, manifest: Manifest, gpu: Gpu, index: int) -> Opened:
    from edged.engine.cuda import CudaDevice
    from edged.engine.cuda_stream import CudaStream
    from edged.engine.tensorrt_module import load_tensorrt
    from edged.engine.tensorrt_plan import plan_for
    from edged.engine.tensorrt_session import TensorRTSession
    from edged.engine.tensorrt_vision import TensorRTVision

    trt, device, stream = load_tensorrt(), CudaDevice(index), CudaStream(index)
    plan = plan_for(folder, manifest, "text", gpu.capability, lambda: trt)
    session = TensorRTSession(folder, manifest, plan, trt=trt, device=device, stream=stream, title=gpu.name)
    halved = replace(manifest, graph=replace(manifest.graph, activations="float16"))  # as every plan computes
    vision, remark = None, UNPROVED
    if manifest.vision is not None:
        try:
            if manifest.vision.kind != PATCHES:
                raise DeviceUnavailable("there are no TensorRT plans of such eyes yet")
            plan = plan_for(folder, manifest, "vision", gpu.capability, lambda: trt)
            vision = TensorRTVision(folder, manifest, plan, trt=trt, device=device, stream=stream)
        except DeviceUnavailable as exc:
            eyes = f"the CPU reads pictures: {exc.message}"
            log.warning("%s: %s", manifest.name, eyes)
            remark = f"{eyes}; {UNPROVED}"
    return Opened(
        session=session,
        devices=(Host(),),
        kv_bytes_per_token=halved.kv_bytes_per_token,
        vision=vision,
        remark=remark,
    )


def _devices(device: str, indices: tuple[int, ...]) -> tuple[Device, ...]:
    if device == "cpu":
        return (Host(),)
    from edged.engine.cuda import CudaDevice

    return tuple(CudaDevice(index) for index in indices)
