"""Whether a compilation fits this machine, said before it begins: killed at the end of it, nobody would know why."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edged.errors import InvalidInput

_CGROUP = Path("/sys/fs/cgroup")
_FIXED_MEMORY = 350_000_000
_MEMORY_A_NODE = 400_000
_FIXED_PLAN = 5_000_000
_PLAN_A_NODE = 40_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a compilation takes at its peak, in bytes."""

    memory: int
    disk: int
    """Of the artefact's file system, where plans that this one replaces are until the end."""


def need_of(weight_bytes: int, nodes: int, *, is_lowered: bool) -> Need:
    """From the size of the weights and the number of the standard graph's nodes.

    is_lowered: weights are written anew before the plan is built. That takes less memory than building it: 0.9 GB
    for an INT8 table of 151,552 x 4,096, whose plan takes 2 GB.

    Fitted to the peaks (VmHWM) of builds with TensorRT-RTX 1.7.1, two profiles, sm89, on 2026-11-23: square INT4
    products of 19, 151, 679 and 2,416 MB took 357, 809, 2,285 and 7,378 MB, the default engine of 111 MB and 1,465
    nodes 1,212 MB. Its plan is 57 MB larger than its weights: it holds the source of its kernels. Of vision towers in
    INT8, those of 12 and 43 MB took less than 560 and 640 MB, and had plans of 16 and 48 MB.
    """
    return Need(
        memory=_FIXED_MEMORY + 3 * weight_bytes + _MEMORY_A_NODE * nodes,
        disk=(1 + is_lowered) * weight_bytes + _FIXED_PLAN + _PLAN_A_NODE * nodes,
    )


def require_room(needs: Sequence[Need], folder: Path, available_memory: int | None = None) -> None:
    """Raise InvalidInput with both numbers when the machine has too little of either.

    needs: of plans that are built one after the other and installed together.
    """
    memory, disk = max(need.memory for need in needs), sum(need.disk for need in needs)
    free_memory = available_memory_bytes() if available_memory is None else available_memory
    if memory > free_memory:
        raise InvalidInput(
            f"compiling takes about {_mb(memory)} of memory, {_mb(free_memory)} are free: "
            "stop other programs, add swap, or compile on a larger machine"
        )
    if disk > (free_disk := shutil.disk_usage(folder).free):
        raise InvalidInput(f"compiling takes about {_mb(disk)} in {folder}, {_mb(free_disk)} are free")


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
