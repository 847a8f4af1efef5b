"""What a decoded token spends its time on: the kernels of the GPU, the gaps between them, and the host.

PyTorch's profiler listens to CUDA in the whole process, so that it hears the kernels of ONNX Runtime as well, and those
that replay in a CUDA graph.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from types import MappingProxyType

ROLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "experts": ("moe_gemv", "MoeFCGemm", "doGatedActivation"),
        "choice of experts": ("TopK", "ExpertMaps", "ExpertPrefixSum", "MoeRouting", "expandInputRows"),
        "attention": ("kernel_mha", "UnpackRoPEAppend", "GetSequenceLengths", "flash", "fmha", "sdpa", "Rotary"),
        "INT4 products": ("Float4Bits", "fpA_intB", "FloatInt4", "Dequantize4Bits"),
        "router, other products": ("gemv", "Gemv", "gemm", "Gemm", "splitK", "cublas", "dot_kernel", "reduce_1Block"),
        "norms": ("LayerNorm",),
        "copies": ("Memcpy", "Memset"),
    }
)
"""What a kernel is for, by parts of its name; the first that is found counts."""
OTHER = "small ones"
_GPU_WORK = ("kernel", "gpu_memcpy", "gpu_memset")
"""Categories of the profiler's trace."""
_HOST_COPIES = ("Memcpy HtoD", "Memcpy DtoH")
_NAME_LENGTH = 70
_WARM_UP = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A kernel or a copy."""

    name: str
    begun_us: float
    took_us: float

    @property
    def ended_us(self) -> float:
        """When the next one can begin."""
        return self.begun_us + self.took_us

    @property
    def role(self) -> str:
        """One of ROLES, or OTHER."""
        return next((role for role, parts in ROLES.items() if any(part in self.name for part in parts)), OTHER)


def record(phases: Mapping[str, Callable[[], object]], steps: int) -> dict[str, list[Work]]:
    """What the GPU does in so many steps of each phase, in the order of time.

    A few steps before them are not looked at: CUDA graphs had better be recorded while the profiler listens. It
    listens once, because a second time may hear nothing.
    """
    from torch.profiler import ProfilerActivity, profile, record_function

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as recording:
        for name, step in phases.items():
            for _ in range(_WARM_UP):
                step()
            with record_function(name):
                for _ in range(steps):
                    step()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        recording.export_chrome_trace(str(path))
        return read_trace(path.read_text(encoding="utf-8"), list(phases))


def read_trace(text: str, phases: Sequence[str]) -> dict[str, list[Work]]:
    """The GPU's part of a trace in Chrome's format, by the phases that are marked in it."""
    events = json.loads(text)["traceEvents"]
    work = sorted(
        (
            Work(name=event["name"], begun_us=float(event["ts"]), took_us=float(event["dur"]))
            for event in events
            if event.get("cat") in _GPU_WORK
        ),
        key=lambda each: each.begun_us,
    )
    marks = {
        event["name"]: (float(event["ts"]), float(event["ts"]) + float(event["dur"]))
        for event in events
        if event.get("cat") == "user_annotation" and event["name"] in phases
    }
    return {name: [each for each in work if begun <= each.begun_us < ended] for name, (begun, ended) in marks.items()}


def report(work: Sequence[Work], steps: int, wall_ms: float, read_bytes: Mapping[str, int], *, rows: int = 14) -> str:
    """Markdown: where the wall's milliseconds of a step go, then by role, then the kernels that take most.

    wall_ms: of a step without the profiler. read_bytes: what those of a role have to read in a step.
    """
    if not work:
        return "the profiler heard no kernel"
    lines = [_balance(work, steps, wall_ms), ""]
    lines += ["| role | a step | ms | share of the wall | GB | GB/s |", "|---|---|---|---|---|---|"]
    for role, some in _by(work, lambda each: each.role):
        ms, read = _total_ms(some) / steps, read_bytes.get(role, 0)
        bandwidth = [f"{read / 1e9:.3f}", f"{read / ms / 1e6:.0f}"] if read and ms else ["-", "-"]
        lines.append(_row(role, f"{len(some) / steps:.0f}", f"{ms:.3f}", f"{ms / wall_ms:.0%}", *bandwidth))
    lines += ["", "| kernel | role | a step | ms a step | median us | longest us |", "|---|---|---|---|---|---|"]
    for name, some in _by(work, lambda each: each.name)[:rows]:
        times = [each.took_us for each in some]
        per_step = f"{len(some) / steps:.0f}", f"{_total_ms(some) / steps:.3f}"
        lines.append(
            _row(_short(name), some[0].role, *per_step, f"{statistics.median(times):.1f}", f"{max(times):.1f}")
        )
    return "\n".join(lines)


def _balance(work: Sequence[Work], steps: int, wall_ms: float) -> str:
    inside = [each for each in work if not each.name.startswith(_HOST_COPIES)]
    busy, copies = _total_ms(inside) / steps, (_total_ms(work) - _total_ms(inside)) / steps
    said = f"{wall_ms:.3f} ms a step: {len(inside) / steps:.0f} kernels and fills take {busy:.3f} ms"
    if len(inside) % steps:
        return f"{said}, copies from and to the host {copies:.3f} ms; the steps cannot be told apart"
    size = len(inside) // steps
    gaps = [
        max(0.0, after.begun_us - before.ended_us)
        for start in range(0, len(inside), size)
        for before, after in pairwise(inside[start : start + size])
    ]
    between = sum(gaps) / 1e3 / steps
    return (
        f"{said}, gaps between them {between:.3f} ms, copies from and to the host {copies:.3f} ms, "
        f"the host otherwise {wall_ms - busy - between - copies:.3f} ms"
    )


def _by(work: Sequence[Work], key: Callable[[Work], str]) -> list[tuple[str, list[Work]]]:
    """Groups, those that take most first."""
    groups = [(name, list(some)) for name, some in groupby(sorted(work, key=key), key=key)]
    return sorted(groups, key=lambda group: -_total_ms(group[1]))


def _total_ms(work: Sequence[Work]) -> float:
    return sum(each.took_us for each in work) / 1e3


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _short(name: str) -> str:
    """The name without return type, namespaces and arguments, as far as it fits a column."""
    plain = name.removeprefix("void ").partition("(")[0]
    head, bracket, arguments = plain.partition("<")
    return (head.rpartition("::")[2] + bracket + arguments)[:_NAME_LENGTH].replace("|", "/")
