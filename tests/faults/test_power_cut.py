"""The power goes at any moment of a talk: what was acknowledged is there, and the database opens."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edged.errors import StoreError
from edged.store import KeySource
from tests.e2e.program import Home
from tests.faults.acknowledged import Acknowledged
from tests.faults.disk import Disk, Operation, operations


def record(home: Home, library: Path, turns: int) -> tuple[Path, Acknowledged]:
    """The log of everything that a daemon did to its disk from its first start on, and what it acknowledged."""
    log, disk = home.folder / "log", home.folder / "disk"
    disk.mkdir()
    home.extra = {"EDGED_STATE_DIR": str(disk / "state"), "EDGED_STORE__KEY_DIRECTORY": str(disk / "key")}
    faults = {"LD_PRELOAD": str(library), "FAULT_DIRECTORY": str(disk), "FAULT_LOG": str(log)}
    told = Acknowledged(clock=lambda: log.stat().st_size)
    with home.daemon(**faults) as daemon:
        asyncio.run(told.talk(home.address, random.Random(7), turns))
        daemon.kill()
    assert not told.errors
    return log, told


@contextmanager
def remains(done: list[Operation], top: Path, dice: random.Random, *, syncs: bool = True) -> Iterator[Path]:
    """A folder with what is left of `top` after these operations and a power cut."""
    disk = Disk(syncs=syncs)
    for operation in done:
        disk.do(operation)
    with tempfile.TemporaryDirectory() as folder:
        disk.cut(top, Path(folder), dice)
        yield Path(folder)


def cuts(log: Path, told: Acknowledged, top: Path, count: int, *, syncs: bool = True) -> int:
    """How many acknowledged turns `count` power cuts lose in all; a database that does not open counts as one."""
    dice, all_operations, lost = random.Random(11), operations(log), 0
    for _ in range(count):
        done = all_operations[: dice.randint(0, len(all_operations))]
        with remains(done, top, dice, syncs=syncs) as folder:
            source = KeySource(kind="file", directory=folder / "key")
            try:
                lost += len(told.check(folder / "state", source, until=done[-1].end if done else 0))
            except StoreError as exc:
                lost += 1
                print(len(done), exc)
    return lost


def test_nothing_acknowledged_is_lost(home: Home, library: Path) -> None:
    log, told = record(home, library, turns=8)
    assert cuts(log, told, home.folder / "disk", 20) == 0
    assert cuts(log, told, home.folder / "disk", 10, syncs=False) > 0, "nobody would notice a disk that never syncs"


@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_nothing_acknowledged_is_lost_in_a_thousand_cuts(home: Home, library: Path) -> None:
    log, told = record(home, library, turns=80)
    assert cuts(log, told, home.folder / "disk", 1000) == 0


WRITE = """
    import sqlite3, sys
    db = sqlite3.connect(sys.argv[1], isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {sys.argv[2]}")
    db.execute("CREATE TABLE rows (number)")
    for number in range(20):
        db.execute("INSERT INTO rows VALUES (?)", (number,))
"""


@pytest.mark.parametrize(("synchronous", "is_kept"), [("FULL", True), ("OFF", False)])
def test_what_is_not_synced_is_really_dropped(tmp_path: Path, library: Path, synchronous: str, is_kept: bool) -> None:
    """The same judge over plain SQLite, once told to sync and once not to."""
    disk, log = tmp_path / "disk", tmp_path / "log"
    disk.mkdir()
    environ = {**os.environ, "LD_PRELOAD": str(library), "FAULT_DIRECTORY": str(disk), "FAULT_LOG": str(log)}
    program = [sys.executable, "-c", textwrap.dedent(WRITE) + "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
    subprocess.run([*program, str(disk / "db"), synchronous], env=environ, check=False)
    found = []
    for seed in range(10):
        with remains(operations(log), disk, random.Random(seed)) as folder:
            try:
                db = sqlite3.connect(folder / "db")
                found.append(db.execute("SELECT count(*) FROM rows").fetchone()[0])
                db.close()
            except sqlite3.Error:
                found.append(0)
    assert (found == [20] * 10) is is_kept, found
