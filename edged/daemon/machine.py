"""How this machine is doing."""

from __future__ import annotations

from pathlib import Path


def available_memory() -> int:
    """Bytes that programs can still get without swapping; files that are only cached do not count as taken."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
