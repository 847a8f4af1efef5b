"""The lock of the default installation: complete, by version and hash, for each Python and machine we support."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCKS = (ROOT / "requirements/lock.txt", ROOT / "requirements/weights.txt")
DEFAULT_EXTRAS = ("build", "daemon", "vision", "voice", "web")
"""What `make setup` installs."""
ENVIRONMENTS = [
    {"python_version": version, "python_full_version": f"{version}.0", "platform_machine": machine}
    for version in ("3.11", "3.12", "3.13")
    for machine in ("x86_64", "aarch64")
]
LINUX = {"sys_platform": "linux", "platform_system": "Linux", "platform_python_implementation": "CPython"}


def locked(file: Path) -> list[tuple[Requirement, list[str]]]:
    """Each requirement with its hashes."""
    entries = re.findall(r"(?m)^([^\s#].*?) \\\n((?:    --hash=\S+(?: \\)?\n)+)", file.read_text(encoding="utf-8"))
    return [(Requirement(name), re.findall(r"--hash=(\S+)", hashes)) for name, hashes in entries]


def wanted() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras, texts, todo = project["optional-dependencies"], list(project["dependencies"]), list(DEFAULT_EXTRAS)
    while todo:
        for text in extras[todo.pop()]:
            requirement = Requirement(text)
            if requirement.name == "edged":
                todo += requirement.extras
            else:
                texts.append(text)
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize("file", LOCKS, ids=lambda file: file.stem)
def test_every_line_is_one_version_with_its_hashes(file: Path) -> None:
    entries = locked(file)
    for requirement, hashes in entries:
        assert [one.operator for one in requirement.specifier] == ["=="] and requirement.url is None
        assert hashes and all(re.fullmatch("sha256:[0-9a-f]{64}", one) for one in hashes)
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line[:1] not in ("", " ", "#")]
    assert len(lines) == len(entries), "a line that is none of ours"


@pytest.mark.parametrize(
    "environment", ENVIRONMENTS, ids=lambda one: f"{one['python_version']}-{one['platform_machine']}"
)
def test_what_setup_installs_is_locked(environment: dict[str, str]) -> None:
    versions: dict[str, str] = {}
    for requirement, _ in locked(LOCKS[0]):
        if requirement.marker is None or requirement.marker.evaluate({**LINUX, **environment}):
            name = canonicalize_name(requirement.name)
            assert name not in versions, f"{name} is locked twice"
            versions[name] = next(iter(requirement.specifier)).version
    for requirement in wanted():
        version = versions.get(canonicalize_name(requirement.name))
        assert version and requirement.specifier.contains(version), f"{requirement}, locked is {version}: `make lock`"
