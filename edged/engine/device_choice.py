"""What could compute an engine on this machine, best first, and why the better ones do not: one table for all.

`load_engine` takes the first that can, or the one that the configuration names; `edged doctor` shows them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edged.config import EngineConfig, parse_devices
from edged.engine.gpu import Gpus, machine_model
from edged.engine.manifest import Manifest
from edged.errors import DeviceUnavailable, MissingExtra


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to compute an engine."""

    device: str
    """As in engine.device: "tensorrt", "cuda" or "cpu"."""
    indices: tuple[int, ...] = ()
    """Of the GPUs, one for each stage."""
    title: str = ""
    """What would compute, for people."""
    obstacle: str = ""
    """Why it cannot; empty when it can."""
    advice: str = ""
    """What to do about it, where the obstacle does not say so itself."""

    @property
    def reason(self) -> str:
        """Obstacle and advice in a line."""
        return f"{self.obstacle}: {self.advice}" if self.advice else self.obstacle


def candidates(folder: Path, manifest: Manifest, config: EngineConfig, gpus: Gpus) -> list[Candidate]:
    """All of them, best first. Loads NVIDIA's libraries where there is a GPU that an engine is made for."""
    return [
        _on_gpus("tensorrt", 1, config, gpus, lambda gpu: _plan_obstacle(folder, manifest, gpus.found[gpu].capability)),
        _on_gpus("cuda", len(manifest.graph.stages), config, gpus, lambda gpu: _cuda_obstacle(manifest, gpu)),
        Candidate(device="cpu", title="onnxruntime on the CPU"),
    ]


def choose(found: Sequence[Candidate], wanted: str) -> Candidate:
    """The first that can compute, or the one that is wanted. Raises DeviceUnavailable: never another one instead."""
    if wanted == "auto":
        return next(one for one in found if not one.obstacle)
    asked = next(one for one in found if one.device == wanted)
    if asked.obstacle:
        raise DeviceUnavailable(f"engine.device is {wanted}, which cannot be used: {asked.reason}")
    return asked


def passed_over(found: Sequence[Candidate], chosen: Candidate, gpus: Gpus) -> str:
    """Why a machine with a GPU computes on something slower, in short; empty where there is nothing to explain."""
    better = next((one for one in found if one.device == "cuda" and one.obstacle), None)
    if chosen.device != "cpu" or better is None or not gpus.has_driver:
        return ""
    return f"the GPU is not used: {better.obstacle}"


def _on_gpus(device: str, count: int, config: EngineConfig, gpus: Gpus, obstacle_on: Callable[[int], str]) -> Candidate:
    """A candidate that needs `count` GPUs; `obstacle_on` is asked about the first."""
    title = "TensorRT" if device == "tensorrt" else "onnxruntime with CUDA"
    if gpus.obstacle:
        return Candidate(device=device, title=title, obstacle=gpus.obstacle, advice=_driver_advice())
    indices = parse_devices(config.devices) or tuple(range(min(count, len(gpus.found))))
    if missing := [index for index in indices if index >= len(gpus.found)]:
        obstacle = f"engine.devices names GPU {missing[0]}, there are {len(gpus.found)}, numbered from 0"
        return Candidate(device=device, title=title, obstacle=obstacle)
    names = " and ".join(f"GPU {index}, {gpus.found[index].name}" for index in indices[:count])
    return Candidate(
        device=device,
        indices=indices,
        title=f"{title} on {names}",
        obstacle=obstacle_on(indices[0]),
    )


def _driver_advice() -> str:
    if "jetson" in machine_model().lower():
        return "JetPack brings it: reinstall nvidia-l4t-cuda"
    return "install the NVIDIA driver, until `nvidia-smi` lists the GPU, or leave engine.device at auto or cpu"


def _cuda_obstacle(manifest: Manifest, gpu: int) -> str:
    if manifest.graph.activations != "float16":
        return (
            f"{manifest.name} computes in {manifest.graph.activations}, GPUs need float16: "
            "build it with a recipe for GPUs (python -m engines build MODEL --recipe rtx-4090)"
        )
    from edged.engine import cuda

    return cuda.provider_obstacle(gpu)


def _plan_obstacle(folder: Path, manifest: Manifest, capability: str) -> str:
    from edged.engine.tensorrt_module import load_tensorrt
    from edged.engine.tensorrt_plan import plan_for

    try:
        plan_for(folder, manifest, "text", capability, load_tensorrt)
    except (DeviceUnavailable, MissingExtra) as exc:
        return exc.message
    return ""
