"""The vision tower as a TensorRT plan: one picture a run, in memory that is taken for it and given back.

Not executed yet by anybody, as `edged.engine.tensorrt_session` is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edged.engine.buffer import Device
from edged.engine.manifest import Manifest, Plan
from edged.engine.senses import Vision
from edged.engine.tensorrt_plan import FREE, Bound, LoadedPlan, Stream
from edged.errors import InvalidInput


class TensorRTVision:
    """Satisfies `edged.engine.encoder.TowerSession`."""

    def __init__(
        self, folder: Path, manifest: Manifest, plan: Plan, *, trt: Any, device: Device, stream: Stream
    ) -> None:
        """Of a model that sees. Raises ArtefactError naming the plan when TensorRT refuses it or it differs."""
        assert manifest.vision is not None
        self._plan, self._device, self._stream = plan, device, stream
        self._merged = manifest.vision.merge_size**2
        self._hidden_size = manifest.hidden_size
        bound = _bound(manifest.vision, manifest.hidden_size)
        self._loaded = LoadedPlan(folder, plan, trt=trt, stream=stream, bound=bound)
        self._context = self._loaded.context(0, fixed=False)

    def run(
        self, inputs: Mapping[str, NDArray[np.float32]], cancelled: Callable[[], bool]
    ) -> NDArray[np.float32] | None:
        """See TowerSession. Cancelled only before it begins: a GPU takes less than a second.

        Raises Unavailable when the GPU has no room, InvalidInput for more patches than the plan takes.
        """
        if cancelled():
            return None
        patches = len(inputs["patches"])
        if patches > self._plan.max_tokens:
            raise InvalidInput(f"the picture has {patches} patches, {self._plan.file} takes {self._plan.max_tokens}")
        buffers = {name: self._device.zeros(values.shape, np.float32) for name, values in inputs.items()}
        for name, values in inputs.items():
            buffers[name].write(values)
        found = np.empty((patches // self._merged, self._hidden_size), np.float32)
        buffers["embeddings"] = self._device.zeros(found.shape, np.float32)
        self._loaded.shape(self._context, {name: values.shape for name, values in inputs.items()})
        working = self._device.zeros((self._loaded.bytes_for_shapes(self._context),), np.uint8)
        self._loaded.bind(self._context, {name: buffer.pointer for name, buffer in buffers.items()}, working)
        self._loaded.enqueue(self._context)
        self._stream.wait()
        buffers["embeddings"].read(found)
        return found


def _bound(vision: Vision, hidden_size: int) -> dict[str, Bound]:
    """All that the plan of a tower reads and writes, see `engines.vision.graph`."""
    values = 3 * vision.temporal_patch_size * vision.patch_size**2
    widths = {
        "patches": values,
        "places": 2,
        "row_weights": vision.position_side,
        "column_weights": vision.position_side,
        "embeddings": hidden_size,
    }
    return {name: Bound(np.float32, (FREE, width)) for name, width in widths.items()}
