"""How much memory the daemon may come to take, by arithmetic: what a supervisor can hold it to."""

from __future__ import annotations

from math import ceil

from edged.config import Config
from edged.engine.manifest import Manifest

_MIB = 1024**2
WEIGHTS_FACTOR = 2
"""The file that is mapped, and the kernels' own order of it."""
REST_BYTES = 2048 * _MIB
"""Program, speech models (580 MB on 2026-11-27), store, and pictures of 64 million pixels (1363 MB with them)."""
STEP_BYTES = 256 * _MIB


def memory_limit_mib(config: Config, manifest: Manifest) -> int:
    """MiB that the daemon stays below with this engine and as many conversations as it may keep and answer."""
    context = min(config.engine.max_seq_len, manifest.context_length) * manifest.kv_bytes_per_token
    conversations = config.engine.kv_cache_mb * _MIB + config.engine.max_active * context
    needed = WEIGHTS_FACTOR * manifest.disk_bytes + conversations + REST_BYTES
    return ceil(needed / STEP_BYTES) * STEP_BYTES // _MIB
