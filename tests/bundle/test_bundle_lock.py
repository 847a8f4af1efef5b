"""What is shipped is what requirements/*.txt pin, by hash, for every machine it is shipped to."""

from __future__ import annotations

import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edged.bundle import wheelhouse
from edged.bundle.lock import FILES, environment_of, read_pins
from edged.bundle.wheelhouse import CHECKOUT, WEIGHTS, collect_wheels, oldest_glibc
from edged.cli.bundle import EXTRAS
from edged.engine.manifest import describe_file
from edged.errors import ArtefactError, InvalidInput

LOCKS = CHECKOUT / "requirements"
SHIPPED = ("bundle", *EXTRAS.split(","))
MACHINES = ("x86_64", "aarch64")
PYTHONS = ("3.11", "3.12", "3.13")
BOTH = "one-package==1.5 --hash=sha256:aa --hash=sha256:bb"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).touch()
    return tmp_path


def test_a_pin_is_that_of_the_other_machine(folder: Path) -> None:
    (folder / "lock.txt").write_text(
        "One_Package==1.5 ; python_full_version < '3.12' \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "One_Package==2.0 ; python_full_version >= '3.12' and platform_machine == 'aarch64' \\\n    --hash=sha256:cc\n"
    )
    assert read_pins(folder, environment_of("x86_64", "3.11"))["one-package"].line.lower().replace("_", "-") == BOTH
    assert read_pins(folder, environment_of("aarch64", "3.12"))["one-package"].version == "2.0"
    assert not read_pins(folder, environment_of("x86_64", "3.12"))


@pytest.mark.parametrize(
    "line", ["one>=1 --hash=sha256:aa", "one==1", "one", "-r other.txt --hash=x", "one=1 --hash=x"]
)
def test_what_is_not_pinned_by_version_and_hash_is_refused(folder: Path, line: str) -> None:
    (folder / "lock.txt").write_text(line + "\n")
    with pytest.raises(ArtefactError, match=r"^requirements/lock\.txt .*make lock"):
        read_pins(folder, environment_of("x86_64", "3.11"))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("python", PYTHONS)
def test_what_edged_asks_for_is_locked_as_it_is_now(machine: str, python: str) -> None:
    """A dependency that changed needs `make lock`."""
    environment = environment_of(machine, python)
    pins = read_pins(LOCKS, environment)
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    asked = [project["optional-dependencies"][extra] for extra in (*SHIPPED, "cuda", "rtx", "zh")]
    for needed in map(Requirement, chain(project["dependencies"], *asked)):
        if needed.name != "edged" and (needed.marker is None or needed.marker.evaluate(environment)):
            assert needed.specifier.contains(pins[canonicalize_name(needed.name)].version), needed
    assert pins.keys() >= {"pip", *WEIGHTS}


def test_both_files_pin_the_same() -> None:
    """requirements/extras.txt goes on top of an installation of lock.txt."""
    lines = {name: (LOCKS / name).read_text().replace("\\\n", " ").splitlines() for name in ("lock.txt", "extras.txt")}
    named = {line.partition("=")[0] for line in lines["lock.txt"]}
    assert {line for line in lines["extras.txt"] if line.partition("=")[0] in named} <= set(lines["lock.txt"])


def test_what_is_not_locked_is_named() -> None:
    pins = read_pins(LOCKS, environment_of("x86_64", "3.99"))
    with pytest.raises(InvalidInput, match=r"^pip is not locked for Python 3\.99 on x86_64: choose another Python"):
        wheelhouse._pin(pins, "pip", "x86_64", "3.99")


@pytest.mark.system
@pytest.mark.timeout(600)
def test_all_of_it_is_there_for_a_jetson(tmp_path: Path) -> None:
    """JetPack 7.2: Ubuntu 24.04 with Python 3.12. Everything that the package index has, and only what is locked."""
    collect_wheels(tmp_path, machine="aarch64", python="3.12", extras=SHIPPED)
    pins = read_pins(LOCKS, environment_of("aarch64", "3.12"))
    wheels = {canonicalize_name(path.name.partition("-")[0]): path for path in tmp_path.glob("*.whl")}
    assert {"onnxruntime", "grpcio", "ctranslate2", "wyoming", "pip", *WEIGHTS} <= wheels.keys()
    del wheels["edged"]
    for name, path in wheels.items():
        assert path.name.endswith(("any.whl", "aarch64.whl")) and "musllinux" not in path.name
        assert f"--hash=sha256:{describe_file(path).sha256}" in pins[name].line
    assert [int(part) for part in oldest_glibc(list(wheels.values())).split(".")] <= [2, 39]
