"""kill -9, a full disk and a failing one at any operation: nothing acknowledged is lost, every database opens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
from pathlib import Path

import pytest

from edged.store import KeySource
from tests.e2e.program import Home
from tests.faults.acknowledged import REFUSED, Acknowledged
from tests.faults.disk import operations
from tests.faults.nursery import Nursery

SCENARIO_SEED = 4
"""Of a talk in which something is deleted."""
NEVER = 10**6
MOST_OPERATIONS = 250
"""On the disk, from the start of a daemon to the end of what it is asked here."""
TURNS = 4
DEATHS_OF_A_DATABASE = 5


def fault(dice: random.Random) -> str:
    """What happens to the next daemon; "" is a kill at a random time."""
    first = dice.randint(1, MOST_OPERATIONS)
    refused = f"{first}:{dice.choice((0, 1, 4))}"
    return dice.choice(
        (f"kill:{first}", f"kill:{first}", f"full:{refused}", f"read-only:{refused}", f"eio:{first}", "")
    )


async def death(nursery: Nursery, home: Home, told: Acknowledged, what: str, dice: random.Random) -> int:
    """A daemon from its start to a bad end. Returns its exit code."""
    socket = home.config.socket_path
    socket.unlink(missing_ok=True)
    log = {"DAEMON_LOG": str(home.folder / "daemon.log"), "EDGED_LOGGING__LEVEL": "warning"}
    faults = {"FAULT_DIRECTORY": str(home.folder / "disk"), "FAULT": what}
    pid = await nursery.start({**home.environ, **log, **faults})
    ended = asyncio.create_task(nursery.ended())
    while not socket.exists() and not ended.done():  # noqa: ASYNC110  # a file has no event
        await asyncio.sleep(0.002)
    talking = asyncio.create_task(told.talk(home.address, dice, TURNS))
    await asyncio.wait({ended, talking}, timeout=None if what else dice.uniform(0, 0.4), return_when="FIRST_COMPLETED")
    if not ended.done():
        with contextlib.suppress(ProcessLookupError):  # it has just ended, and nobody was told yet
            os.kill(pid, signal.SIGKILL)
    code = await ended
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(talking, 1 if socket.exists() else 0)
    return code


async def deaths(home: Home, library: Path, count: int, seed: int) -> dict[str, int]:
    """How many daemons died of what. Each database dies several times, and is read after each."""
    dice, seen = random.Random(seed), dict.fromkeys(("kill", "full", "read-only", "eio", "", "turns"), 0)
    disk = home.folder / "disk"
    home.extra = {"EDGED_STATE_DIR": str(disk / "state"), "EDGED_STORE__KEY_DIRECTORY": str(disk / "key")}
    source = KeySource(kind="file", directory=disk / "key")
    async with Nursery(library) as nursery:
        for number in range(count):
            if number % DEATHS_OF_A_DATABASE == 0:
                shutil.rmtree(disk, ignore_errors=True)
                disk.mkdir()
                told = Acknowledged()
            what = fault(dice)
            code = await death(nursery, home, told, what, dice)
            refused = what[:1] in ("f", "r", "e")
            said = (home.folder / "daemon.log").read_text()[-3000:]
            assert code == -signal.SIGKILL or (code == 1 and refused), (number, what, code, said)
            lost = told.check(disk / "state", source)
            assert not lost, (number, what, lost)
            strange = [
                error for error in told.errors if error.reason not in REFUSED and error.code.name != "UNAVAILABLE"
            ]
            assert not strange, (number, what, [(error.code, error.reason, error.message) for error in strange])
            seen[what.partition(":")[0]] += 1
            seen["turns"] += sum(turn.started is not None for turn in told.turns)
    assert "Traceback" not in (home.folder / "daemon.log").read_text()
    return seen


async def test_a_few_deaths(home: Home, library: Path) -> None:
    assert (await deaths(home, library, 6, seed=5))["turns"] > 5


@pytest.mark.faults
@pytest.mark.timeout(3600)
async def test_a_thousand_deaths(home: Home, library: Path) -> None:
    print(await deaths(home, library, 1000, seed=1))


async def full_at(nursery: Nursery, home: Home, first: int, length: int) -> Acknowledged:
    """The same talk with a new daemon on a disk that is full for `length` operations (0: ever after) from one on."""
    disk = home.folder / "disk"
    shutil.rmtree(disk, ignore_errors=True)
    disk.mkdir()
    told = Acknowledged()
    code = await death(nursery, home, told, f"full:{first}:{length}", random.Random(SCENARIO_SEED))
    assert code in (-signal.SIGKILL, 1), (first, code)
    lost = told.check(disk / "state", KeySource(kind="file", directory=disk / "key"))
    assert not lost, (first, lost)
    assert {error.reason for error in told.errors} <= {*REFUSED, "UNAVAILABLE"}, (first, told.errors)
    return told


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("length", [0, 2], ids=["for good", "for a moment"])
async def test_a_disk_that_is_full_at_every_operation(home: Home, library: Path, length: int) -> None:
    """The first, the second, the third ... until the whole talk is over before it.

    For a moment: a write goes half through, what is tried next fails, and all is well again.
    """
    disk, log = home.folder / "disk", home.folder / "log"
    home.extra = {"EDGED_STATE_DIR": str(disk / "state"), "EDGED_STORE__KEY_DIRECTORY": str(disk / "key")}
    home.extra["FAULT_LOG"] = str(log)
    refused = 0
    async with Nursery(library) as nursery:
        await full_at(nursery, home, NEVER, length)
        last = int(1.25 * len(operations(log)))  # some are counted that fail by themselves, and are not in the log
        for first in range(1, last + 1):
            told = await full_at(nursery, home, first, length)
            refused += bool(told.errors)
    print(last, "operations,", refused, "talks were told of a full disk")
    assert last > 200 and refused > 20 and not told.errors
    assert any(turn.deleted_at is not None for turn in told.turns)
    assert all(turn.finished_at is not None for turn in told.turns)
