"""Clients that share no code with this repository keep to the contract: Node, and Python with stubs of its own.

They call without pairing on loopback; `clients.conformance` watches from the daemon's side whether they read it all.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import google.rpc.status_pb2
import pytest

from clients.conformance.daemon import WatchedDaemon, watched_daemon

ROOT = Path(__file__).parents[2]
OUTSIDE = Path(__file__).parent / "outside"
PROTOS = ROOT / "protos"
GOOGLE_PROTOS = Path(google.rpc.status_pb2.__file__).parents[2]
"""Where google/rpc/status.proto lies."""
SECONDS = 60
READ = {"stream", "unknown", "cancel", "deadline"}
SAID = [
    "stream well done",
    "unknown well done",
    "deadline DEADLINE_EXCEEDED",
    "conversations 3 and more",
    "missing NOT_FOUND",
]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the client and the packages it needs, at the versions of the lock file."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed (apt-get install npm)")
    folder = tmp_path_factory.mktemp("node")
    for name in ("client.mjs", "package.json", "package-lock.json", ".npmrc"):
        shutil.copy(OUTSIDE / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stubs")
    protos = [str(path.relative_to(PROTOS)) for path in sorted(PROTOS.rglob("*.proto"))]
    compiler = [sys.executable, "-m", "grpc_tools.protoc", "-I", ".", f"--python_out={folder}"]
    subprocess.run([*compiler, f"--grpc_python_out={folder}", *protos], cwd=PROTOS, check=True, timeout=SECONDS)
    return folder


async def run(*command: str, folder: Path, **environ: str) -> list[str]:
    """Lines on stdout of a program that succeeds."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode == 0, err.decode()
    return out.decode().splitlines()


async def passed(daemon: WatchedDaemon, wanted: Iterable[str]) -> None:
    await asyncio.sleep(0.2)  # the daemon hears of a cancelled call a moment later
    checks = daemon.observer.checks
    assert {name: checks[name].result for name in wanted} == dict.fromkeys(wanted, "passed")


async def test_node_with_the_proto_files(node: Path) -> None:
    async with watched_daemon() as daemon:
        words = ("client.mjs", daemon.address, "files", str(PROTOS), str(GOOGLE_PROTOS))
        lines = await run("node", *words, folder=node)
        await passed(daemon, READ | {"details", "retry"})
    assert lines == SAID


async def test_node_by_reflection(node: Path) -> None:
    async with watched_daemon() as daemon:
        lines = await run("node", "client.mjs", daemon.address, "reflection", folder=node)
        await passed(daemon, READ)
    assert lines == SAID


async def test_python_with_stubs_of_its_own(stubs: Path) -> None:
    async with watched_daemon() as daemon:
        words = ("-P", str(OUTSIDE / "client.py"), daemon.address, str(stubs))
        lines = await run(sys.executable, *words, folder=stubs, PYTHONPATH=str(stubs))
        await passed(daemon, READ | {"details", "retry"})
    assert lines == SAID
