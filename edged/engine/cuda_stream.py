"""One stream of a GPU, and what it was seen doing, to be done again without the host."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable

from edged.engine.cuda import call

_RELAXED = 2
"""cudaStreamCaptureModeRelaxed: other threads of the process may go on."""


class CudaStream:
    """Work in order; satisfies `edged.engine.tensorrt_session.Stream`."""

    def __init__(self, device: int) -> None:
        self._device = device
        pointer = ctypes.c_void_p()
        call("cudaSetDevice", device)
        call("cudaStreamCreate", ctypes.byref(pointer))
        self.handle = int(pointer.value or 0)
        weakref.finalize(self, call, "cudaStreamDestroy", ctypes.c_void_p(self.handle)).atexit = False

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

        weakref.finalize(again, call, "cudaGraphExecDestroy", ready).atexit = False
        return again
