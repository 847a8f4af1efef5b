"""One stream of a GPU, and what it was seen doing, to be done again without the host."""

from __future__ import annotations

import contextlib
import ctypes
import weakref
from collections.abc import Callable

from edged.engine.cuda import call
from edged.errors import EdgedError

_RELAXED = 2
"""cudaStreamCaptureModeRelaxed: other threads of the process may go on."""
_APART = 1
"""cudaStreamNonBlocking: what others copy meanwhile, on the stream of all, does not break into a recording."""


class CudaStream:
    """Work in order; satisfies `edged.engine.tensorrt_plan.Stream`."""

    def __init__(self, device: int) -> None:
        self._device = device
        pointer = ctypes.c_void_p()
        call("cudaSetDevice", device)
        call("cudaStreamCreateWithFlags", ctypes.byref(pointer), _APART)
        self.handle = int(pointer.value or 0)
        weakref.finalize(self, _destroy, "cudaStreamDestroy", ctypes.c_void_p(self.handle)).atexit = False

    def wait(self) -> None:
        """Until all that was asked for is done."""
        call("cudaStreamSynchronize", ctypes.c_void_p(self.handle))

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """What `work` asks of this stream, as one call that asks it again; nothing is computed meanwhile."""
        stream, graph, ready = ctypes.c_void_p(self.handle), ctypes.c_void_p(), ctypes.c_void_p()
        call("cudaStreamBeginCapture", stream, _RELAXED)
        try:
            work()
        finally:
            call("cudaStreamEndCapture", stream, ctypes.byref(graph))
        call("cudaGraphInstantiate", ctypes.byref(ready), graph, ctypes.c_ulonglong(0))
        call("cudaGraphDestroy", graph)

        def again() -> None:
            call("cudaGraphLaunch", ready, stream)

        weakref.finalize(again, _destroy, "cudaGraphExecDestroy", ready).atexit = False
        return again


def _destroy(function: str, handle: ctypes.c_void_p) -> None:
    with contextlib.suppress(EdgedError):  # the device may be gone
        call(function, handle)
