"""System calls that Python has no function for, by their number."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def system_call(number: int, *arguments: int | bytes | None) -> int:
    """What the kernel returns. Raises OSError."""
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _checked(int(_libc.syscall(ctypes.c_long(number), *wide)))


def gain_no_privileges() -> None:
    """Without this only root may restrict itself; it also keeps set-uid programs from undoing it. Raises OSError."""
    _checked(int(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)))


def other_threads() -> int:
    """How many there are beside this one: what binds a thread leaves those free that started before."""
    return len(list(Path("/proc/self/task").iterdir())) - 1


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
