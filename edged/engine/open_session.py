"""The session that computes an engine here: chosen, loaded, and known by what it really is."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edged.config import EngineConfig
from edged.engine.buffer import Device, Host
from edged.engine.device_choice import candidates, choose, passed_over
from edged.engine.encoder import MediaType, TowerSession
from edged.engine.gpu import Gpu, Gpus, find_gpus
from edged.engine.manifest import Manifest
from edged.engine.onnx_session import OnnxSession
from edged.engine.session import Session
from edged.errors import DeviceUnavailable
from edged.events import Image

log = logging.getLogger(__name__)

UNPROVED = "edged's makers have not run it on such a GPU yet, compare answers with those of engine.device = cpu"
"""Said by `edged status` of everything but the CPU and what is proved, until somebody has (README.md)."""
PROVED = frozenset({"sm90"})
"""Kinds of GPU on which tests/gpu have passed: of CUDA sessions on one GPU, but not of mixtures of experts, whose graph
has changed since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A loaded session and where it computes."""

    session: Session[Any]
    devices: tuple[Device, ...]
    """One for each stage."""
    kv_bytes_per_token: int
    """Memory of one token's keys and values, both, in every layer."""
    towers: Mapping[MediaType, TowerSession] = field(default_factory=dict)
    """What reads pictures and recordings, where there are plans of that too; else the first device loads graphs."""
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
    if chosen.device == "cuda":
        used = [gpus.found[index].capability for index in chosen.indices]
        remark = "" if len(used) == 1 and used[0] in PROVED and not manifest.graph.experts else UNPROVED
    session = OnnxSession(folder, manifest, max_seq_len=config.max_seq_len, threads=config.threads, devices=devices)
    return Opened(
        session=session,
        devices=devices,
        kv_bytes_per_token=manifest.kv_bytes_per_token,
        remark=remark,
    )


def _tensorrt(folder: Path, manifest: Manifest, gpu: Gpu, index: int) -> Opened:
    from edged.engine.cuda import CudaDevice
    from edged.engine.cuda_stream import CudaStream
    from edged.engine.tensorrt_module import load_tensorrt
    from edged.engine.tensorrt_plan import plan_for
    from edged.engine.tensorrt_session import TensorRTSession
    from edged.engine.tensorrt_tower import TensorRTTower, tower_parts

    trt, device, stream = load_tensorrt(), CudaDevice(index), CudaStream(index)
    plan = plan_for(folder, manifest, "text", gpu.capability, lambda: trt)
    session = TensorRTSession(folder, manifest, plan, trt=trt, device=device, stream=stream, title=gpu.name)
    halved = replace(manifest, graph=replace(manifest.graph, activations="float16"))  # as every plan computes
    towers, remarks = {}, []
    for media, part in tower_parts(manifest).items():
        try:
            plan = plan_for(folder, manifest, part.name, gpu.capability, lambda: trt)
            towers[media] = TensorRTTower(folder, manifest, part, plan, trt=trt, device=device, stream=stream)
        except DeviceUnavailable as exc:
            remarks.append(f"the CPU reads {'pictures' if media is Image else 'recordings'}: {exc.message}")
            log.warning("%s: %s", manifest.name, remarks[-1])
    return Opened(
        session=session,
        devices=(Host(),),
        kv_bytes_per_token=halved.kv_bytes_per_token,
        towers=towers,
        remark="; ".join([*remarks, UNPROVED]),
    )


def _devices(device: str, indices: tuple[int, ...]) -> tuple[Device, ...]:
    if device == "cpu":
        return (Host(),)
    from edged.engine.cuda import CudaDevice

    return tuple(CudaDevice(index) for index in indices)
