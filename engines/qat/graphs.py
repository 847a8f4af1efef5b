"""Work that is always the same, as one CUDA graph: what Python would take longer to ask for than a GPU to do."""

from __future__ import annotations

from collections.abc import Callable

import torch

Work = Callable[[], None]
_WARM = 2
"""Runs before the capture, in which kernels are loaded and libraries take their memory."""


def captured(work: Work, device: torch.device, say: Callable[[str], object]) -> Work:
    """What does the same as `work`, on a GPU in one launch; where that fails, `work` itself.

    work: of the same tensors every time, none of which the CPU looks at; it has run by the time this returns.
    """
    if device.type != "cuda":
        return work
    beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's own
    beside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(beside):
        for _ in range(_WARM):
            work()
    torch.cuda.current_stream(device).wait_stream(beside)
    torch.cuda.synchronize(device)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            work()
        graph.replay()
        torch.cuda.synchronize(device)
    except RuntimeError as exc:
        say(f"every kernel is launched by itself, which is slower: {str(exc).splitlines()[0]}")
        return work
    return graph.replay
