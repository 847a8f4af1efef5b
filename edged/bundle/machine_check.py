"""Whether a bundle can run on this machine, found out before anything is touched."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from edged.bundle.manifest import BundleManifest, Compiled
from edged.engine.gpu import Gpus
from edged.errors import InvalidInput

GPU_EXTRAS = frozenset({"cuda", "rtx"})
SPARE_BYTES = 256 * 1024 * 1024
"""Left free besides."""
_RTX_WHEEL = re.compile(r"wheels/tensorrt_rtx_cu[0-9]+_bindings-([0-9.]+)-.*\.whl")
_CUDA = 13
"""Of the GPU extras' wheels; the driver has to know it."""


def check_machine(manifest: BundleManifest, prefix: Path, python: Path, gpus: Gpus) -> None:
    """Raises InvalidInput with the first thing that is missing, and what to do about it."""
    for obstacle in _obstacles(manifest, prefix, python, gpus):
        raise InvalidInput(obstacle)


def _obstacles(manifest: BundleManifest, prefix: Path, python: Path, gpus: Gpus) -> Iterator[str]:
    if platform.machine() != manifest.machine:
        yield f"the bundle is for {manifest.machine}, this machine is {platform.machine()}: make one for it (--machine)"
    if (found := _python_version(python)) != manifest.python:
        yield (
            f"the bundle is for Python {manifest.python}, {python} is {found}: "
            f"name another (--python), or make the bundle with --python-version {found}"
        )
    library, version = platform.libc_ver()
    if library != "glibc" or _numbers(version) < _numbers(manifest.glibc):
        here = f"{library} {version}" if library else "another C library"
        yield f"the bundle needs glibc {manifest.glibc} or later, this machine has {here}"
    yield from _gpu_obstacles(manifest, gpus)
    yield from _tensorrt_obstacles(manifest, python)
    free = shutil.disk_usage(_existing(prefix)).free
    # The wheels lie beside what is made of them until it works.
    needed = manifest.installed_bytes + sum(entry.bytes for entry in manifest.files.values()) + SPARE_BYTES
    if free < needed:
        yield (
            f"{_existing(prefix)} has {free // 2**20} MiB free, the installation takes {needed // 2**20} MiB: "
            "free some, or choose another disk (--prefix)"
        )


def _gpu_obstacles(manifest: BundleManifest, gpus: Gpus) -> Iterator[str]:
    wanted = GPU_EXTRAS & set(manifest.extras)
    if not wanted and not manifest.plans:
        return
    if not gpus.found:
        yield f"the bundle is for a GPU ({', '.join(sorted(wanted)) or 'plans'}): {gpus.obstacle}"
    newest = max((gpu.cuda for gpu in gpus.found), key=_numbers, default="")
    if wanted and newest and _numbers(newest) < (_CUDA,):
        yield f"the bundle needs a driver for CUDA {_CUDA} (580 or later), this one knows {newest}: update the driver"
    here = {gpu.capability for gpu in gpus.found}
    for plan in manifest.plans:
        if plan.target not in here:
            yield (
                f"the engine {plan.engine} was compiled for {plan.target}, the GPU here is {', '.join(sorted(here))}: "
                "make the bundle with an engine compiled for it"
            )


def _tensorrt_obstacles(manifest: BundleManifest, python: Path) -> Iterator[str]:
    """A plan runs with the very TensorRT that built it: from the bundle's wheels, or, the full one, from the system."""
    for plan in manifest.plans:
        if is_system_tensorrt(plan):
            here = _asked(python, "import tensorrt; print('tensorrt', tensorrt.__version__)") or "no tensorrt"
            remedy = (
                f"install that version for {python} (on a Jetson JetPack has it: python3-libnvinfer), "
                "or make the bundle with a plan that was compiled on this machine"
            )
        else:
            here, remedy = _bundled_tensorrt(manifest), "make it with --extra rtx, and the engine compiled anew"
        if plan.builder != here:
            place = "this machine" if is_system_tensorrt(plan) else "the bundle"
            yield f"the engine {plan.engine} was compiled by {plan.builder}, {place} has {here}: {remedy}"


def is_system_tensorrt(plan: Compiled) -> bool:
    """Whether what runs the plan comes with the system, not as a wheel."""
    return plan.builder.startswith("tensorrt ")


def _bundled_tensorrt(manifest: BundleManifest) -> str:
    found = (_RTX_WHEEL.fullmatch(name) for name in manifest.files)
    return next((f"tensorrt_rtx {match[1]}" for match in found if match), "no tensorrt_rtx")


def _python_version(python: Path) -> str:
    if version := _asked(python, "import sys; print('%d.%d' % sys.version_info[:2])"):
        return version
    raise InvalidInput(f"{python} is no Python that runs: name one with --python")


def _asked(python: Path, program: str) -> str:
    """What a program of one line prints, isolated from this environment; empty where it fails."""
    try:
        return subprocess.run(
            [python, "-I", "-c", program], capture_output=True, text=True, timeout=60, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    return next(each for each in (path, *path.parents) if each.is_dir())
