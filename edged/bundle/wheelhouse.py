"""The wheels of edged and of all that it stands on, for a machine that may be another one.

    python -m edged.bundle.wheelhouse FOLDER MACHINE PYTHON EXTRAS

is how the Debian package collects them, too.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from importlib.metadata import metadata
from pathlib import Path

from edged import __version__
from edged.errors import ArtefactError, InvalidInput, nearest

CHECKOUT = Path(__file__).resolve().parents[2]
GLIBC = (35, 34, 31, 28, 27, 26, 24, 17, 12, 5)
"""Minor versions of glibc 2 that wheels are made for (PEP 600), the newest that is taken for granted first."""
_LEGACY = {"manylinux2014": 17, "manylinux2010": 12, "manylinux1": 5}
_TAG = re.compile(r"manylinux_2_([0-9]+)_")


def collect_wheels(folder: Path, *, machine: str, python: str, extras: Sequence[str]) -> None:
    """Fill a folder, with pip itself among them. Asks the package index that pip is configured for.

    Raises InvalidInput outside a checkout and for an extra that there is not, ArtefactError with pip's own reason.
    """
    known = metadata("edged").get_all("Provides-Extra", [])
    for extra in extras:  # pip would only warn
        if extra not in known:
            raise InvalidInput(f"there is no extra {extra!r}{nearest(extra, known)}")
    if not (CHECKOUT / "pyproject.toml").is_file():
        raise InvalidInput("bundles are made in a checkout: clone edged, `make setup`, and try again there")
    _pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(CHECKOUT))
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in GLIBC]
    platforms += [f"--platform={tag}_{machine}" for tag in ("manylinux2014", "manylinux1", "linux")]
    _pip(
        "download",
        "--dest",
        str(folder),
        "--find-links",
        str(folder),
        "--only-binary=:all:",
        "--implementation=cp",
        f"--python-version={python}",
        *platforms,
        f"{requirement(extras)}=={__version__}",
        "pip",
        "setuptools",
    )


def requirement(extras: Sequence[str]) -> str:
    """As pip reads it, e.g. "edged[daemon,voice]"."""
    return f"edged[{','.join(extras)}]" if extras else "edged"


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


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", arguments[0], "--quiet", "--disable-pip-version-check", *arguments[1:]]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
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
