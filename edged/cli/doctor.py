"""`edged doctor`: looks at everything the daemon needs, and says what to do about what is missing."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edged.cli.check import Check, Verdict, judged
from edged.cli.device_checks import device_checks
from edged.cli.lan_checks import lan_checks
from edged.cli.output import human_bytes, print_json, printable
from edged.cli.sight_checks import sight_checks
from edged.cli.voice_checks import voice_checks
from edged.config import Config, load_config
from edged.errors import EdgedError, nearest
from edged.launch import listens

if TYPE_CHECKING:
    from edged.engine.manifest import Manifest

MODULES = ("onnxruntime", "numpy", "tokenizers", "jinja2", "sqlcipher3", "sqlite_utils", "grpc_health", "keyring")
"""What `edged[daemon]` installs and the daemon imports."""
VECTOR_EXTENSIONS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "asimd", "asimddp", "i8mm")
"""Those that INT4 kernels use, as /proc/cpuinfo calls them."""
FREE_DISK_BYTES = 256 * 1024 * 1024
"""Less than this left for the state directory is worth a warning."""
SANDBOX_PROBE = """
import dataclasses, json
from edged.privacy import sandbox, seccomp
from edged.privacy.egress import Egress
from edged.privacy.files import FileAccess
results = [
    sandbox.refuse_tcp(bind_ports=()),
    sandbox.limit_files(FileAccess(run=(), read=(), use=(), change=())),
    seccomp.refuse_calls(Egress(bind_ports=frozenset())),
]
print(json.dumps([dataclasses.asdict(result) for result in results]))
"""
"""Restricts the process that runs it, for good: so it gets one of its own."""
_SINCE = {"landlock": "Linux 6.7", "landlock files": "Linux 5.13", "seccomp": "Linux 3.17 on x86-64 and aarch64"}


@click.command()
@click.option("--json", "json_wanted", is_flag=True, help="Print one JSON object.")
@click.pass_context
def doctor(context: click.Context, json_wanted: bool) -> None:
    """Check that edged can run here. Exits with 1 when something must be mended."""
    checks = list(_all_checks())
    healthy = all(check.verdict is not Verdict.FAIL for check in checks)
    if json_wanted:
        print_json({"healthy": healthy, "checks": checks})
    else:
        for check in checks:
            mark = click.style(check.verdict.value.ljust(5), fg=_COLOURS[check.verdict])
            click.echo(f"{mark}{check.name}: {printable(check.detail)}")
    context.exit(0 if healthy else 1)


_COLOURS = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}


def _all_checks() -> Iterator[Check]:
    yield _python()
    yield from _sandbox()
    yield _processor()
    try:
        config = load_config()
    except EdgedError as exc:
        yield Check(name="configuration", verdict=Verdict.FAIL, detail=f"{exc.message}; the rest was not checked")
        return
    yield judged("configuration", f"valid, read from {config.paths.config}")
    found = [_outcome(name, check, config) for name, check in _CHECKS.items()]
    answers = found[-1].verdict is Verdict.OK and listens(config.socket_path)
    for check in found:
        # A daemon that answers has what it needs, wherever it was installed.
        softened = answers and check.name in ("packages", "engines") and check.verdict is Verdict.FAIL
        yield replace(check, verdict=Verdict.WARN) if softened else check
        if check.name == "engines":
            yield from _parts("device", device_checks, config)
            yield from _parts("speech", voice_checks, config)
            yield from _parts("pictures", sight_checks, config)
            yield from _parts("lan", lan_checks, config)


def _privacy(config: Config) -> Check:
    detail = "; ".join(config.exposures) or "nothing that protects people is switched off"
    return judged("privacy", detail, not config.exposures, advice="for debugging only", otherwise=Verdict.WARN)


def _outcome(name: str, check: Callable[[Config], Check], config: Config) -> Check:
    """What the check found, or what kept it from looking."""
    try:
        return check(config)
    except EdgedError as exc:
        return Check(name=name, verdict=Verdict.FAIL, detail=exc.message)
    except ImportError as exc:
        return Check(name=name, verdict=Verdict.WARN, detail=f"not checked: {exc.name} is missing")
    except OSError as exc:
        return Check(name=name, verdict=Verdict.FAIL, detail=str(exc))


def _python() -> Check:
    found = f"{platform.python_version()}, {platform.platform(terse=True)}, {platform.machine()}"
    return judged("python", found, sys.version_info >= (3, 11), advice="3.11 or later is needed")


def _packages(_: Config) -> Check:
    missing = [name for name in MODULES if importlib.util.find_spec(name) is None]
    if missing:
        return Check(name="packages", verdict=Verdict.FAIL, detail=f"{', '.join(missing)}: pip install 'edged[daemon]'")
    runtimes = [name for name in ("onnxruntime", "onnxruntime-gpu") if _is_installed(name)]
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("edged", "grpcio", *runtimes, "numpy")]
    advice = "pip uninstall onnxruntime, pip install --force-reinstall --no-deps onnxruntime-gpu"
    # They are one Python package under two names: of both, some files of each are left.
    return judged("packages", ", ".join(versions), len(runtimes) < 2, advice=advice, otherwise=Verdict.WARN)


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _sandbox() -> Iterator[Check]:
    """What a daemon's guard would be able to do here."""
    probe = subprocess.run([sys.executable, "-P", "-c", SANDBOX_PROBE], capture_output=True, text=True, check=False)
    if probe.returncode:
        yield Check(name="sandbox", verdict=Verdict.WARN, detail=probe.stderr.strip().rpartition("\n")[2])
        return
    for result in json.loads(probe.stdout):
        advice = f"{_SINCE[result['name']]} and later have it; without it, rely on what systemd's unit allows"
        yield judged(result["name"], result["detail"], result["active"], advice=advice, otherwise=Verdict.WARN)


def _processor() -> Check:
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    features = next((line for line in lines if line.lower().startswith(("flags", "features"))), "").split()
    known = [name for name in VECTOR_EXTENSIONS if name in features]
    detail = f"{len(os.sched_getaffinity(0))} cores, {' '.join(known) or 'no known vector extension'}"
    fast = "avx2" in known or "asimd" in known
    return judged("processor", detail, fast, advice="expect it to be slow", otherwise=Verdict.WARN)


def _state(config: Config) -> Check:
    folder = config.paths.state
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        return judged("state directory", f"{nearest} cannot be written", False, advice="set EDGED_STATE_DIR")
    free = shutil.disk_usage(nearest).free
    detail = f"{folder}, {human_bytes(free)} free"
    return judged("state directory", detail, free > FREE_DISK_BYTES, advice="make room", otherwise=Verdict.WARN)


def _key(config: Config) -> Check:
    from edged.cli.database_check import key_of
    from edged.store.key_places import KEY_FILE_NAME

    file = config.key_directory / KEY_FILE_NAME
    if file.exists() and file.stat().st_mode & 0o077:
        return judged("database key", f"{file} can be read by others", False, advice=f"chmod 600 {file}")
    if not _has_database(config):
        return judged("database key", "none is needed before the first conversation")
    if _is_sealed(config):
        return judged("database key", f"not checked: it comes to the daemon as a {config.store.key}")
    key = key_of(config, config.database)
    source = key.source
    wanted = {"auto": source, "file": source if source.startswith("/") else ""}.get(config.store.key, config.store.key)
    advice = "that is for new databases; `edged rekey` moves this one's"
    found = f"{key.place}, the one of the database"
    found += "" if source == wanted else f", and not as store.key = {config.store.key!r} says"
    return judged("database key", found, source == wanted, advice=advice, otherwise=Verdict.WARN)


def _database(config: Config) -> Check:
    from edged.cli.database_check import check_database, key_of
    from edged.store.database import is_plain

    file = config.database
    if not _has_database(config):
        return judged("database", f"made with the first conversation ({file})")
    if listens(config.socket_path):
        return judged("database", f"{file}, in use by the daemon")
    if is_plain(file):
        return judged(
            "database",
            f"{file} is not encrypted",
            False,
            advice="the next start of the daemon encrypts it",
            otherwise=Verdict.WARN,
        )
    if _is_sealed(config) or _outcome("database key", _key, config).verdict is Verdict.FAIL:
        return Check(name="database", verdict=Verdict.WARN, detail="not checked before its key is in order")
    check_database(file, key_of(config, file))
    return judged("database", f"{file}, {human_bytes(file.stat().st_size)}, intact")


def _is_sealed(config: Config) -> bool:
    """What opens the database is not here: somebody knows it, or systemd hands it over."""
    from edged.daemon.secret import read_secret

    return config.store.key in ("passphrase", "credential") and not read_secret(config, may_ask=False)


def _has_database(config: Config) -> bool:
    """Whether there is one that was ever written to: only that has a key of its own."""
    file = config.database
    return file.exists() and file.stat().st_size > 0


def _engines(config: Config) -> Check:
    from edged.cli.models import engine_names
    from edged.engine.installed import find_engine, verify_engine

    names = engine_names(config.paths.engines)
    manifests = [verify_engine(find_engine(config.paths.engines, name)) for name in names]
    if config.engine.default not in names:
        hint = "`make setup` in a checkout builds smollm2-135m, `edged models import` brings others"
        absent = f"engine.default {config.engine.default!r} is not installed{nearest(config.engine.default, names)}"
        return judged("engines", absent, False, advice=hint)
    default = find_engine(config.paths.engines, config.engine.default)
    found = f"{len(names)} intact, default {config.engine.default} in {default.parent}"
    missing = [*_lacking(manifests, "vision", "see", "PIL"), *_lacking(manifests, "audio", "hear", "soundfile", "soxr")]
    return judged("engines", found, not missing, advice="; ".join(missing), otherwise=Verdict.WARN)


def _lacking(manifests: Sequence[Manifest], sense: str, verb: str, *modules: str) -> list[str]:
    """What brings the modules of a sense; nothing where no engine lacks them."""
    having = [manifest.name for manifest in manifests if getattr(manifest, sense)]
    if not having or all(importlib.util.find_spec(module) for module in modules):
        return []
    return [f"{', '.join(having)} cannot {verb} without: `make setup EXTRAS=media` or pip install 'edged[media]'"]


def _parts(name: str, checks: Callable[[Config], Iterable[Check]], config: Config) -> list[Check]:
    """One for each part, or what kept it from looking."""
    try:
        return list(checks(config))
    except ImportError as exc:
        return [Check(name=name, verdict=Verdict.WARN, detail=f"not checked: {exc.name} is missing")]


def _memory(config: Config) -> Check:
    from edged.daemon.machine import available_memory
    from edged.daemon.memory_plan import memory_limit_mib
    from edged.engine.installed import find_engine
    from edged.engine.manifest import read_manifest

    try:
        manifest = read_manifest(find_engine(config.paths.engines, config.engine.default))
    except EdgedError:
        return Check(name="memory", verdict=Verdict.WARN, detail="not checked without the default engine")
    tokens = min(config.engine.max_seq_len, manifest.context_length)
    needed = manifest.disk_bytes + tokens * manifest.kv_bytes_per_token
    free = available_memory()
    detail = f"{human_bytes(free)} available, {manifest.name} with a full context needs about {human_bytes(needed)}"
    detail += f"; as a service: systemctl set-property edged MemoryMax={memory_limit_mib(config, manifest)}M"
    return judged("memory", detail, free > needed, advice="choose a smaller engine or context", otherwise=Verdict.WARN)


def _daemon(config: Config) -> Check:
    if not config.socket_path.exists():
        return judged("daemon", f"not running ({config.socket_path}); chat and ask start one for themselves")
    if not listens(config.socket_path):
        return judged("daemon", "not running; the socket of a dead one is left, the next start replaces it")
    from edged.client import Client

    async def version() -> str:
        async with Client(f"unix:{config.socket_path}") as client:
            return (await client.status()).version

    return judged("daemon", f"version {asyncio.run(version())} answers at {config.socket_path}")


_CHECKS: dict[str, Callable[[Config], Check]] = {
    "privacy": _privacy,
    "packages": _packages,
    "state directory": _state,
    "database key": _key,
    "database": _database,
    "engines": _engines,
    "memory": _memory,
    "daemon": _daemon,  # last: how the others are judged depends on it
}
