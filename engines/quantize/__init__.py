"""Block-wise integers: rounding float weights, keeping the blocks a file has, packing for the kernels.

A row is cut into blocks; each block of weights is written  w = scale * q + minimum  with q in 0..2^bits-1.
Symmetric formats are the case minimum = -2^(bits-1) * scale.
"""

from .blocks import Blocks, interleaved, packed, packed_zero_points
from .rounding import Rounding, rounded
from .tensors import dividing, fitting, kept, quantized, quantized_beside, row_chunks

__all__ = [
    "Blocks",
    "Rounding",
    "dividing",
    "fitting",
    "interleaved",
    "kept",
    "packed",
    "packed_zero_points",
    "quantized",
    "quantized_beside",
    "rounded",
    "row_chunks",
]
