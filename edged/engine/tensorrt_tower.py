"""A vision or audio tower as a TensorRT plan: one file a run, in memory that is taken for it and given back.

Not executed yet by anybody, as `edged.engine.tensorrt_session` is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edged.engine.buffer import Device
from edged.engine.encoder import MediaType
from edged.engine.manifest import Manifest, Plan
from edged.engine.senses import PATCHES, Audio, Vision
from edged.engine.tensorrt_plan import FREE, Bound, LoadedPlan, Stream
from edged.errors import InvalidInput
from edged.events import Audio as AudioPart
from edged.events import Image

Inputs = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerPart:
    """What the plan of a tower reads and gives."""

    name: str
    """As `Plan.part` has it."""
    widths: Mapping[str, tuple[int, ...]]
    """Shapes of its inputs."""
    tokens: Callable[[Inputs], int]
    """How many a file becomes."""
    size: Callable[[Inputs], int]
    """Of a file, what `Plan.max_tokens` limits."""
    said: str
    """About that size, to whoever sent the file."""


class TensorRTTower:
    """Satisfies `edged.engine.encoder.TowerSession`."""

    def __init__(
        self, folder: Path, manifest: Manifest, part: TowerPart, plan: Plan, *, trt: Any, device: Device, stream: Stream
    ) -> None:
        """Raises ArtefactError naming the plan when TensorRT refuses it or it differs."""
        self._plan, self._part, self._device, self._stream = plan, part, device, stream
        self._hidden_size = manifest.hidden_size
        shapes = {**part.widths, "embeddings": (FREE, manifest.hidden_size)}
        bound = {name: Bound(np.float32, shape) for name, shape in shapes.items()}
        self._loaded = LoadedPlan(folder, plan, trt=trt, stream=stream, bound=bound)
        self._context = self._loaded.context(0, fixed=False)

    def run(self, inputs: Inputs, cancelled: Callable[[], bool]) -> NDArray[np.float32] | None:
        """See TowerSession. Cancelled only before it begins: a GPU takes less than a second.

        Raises Unavailable when the GPU has no room, InvalidInput for more than the plan takes.
        """
        if cancelled():
            return None
        if (size := self._part.size(inputs)) > self._plan.max_tokens:
            raise InvalidInput(f"{self._part.said.format(size)}, {self._plan.file} takes {self._plan.max_tokens}")
        buffers = {name: self._device.zeros(values.shape, np.float32) for name, values in inputs.items()}
        for name, values in inputs.items():
            buffers[name].write(values)
        found = np.empty((self._part.tokens(inputs), self._hidden_size), np.float32)
        buffers["embeddings"] = self._device.zeros(found.shape, np.float32)
        self._loaded.shape(self._context, {name: values.shape for name, values in inputs.items()})
        working = self._device.zeros((self._loaded.bytes_for_shapes(self._context),), np.uint8)
        self._loaded.bind(self._context, {name: buffer.pointer for name, buffer in buffers.items()}, working)
        self._loaded.enqueue(self._context)
        self._stream.wait()
        buffers["embeddings"].read(found)
        return found


def tower_parts(manifest: Manifest) -> dict[MediaType, TowerPart]:
    """What the plans of this engine's eyes and ears are to be, see `engines.vision` and `engines.audio`."""
    parts: dict[MediaType, TowerPart] = {}
    if manifest.vision is not None:
        parts[Image] = (_patches if manifest.vision.kind == PATCHES else _pixels)(manifest.vision)
    if manifest.audio is not None:
        parts[AudioPart] = _mel(manifest.audio)
    return parts


def _patches(vision: Vision) -> TowerPart:
    side = vision.position_side
    values = 3 * vision.temporal_patch_size * vision.patch_size**2
    return TowerPart(
        name="vision",
        widths={
            "patches": (FREE, values),
            "places": (FREE, 2),
            "row_weights": (FREE, side),
            "column_weights": (FREE, side),
        },
        tokens=lambda inputs: len(inputs["patches"]) // vision.merge_size**2,
        size=lambda inputs: len(inputs["patches"]),
        said="the picture has {} patches",
    )


def _pixels(vision: Vision) -> TowerPart:
    side, merge = vision.position_side, vision.merge_size
    return TowerPart(
        name="vision",
        widths={"pixels": (1, 3, FREE, FREE), "row_weights": (FREE, side), "column_weights": (FREE, side)},
        tokens=lambda inputs: len(inputs["row_weights"]) * len(inputs["column_weights"]) // merge**2,
        size=lambda inputs: max(len(inputs["row_weights"]), len(inputs["column_weights"])),
        said="the picture has {} patches along a side",
    )


def _mel(audio: Audio) -> TowerPart:
    def tokens(inputs: Inputs) -> int:
        return int(inputs["mel"].shape[2]) // audio.frames_per_token

    return TowerPart(
        name="audio",
        widths={"mel": (1, audio.mel_bins, FREE)},
        tokens=tokens,
        size=tokens,
        said="the recording has {} tokens",
    )
