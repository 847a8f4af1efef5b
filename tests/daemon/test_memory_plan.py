"""What a supervisor may hold the daemon to follows from engine and configuration, and `edged doctor` prints it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edged.cli.doctor import _memory
from edged.config import load_config
from edged.daemon.memory_plan import REST_BYTES, STEP_BYTES, memory_limit_mib
from edged.engine.manifest import read_manifest
from tests.tiny_artefact import tiny_artefact

MIB = 1024**2


def test_the_limit_holds_weights_conversations_and_the_rest(tmp_path: Path) -> None:
    manifest = read_manifest(tiny_artefact(tmp_path, "tiny"))
    config = load_config({"HOME": "/", "EDGED_ENGINE__KV_CACHE_MB": "512"})
    limit = memory_limit_mib(config, manifest) * MIB
    assert limit % STEP_BYTES == 0
    assert manifest.disk_bytes + 512 * MIB + REST_BYTES < limit < REST_BYTES + 512 * MIB + 2 * STEP_BYTES
    wider = replace(config, engine=replace(config.engine, kv_cache_mb=1024))
    assert memory_limit_mib(wider, manifest) * MIB == limit + 512 * MIB
    # A model of gigabytes: weights once as the file that is mapped, once as the kernels want them.
    large = replace(manifest, files={"model.onnx": replace(next(iter(manifest.files.values())), bytes=5 * 1024 * MIB)})
    assert memory_limit_mib(config, large) - memory_limit_mib(config, manifest) >= 10 * 1024


def test_doctor_prints_the_command_that_sets_it(tmp_path: Path) -> None:
    tiny_artefact(tmp_path / "engines", "tiny")
    environ = {"HOME": str(tmp_path), "EDGED_ENGINES_DIR": str(tmp_path / "engines"), "EDGED_ENGINE__DEFAULT": "tiny"}
    config = load_config(environ)
    expected = memory_limit_mib(config, read_manifest(tmp_path / "engines/tiny"))
    assert _memory(config).detail.endswith(f": systemctl set-property edged MemoryMax={expected}M")
