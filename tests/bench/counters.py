"""Instructions that this process retires, where the processor lets itself be counted (perf_event_open(2)).

Unlike time, the count does not depend on what else the machine does. Virtual machines often hide it.
Standard library only: the peer's environment runs it, too.
"""

from __future__ import annotations

import ctypes
import os
import struct

_SYSCALL = {"x86_64": 298, "aarch64": 241}
_HARDWARE, _INSTRUCTIONS = 0, 1
_INHERIT, _EXCLUDE_KERNEL = 1 << 1, 1 << 5


class Instructions:
    """Counts from now on, threads that are started later included: make it before the model is loaded."""

    def __init__(self, *, kind: int = _HARDWARE, event: int = _INSTRUCTIONS) -> None:
        # struct perf_event_attr, first version (64 bytes): type, size, config, period, sample and read format, flags.
        attributes = struct.pack("=IIQQQQQ", kind, 64, event, 0, 0, 0, _INHERIT | _EXCLUDE_KERNEL).ljust(64, b"\0")
        number = _SYSCALL.get(os.uname().machine, -1)
        self._descriptor = ctypes.CDLL(None).syscall(number, attributes, 0, -1, -1, 0)

    def read(self) -> int | None:
        """The count so far; None where there is none."""
        if self._descriptor < 0:
            return None
        return int(struct.unpack("=Q", os.read(self._descriptor, 8))[0])
