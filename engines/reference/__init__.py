"""The model in float32, in the array API's words: what a quantized engine is held against.

Plain and complete rather than fast, for numpy arrays and PyTorch tensors alike: everything the supported models
compute can be read here. The quality gate and calibration run it.
"""

from __future__ import annotations

from .arrays import Array, Arrays, fastest_arrays, numpy_arrays, torch_arrays
from .decoder import Watch, final_states, head_logits

__all__ = [
    "Array",
    "Arrays",
    "Watch",
    "fastest_arrays",
    "final_states",
    "head_logits",
    "numpy_arrays",
    "torch_arrays",
]
