"""Whether a compilation fits this machine, said before it begins: killed at the end of it, nobody would know why."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edged.errors import InvalidInput

_CGROUP = Path("/sys/fs/cgroup")
_FIXED_MEMORY = 350_000_000
_MEMORY_A_NODE = 400_000
_PLAN_A_NODE = 45_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a compilation takes at its peak, in bytes."""

    memory: int
    disk: int
    """Of the artefact's file system: lowered weights and the plan exist at the same time."""


def need_of(weight_bytes: int, nodes: int) -> Need:
    """From the size of the weights and the number of the standard graph's nodes.

    Fitted to the peaks (VmHWM) of builds with TensorRT-RTX 1.7.1, two profiles, sm89, on 2026-11-23: square INT4
    products of 19, 151, 679 and 2,416 MB took 357, 809, 2,285 and 7,378 MB, the default engine of 111 MB and 1,465
    nodes 1,212 MB. Its plan is 57 MB larger than its weights: it holds the source of its kernels.
    """
    return Need(
        memory=_FIXED_MEMORY + 3 * weight_bytes + _MEMORY_A_NODE * nodes,
        disk=2 * weight_bytes + _PLAN_A_NODE * nodes,
    )


def require_room(need: Need, folder: Path, available_memory: int | None = None) -> None:
    """Raise InvalidInput with both numbers when the machine has too little of either."""
    memory = available_memory_bytes() if available_memory is None else available_memory
    if need.memory > memory:
        raise InvalidInput(
            f"compiling takes about {_mb(need.memory)} of memory, {_mb(memory)} are free: "
            "stop other programs, add swap, or compile on a larger machine"
        )
    if need.disk > (disk := shutil.disk_usage(folder).free):
        raise InvalidInput(f"compiling takes about {_mb(need.disk)} in {folder}, {_mb(disk)} are free")


def available_memory_bytes(root: Path = Path("/proc/meminfo"), cgroup: Path = _CGROUP) -> int:
    """What this process may still take: free memory and swap, its control group's limit, its own."""
    fields = dict(line.split(":") for line in root.read_text(encoding="ascii").splitlines())
    free = sum(int(fields[key].split()[0]) * 1024 for key in ("MemAvailable", "SwapFree"))
    limits = [free, *_cgroup_room(cgroup)]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        limits.append(max(0, soft - used))
    return min(limits)


def _cgroup_room(cgroup: Path) -> Iterable[int]:
    try:
        limit = (cgroup / "memory.max").read_text(encoding="ascii").strip()
        used = int((cgroup / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return
    if limit != "max":
        yield max(0, int(limit) - used)


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
