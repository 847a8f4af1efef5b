"""The package as an administrator meets it: judged by lintian, and lived with in a Debian of its own, offline."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.debian import EMBEDDED, SECONDS, Machine, require, run

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "systemd/debian/build"

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def package() -> Path:
    require("dpkg-deb")
    return ROOT / run(BUILD).strip()


@contextlib.contextmanager
def changed(package: Path, folder: Path, version: str) -> Iterator[Path]:
    """The same package under another version."""
    run("dpkg-deb", "--raw-extract", package, folder / "raw")
    control = folder / "raw/DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", f"Version: {version}", control.read_text()))
    newer = folder / "newer.deb"
    run("dpkg-deb", "--root-owner-group", "-Znone", "--build", folder / "raw", newer)
    yield newer
    shutil.rmtree(folder / "raw")


def test_lintian_finds_no_error(package: Path) -> None:
    if not shutil.which("lintian"):
        pytest.skip("not installed: lintian")
    found = subprocess.run(["lintian", package], capture_output=True, text=True, timeout=SECONDS, check=False).stdout
    assert not [line for line in found.splitlines() if line.startswith("E:") or "manual-page" in line], found


def test_the_package_lives_without_a_network(package: Path, machine: Machine, tmp_path: Path) -> None:
    """Installed, asked, upgraded, removed, purged."""
    shutil.copy(package, machine.folder / "edged.deb")
    machine.must("dpkg", "-i", "/edged.deb")
    said = int(machine.must("dpkg-query", "--show", "--showformat=${Installed-Size}", "edged"))
    taken = [machine.must("du", "-sk", path).split()[0] for path in ("/usr/lib/edged", "/usr/share/edged")]
    assert 0.9 < said / sum(map(int, taken)) < 1.1
    assert "edged:" in (machine.folder / "etc/passwd").read_text()
    assert oct((machine.folder / "var/lib/edged").stat().st_mode & 0o7777) == "0o700"
    assert machine.has("/etc/edged/edged.d")
    assert machine.has("/etc/systemd/system/multi-user.target.wants/edged.service")

    answer = json.loads(machine.must("edged", "ask", "--json", "What is the capital of France? Answer in one word."))
    assert "paris" in answer["text"].lower()
    assert machine.must("/usr/lib/edged/bin/python", "-c", EMBEDDED) == "True\n"
    machine.must(
        "runuser",
        "-u",
        "edged",
        "--",
        "env",
        "EDGED_STATE_DIR=/var/lib/edged",
        "EDGED_STORE__KEY_DIRECTORY=/var/lib/edged-key",
        "edged",
        "ask",
        "Hello.",
    )
    assert machine.has("/var/lib/edged/edged.db")

    with changed(package, tmp_path, "99.0") as newer:
        shutil.copy(newer, machine.folder / "edged.deb")
    machine.must("dpkg", "-i", "/edged.deb")
    assert machine.has("/var/lib/edged/edged.db")
    shown = machine.must("edged", "conversations", "show", answer["conversation_id"])
    assert "capital of France" in shown

    machine.must("dpkg", "--remove", "edged")
    assert not machine.has("/usr/lib/edged") and not machine.has("/usr/bin/edged")
    assert machine.has("/var/lib/edged/edged.db")
    machine.must("dpkg", "--purge", "edged")
    left = [path for path in ("/var/lib/edged", "/var/lib/edged-key", "/etc/edged") if machine.has(path)]
    assert left == []
