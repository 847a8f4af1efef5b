"""One daemon a state directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edged.errors import AlreadyRunning, StoreError
from edged.trust.private_files import make_private_directory

LOCK_FILE = "edged.lock"


@contextmanager
def sole_owner(state: Path, *, remedy: str = "") -> Iterator[None]:
    """Create the state directory (0700) and hold it for the length of the block.

    The lock is flock(2) on a file that holds the owner's process id; the kernel drops it however the
    process ends, so the file itself stays. Raises AlreadyRunning, which names the remedy, or StoreError for a
    directory that cannot be used.
    """
    try:
        make_private_directory(state)
        lock = os.open(state / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise _unusable(state, exc) from exc
    try:
        _take(lock, state, remedy)
        yield
    finally:
        os.close(lock)


def _take(lock: int, state: Path, remedy: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError as exc:
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise AlreadyRunning(
            f"a daemon (process {holder}) already uses {state}: {remedy or f'end it first (`kill {holder}`)'}"
        ) from exc
    except OSError as exc:
        raise _unusable(state, exc) from exc


def _unusable(state: Path, exc: OSError) -> StoreError:
    reason = "it is not a directory" if isinstance(exc, FileExistsError | NotADirectoryError) else exc.strerror
    return StoreError(f"the state directory {state} cannot be used: {reason}; set EDGED_STATE_DIR to one that can")
