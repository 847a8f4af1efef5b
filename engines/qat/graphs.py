"""Work that is always the same, as CUDA graphs: what Python would take longer to ask for than a GPU to do."""

from __future__ import annotations

from collections.abc import Callable

import torch

Work = Callable[[], None]
_WARM = 2
"""Runs before the capture, in which kernels are loaded and libraries take their memory."""


class Recorder:
    """Captures one work after another; all of them share their memory, so that one runs at a time."""

    def __init__(self, device: torch.device, say: Callable[[str], object]) -> None:
        self._device, self._say = device, say
        if device.type == "cuda":
            self._pool = torch.cuda.graph_pool_handle()
            self._beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's own

    def tried(self, work: Work) -> None:
        """Run it once where works are captured: what modules keep of a forward pass belongs to its stream."""
        if self._device.type != "cuda":
            work()
            return
        self._beside.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._beside):
            work()
        torch.cuda.current_stream(self._device).wait_stream(self._beside)

    def captured(self, work: Work) -> Work:
        """What does the same as `work`, on a GPU in one launch; where that fails, `work` itself.

        work: of the same tensors every time, none of which the CPU looks at. On a GPU it has run a few times by the
        time this returns. Raises torch.cuda.OutOfMemoryError.
        """
        if self._device.type != "cuda":
            return work
        for _ in range(_WARM):
            self.tried(work)
        torch.cuda.synchronize(self._device)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, self._pool, self._beside, "thread_local"):  # other threads load batches
                work()
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as exc:
            self._say(f"every kernel is launched by itself, which is slower: {str(exc).splitlines()[0]}")
            return work
        return graph.replay
