"""A vision or audio tower through ONNX Runtime."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edged.engine.buffer import Device, Host
from edged.engine.onnx_loading import load_graph, usable_cores
from edged.errors import ArtefactError, EdgedError

_FLOAT_INPUTS = "1"
"""Accuracy level of products with INT8 weights. By default ONNX Runtime rounds their inputs to INT8 too, off by up to
3 % in a random tower. Left as DequantizeLinear and MatMul they would all be dequantized before the first product: at
full size 2.6 GB."""
_LOOK_SECONDS = 0.1
"""Between two looks at whether the answer is still wanted: a screenshot takes a small CPU minutes."""


class OnnxTower:
    """Satisfies `edged.engine.encoder.TowerSession`."""

    def __init__(
        self,
        path: Path,
        inputs: Collection[str],
        *,
        threads: int,
        device: Device = Host(),  # noqa: B008  # frozen
    ) -> None:
        """Load the graph, which must have these inputs. threads = 0 takes the cores that this process may use.

        Raises ArtefactError, or DeviceUnavailable when the GPU cannot be used.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or usable_cores()
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # being terminated is no error
        options.enable_cpu_mem_arena = False  # files differ in size: an arena would keep the most each ever took
        options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", _FLOAT_INPUTS)
        self._session = load_graph(path, options, device)
        if {node.name for node in self._session.get_inputs()} != set(inputs):
            raise ArtefactError(f"{path}: its inputs are not {', '.join(sorted(inputs))}")

    def run(
        self, inputs: Mapping[str, NDArray[np.float32]], cancelled: Callable[[], bool]
    ) -> NDArray[np.float32] | None:
        """See TowerSession."""
        with _stopped_when(cancelled) as options:
            try:
                (embeddings,) = self._session.run(["embeddings"], dict(inputs), options)
            except Exception as exc:  # the runtime's errors share no base class
                if options.terminate:
                    return None
                raise EdgedError("the engine failed to read a picture or recording; try `edged models verify`") from exc
        return np.asarray(embeddings, np.float32)


@contextmanager
def _stopped_when(cancelled: Callable[[], bool]) -> Iterator[onnxruntime.RunOptions]:
    """Options of a run that a second thread ends soon after `cancelled` says so."""
    options = onnxruntime.RunOptions()
    options.log_severity_level = 4
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_SECONDS):
            if cancelled():
                options.terminate = True
                return

    watcher = threading.Thread(target=watch, name="edged-tower-watch", daemon=True)
    watcher.start()
    try:
        yield options
    finally:
        over.set()
        watcher.join()
