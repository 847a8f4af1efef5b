"""Which numbers products are computed in while training: half as many bits where that is faster."""

from __future__ import annotations

import functools
from pathlib import Path

import torch

_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Of x86-64's CPUs and of Arm's, as /proc/cpuinfo calls them. Without them large products in bfloat16 take five times
as long as in float32, and many small ones twenty times (AMD EPYC with AVX2, 2026-11-27)."""


def product_type(device: torch.device) -> torch.dtype:
    """bfloat16 where there are instructions for it, else float32."""
    return torch.bfloat16 if device.type != "cpu" or _has_bfloat16() else torch.float32


def in_product_type(device: torch.device) -> torch.autocast:
    """Within it products are computed so, whatever their matrices are."""
    enabled = product_type(device) == torch.bfloat16
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled, cache_enabled=device.type == "cpu")


@functools.cache
def _has_bfloat16() -> bool:
    found = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    return not _FLAGS.isdisjoint(found.split())
