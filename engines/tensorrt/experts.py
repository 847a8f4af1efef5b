"""Stacks of experts as TensorRT takes them: signed INT4 without zero points, in the orientation of the artefact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from edged.errors import ArtefactError

from .weights import CHUNK_VALUES, WeightsFile, stored_bytes

_SIGN = 0x88
"""The highest bit of both values of a byte: q in 0..15 and q - 8 in four bits differ in it alone."""


def lowered_stack(
    node: NodeProto,
    stored: Mapping[str, TensorProto],
    graph: Path,
    weights: WeightsFile,
    floats: Callable[[str, NDArray[Any]], str],
) -> NodeProto:
    """The DequantizeLinear of a stack [experts, outputs, inputs], with its weights written; floats adds numbers.

    Raises ArtefactError for what is not 4 bits around the middle, as edged writes experts.
    """
    attributes = {item.name: item.i for item in node.attribute}
    codes, scale, zero = (stored.get(name) for name in [*node.input, "", ""][:3])
    if codes is None or scale is None or zero is None or codes.data_type != TensorProto.UINT4:
        raise ArtefactError(f"{graph}: experts of {node.name} are not in 4 bits, which is all that can be compiled")
    size, shape = attributes.get("block_size", 0), list(codes.dims)
    expected = [*shape[:2], shape[2] // size] if size else []
    if attributes.get("axis") != 2 or list(scale.dims) != expected or shape[2] % size or _is_off(zero, graph):
        raise ArtefactError(f"{graph}: DequantizeLinear {node.name} is not as edged writes it")
    if f"{codes.name}.int4" not in weights:
        data = stored_bytes(codes, graph)
        pieces = (data[at : at + CHUNK_VALUES] ^ np.uint8(_SIGN) for at in range(0, data.size, CHUNK_VALUES))
        weights.write(f"{codes.name}.int4", TensorProto.INT4, shape, pieces)
        kind = helper.tensor_dtype_to_np_dtype(scale.data_type)
        floats(f"{codes.name}.int4.scale", stored_bytes(scale, graph).view(kind).reshape(scale.dims))
    inputs = [f"{codes.name}.int4", f"{codes.name}.int4.scale"]
    return helper.make_node("DequantizeLinear", inputs, list(node.output), node.name, axis=2, block_size=size)


def _is_off(zero: TensorProto, graph: Path) -> bool:
    return bool((stored_bytes(zero, graph) != _SIGN).any())
