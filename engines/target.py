"""What an engine is built for: the device, what it computes in, and how many of them share the layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edged.errors import InvalidInput

from .graph.model_file import Activations

TargetDevice = Literal["cpu", "cuda", "tensorrt"]
"""As in the configuration's engine.device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """[target] of a recipe."""

    device: TargetDevice = "cpu"
    activations: Activations = "float32"
    """Hidden states, keys and values, scales. GPUs compute in float16: ONNX Runtime's attention knows nothing else."""
    devices: int = 1
    """GPUs that share the layers evenly."""
    split: tuple[int, ...] = ()
    """Layers on each device instead."""

    def stages(self, layers: int) -> tuple[int, ...]:
        """How many layers each stage has. Raises InvalidInput when the recipe does not fit the model."""
        if self.split:
            if sum(self.split) != layers:
                raise InvalidInput(
                    f"target.split {list(self.split)} is of {sum(self.split)} layers, the model has {layers}"
                )
            return self.split
        if self.devices > layers:
            raise InvalidInput(f"target.devices is {self.devices}, the model has {layers} layers")
        each, more = divmod(layers, self.devices)
        return tuple(each + (place < more) for place in range(self.devices))
