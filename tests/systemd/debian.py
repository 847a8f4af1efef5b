"""A Debian in a folder, to be installed into."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SECONDS = 280
EMBEDDED = """
from edged.embedding.minilm import MiniLm, minilm_folder
model = MiniLm(minilm_folder())
cat, kitten, law = (model.embed(model.encode(text)) for text in ("a cat", "a kitten", "tax law"))
print(cat @ kitten > cat @ law)
"""
"""For the Python of an installation: whether the model of /v1/embeddings came along, and works."""


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def require(*programs: str) -> None:
    if os.getuid():
        pytest.skip("needs root")
    if missing := [program for program in programs if not shutil.which(program)]:
        pytest.skip(f"not installed: {', '.join(missing)}")


def bootstrap(folder: Path, packages: str) -> Path:
    """This machine's release of Debian, made from the mirror that this machine uses."""
    sources = "".join(path.read_text() for path in (Path("/etc/apt/sources.list.d").glob("*.sources")))
    sources += Path("/etc/apt/sources.list").read_text() if Path("/etc/apt/sources.list").exists() else ""
    mirror = re.search(r"https?://\S*/debian(?=/?\s)", sources)
    release = re.search(r"VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text())
    if not (mirror and release):
        pytest.skip("this is no Debian with a mirror")
    run("debootstrap", "--variant=minbase", f"--include={packages}", release[1], folder, mirror[0])
    folder.chmod(0o755)  # the root of everybody in it
    return folder


class Machine:
    """A Debian in a folder, whose network is not even loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        clean = ["env", "-i", "HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"]
        return subprocess.run(
            ["unshare", "-n", "chroot", self.folder, *clean, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def must(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def has(self, path: str) -> bool:
        return os.path.lexists(self.folder / path.removeprefix("/"))
