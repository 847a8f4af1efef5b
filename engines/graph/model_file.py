"""One ONNX model on its way to disk: nodes in memory, weights written as they come.

Weights go to `<name>.data` beside the graph, aligned so that the run time can map them, and are
forgotten here at once: the writer never holds more than the array it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import onnx
from numpy.typing import DTypeLike, NDArray
from onnx import TensorProto, helper

OPSET = 21
IR_VERSION = 10
FUSED = "com.microsoft"
"""Domain of ONNX Runtime's fused operators."""

_INLINE_BYTES = 1024
_ALIGNMENT = 4096
Shape = Sequence[int | str]
Activations = Literal["float32", "float16"]


class ModelFile:
    """Collects a graph; `save` writes it. Use as a context manager: it holds the weights file open."""

    def __init__(self, path: Path, activations: Activations = "float32") -> None:
        self.path = path
        self.kind: int = helper.np_dtype_to_tensor_dtype(np.dtype(activations))
        """Type of what is computed: hidden states, keys and values, scales and norms."""
        self._activations = np.dtype(activations)
        self.data_path = path.with_name(path.name + ".data")
        self._data = self.data_path.open("wb")
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._data.close()

    def weight(self, name: str, values: NDArray[Any]) -> str:
        """Add a constant tensor; a name already there is returned as it is."""
        if name not in self._weights:
            values = np.ascontiguousarray(values)
            kind = helper.np_dtype_to_tensor_dtype(values.dtype)
            if values.nbytes <= _INLINE_BYTES:
                proto = TensorProto(name=name, data_type=kind, dims=values.shape, raw_data=values.tobytes())
            else:
                proto = TensorProto(name=name, data_type=kind, dims=values.shape)
                self._write(proto, [values])
            self._weights[name] = proto
        return name

    def number(self, name: str, values: NDArray[Any] | np.float32) -> str:
        """Add a constant that activations are computed with, in their type."""
        return self.weight(name, np.asarray(values).astype(self._activations, copy=False))

    def numbers(self, name: str, shape: Sequence[int], pieces: Iterable[NDArray[Any]]) -> str:
        """As `number`, of consecutive pieces, each of which is forgotten at once."""
        return self.streamed(name, self._activations, shape, (np.asarray(piece, self._activations) for piece in pieces))

    def streamed(self, name: str, dtype: DTypeLike, shape: Sequence[int], pieces: Iterable[NDArray[Any]]) -> str:
        """As `weight`, of consecutive pieces of that type, each of which is forgotten at once."""
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._weights[name] = proto = TensorProto(name=name, data_type=kind, dims=shape)
        self._write(proto, pieces)
        return name

    def has_weight(self, name: str) -> bool:
        """Whether a constant of that name is there."""
        return name in self._weights

    def reshaped(self, name: str, weight: str, shape: Sequence[int]) -> str:
        """The bytes of a weight already written, under another name and shape."""
        proto = TensorProto()
        proto.CopyFrom(self._weights[weight])
        proto.name = name
        proto.ClearField("dims")
        proto.dims.extend(shape)
        self._weights[name] = proto
        return name

    def node(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: str | Sequence[str],
        *,
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Add a node, named after its first output, and return that output's name."""
        names = [outputs] if isinstance(outputs, str) else list(outputs)
        attributes = {key: value for key, value in attributes.items() if value is not None}
        self._nodes.append(helper.make_node(operator, list(inputs), names, names[0], domain=domain, **attributes))
        return names[0]

    def input(self, name: str, kind: int, shape: Shape) -> str:
        """Declare an input; `kind` is one of onnx.TensorProto's types, a text in the shape is a free dimension."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def output(self, name: str, kind: int, shape: Shape) -> str:
        """Declare an output, like `input`."""
        self._outputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def begin_another(self, path: Path) -> None:
        """Start a second graph over the same weights, to be saved at `path` in the same folder."""
        self.path = path
        self._nodes, self._inputs, self._outputs = [], [], []

    def save(self, graph_name: str, *, opset: int = OPSET) -> None:
        """Write the graph with the weights it uses; they are on disk already."""
        used = {name for node in self._nodes for name in node.input}
        weights = [proto for name, proto in self._weights.items() if name in used]
        graph = helper.make_graph(self._nodes, graph_name, self._inputs, self._outputs, initializer=weights)
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid(FUSED, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="edged")
        self._data.flush()
        self.path.write_bytes(model.SerializeToString())

    def _write(self, proto: TensorProto, pieces: Iterable[NDArray[Any]]) -> None:
        self._data.write(b"\0" * (-self._data.tell() % _ALIGNMENT))
        start = self._data.tell()
        for piece in pieces:
            self._data.write(np.ascontiguousarray(piece).data)
        place = {"location": self.data_path.name, "offset": start, "length": self._data.tell() - start}
        proto.data_location = TensorProto.EXTERNAL
        for key, value in place.items():
            proto.external_data.add(key=key, value=str(value))
