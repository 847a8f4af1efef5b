"""The session that computes an engine here: chosen, loaded, and known by what it really is."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged.config import EngineConfig
from edged.engine.buffer import Device, Host
from edged.engine.device_choice import candidates, choose, passed_over
from edged.engine.gpu import Gpus, find_gpus
from edged.engine.manifest import Manifest
from edged.engine.onnx_session import OnnxSession
from edged.engine.session import Session

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A loaded session and where it computes."""

    session: Session[Any]
    devices: tuple[Device, ...]
    """One for each stage."""
    remark: str = ""
    """Why the GPU of this machine is not used; empty where it is, or where there is none."""


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
        return Opened(session=_tensorrt(folder, manifest, gpus, chosen.indices[0]), devices=(Host(),))
    devices = _devices(chosen.device, chosen.indices)
    session = OnnxSession(folder, manifest, max_seq_len=config.max_seq_len, threads=config.threads, devices=devices)
    return Opened(session=session, devices=devices, remark=remark)


def _tensorrt(folder: Path, manifest: Manifest, gpus: Gpus, index: int) -> Session[Any]:
    from edged.engine.cuda import CudaDevice
    from edged.engine.cuda_stream import CudaStream
    from edged.engine.tensorrt_module import load_tensorrt
    from edged.engine.tensorrt_session import TensorRTSession, plan_for

    gpu, trt = gpus.found[index], load_tensorrt()
    plan = plan_for(folder, manifest, gpu.capability, lambda: trt)
    return TensorRTSession(
        folder, manifest, plan, trt=trt, device=CudaDevice(index), stream=CudaStream(index), title=gpu.name
    )


def _devices(device: str, indices: tuple[int, ...]) -> tuple[Device, ...]:
    if device == "cpu":
        return (Host(),)
    from edged.engine.cuda import CudaDevice

    return tuple(CudaDevice(index) for index in indices)
