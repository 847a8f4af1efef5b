"""One daemon a state directory, and state directories that cannot be used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edged.daemon.lock import LOCK_FILE, sole_owner
from edged.errors import AlreadyRunning, StoreError

HOLD = """
import sys
from pathlib import Path
from edged.daemon.lock import sole_owner
with sole_owner(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_state_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    with sole_owner(tmp_path / "a/state"):
        assert (tmp_path / "a/state").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "a/state" / LOCK_FILE).read_text() == f"{os.getpid()}\n"


def test_the_second_is_refused_in_one_line_that_names_the_first(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(AlreadyRunning) as caught, sole_owner(tmp_path):
            pytest.fail("two owners")
        assert f"process {holder.pid}" in caught.value.message
        assert "\n" not in caught.value.message
        holder.kill()
    with sole_owner(tmp_path):  # However the first ended, the directory is free.
        pass


def test_the_lock_is_let_go_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), sole_owner(tmp_path):
        raise ZeroDivisionError
    with sole_owner(tmp_path):
        pass


def test_a_state_directory_that_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for state in (file, file / "below"):
        with pytest.raises(StoreError, match="it is not a directory; set EDGED_STATE_DIR") as caught, sole_owner(state):
            pytest.fail("a file taken for a directory")
        assert str(state) in caught.value.message


def test_a_state_directory_that_nobody_may_write() -> None:
    # /proc refuses even root.
    with (
        pytest.raises(StoreError, match=r"/proc/edged cannot be used: .*; set EDGED_STATE_DIR"),
        sole_owner(Path("/proc/edged")),
    ):
        pytest.fail("wrote to /proc")
