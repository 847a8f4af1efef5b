"""One writer at a time in a folder of engines."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edged.errors import InvalidInput


@contextmanager
def locked(target: Path, say: Callable[[str], object]) -> Iterator[None]:
    """Hold the folder that the engine's folder is in; a second writer says so, waits, and may find its work done."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(target.parent, os.O_RDONLY)
    except OSError as exc:
        raise InvalidInput(f"{target.parent}: cannot be written: {exc.strerror}") from exc
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{target.name}: waiting for another build or compilation in {target.parent}")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
