"""The standard graph in the form TensorRT keeps small and fast: INT4 matrices, float16, a cache of fixed size.

- It multiplies with INT4 as it is, but turns a matrix of INT8 into a float16 one anew at every step (a plan lists
  its kernels: one of them writes the whole matrix). So 8 bits are two planes of 4: 16 high + low.
- Its parser knows neither unsigned integers nor zero points:  scale * (q - zero) = scale * (q - middle) +
  scale * (middle - zero),  whose last part acts on the mean of a block. That part, rounded to 8 bits, and planes
  are more rows of the same INT4 matrix, for which the input is repeated and its block means appended: a kernel
  more costs more than a few bytes, in time and in the plan.
- Matrices are [inputs, outputs]: TensorRT takes the other orientation as well, but ONNX Runtime fuses only this
  one, and so computes quickly on any CPU what TensorRT is given. A table that rows are taken of stays
  [tokens, hidden], shared with the head where that is the same: TensorRT reads the rows asked for, not the table.
- Weights are written to a file of their own as they come; the graph stays small however large the model is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edged.errors import ArtefactError

from ..graph.standard import POSITIONS
from .dependencies import exact_nodes, needed
from .digits import LARGEST, PLACES, digits_of, plane_of
from .experts import lowered_stack
from .weights import CHUNK_VALUES, WeightsFile, packed, stored_bytes, unpacked

_BITS: Mapping[int, int] = {TensorProto.UINT4: 4, TensorProto.UINT8: 8}
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
_ALL = slice(None)


def lower(standard: Path, lowered: Path, *, capacity: int, floats: int = TensorProto.FLOAT16) -> None:
    """Write `lowered` and `<lowered>.data` from the graph at `standard` and the weights beside it.

    capacity: places of the key/value cache. floats: type of all activations, FLOAT keeps them to be compared.
    Raises ArtefactError naming what is not as edged writes it.
    """
    try:
        model = onnx.load(standard, load_external_data=False)
    except DecodeError as exc:
        raise ArtefactError(f"{standard}: not a valid ONNX file") from exc
    with lowered.with_name(lowered.name + ".data").open("wb") as data:
        graph = _Lowering(model.graph, standard, data, floats, capacity).graph()
    result = helper.make_model(
        graph, opset_imports=list(model.opset_import), ir_version=model.ir_version, producer_name="edged"
    )
    lowered.write_bytes(result.SerializeToString())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matrix:
    """Integers of the standard graph."""

    codes: TensorProto  # [outputs, inputs]
    scale: TensorProto  # [outputs, blocks]
    zero: TensorProto  # [outputs, blocks]
    block_size: int
    is_table: bool
    """Rows are taken of it."""
    unit: int
    """17 where integers of 8 bits are such of 4 times 17, which is how a block gets a finer zero point; else 1."""

    @property
    def bits(self) -> int:
        return _BITS[self.codes.data_type]

    @property
    def places(self) -> tuple[int, ...]:
        """What a unit of each plane of 4 bits is worth."""
        return (1,) if self.bits == 4 or self.unit > 1 else (16, 1)

    @property
    def middle(self) -> int:
        """What the planes take off an integer by being signed: 8 of each."""
        return 8 * sum(self.places)


@dataclass(frozen=True, slots=True)
class _Stacked:
    """A matrix as TensorRT gets it."""

    name: str
    fill: int | None
    """Columns that fill up what block means add to whole blocks; None where they add nothing."""


class _Lowering:
    """One graph on its way."""

    def __init__(self, graph: onnx.GraphProto, path: Path, data: BinaryIO, floats: int, capacity: int) -> None:
        self.source = graph
        self.path = path
        self.floats = floats
        self.capacity = capacity
        self.stored = {tensor.name: tensor for tensor in graph.initializer}
        self.makers = {output: node for node in graph.node for output in node.output}
        self.tables = {node.input[0] for node in graph.node if node.op_type == "Gather"}
        self.matrices: dict[str, _Matrix] = {}
        """By the name of the dequantized matrix, as it is and transposed."""
        self.stacked: dict[str, _Stacked] = {}
        """Those written so far, by the name of the integers."""
        self.exact = exact_nodes(graph)
        self.nodes: list[NodeProto] = []
        self.weights = WeightsFile(data)

    def graph(self) -> onnx.GraphProto:
        """The lowered graph; its weights are in the data file."""
        for node in self.source.node:
            self._lower(node)
        inputs = [self._declared(item) for item in self.source.input]
        outputs = [self._declared(item) for item in self.source.output]
        nodes = needed(self.nodes, [item.name for item in outputs])
        used = {name for node in nodes for name in node.input}
        weights = [tensor for name, tensor in self.weights.tensors.items() if name in used]
        return helper.make_graph(nodes, self.source.name, inputs, outputs, weights)

    def _lower(self, node: NodeProto) -> None:
        match node.op_type:
            case "DequantizeLinear" if len(self.stored[node.input[0]].dims) == 3:
                self.nodes.append(lowered_stack(node, self.stored, self.path, self.weights, self._floats))
            case "DequantizeLinear" if self._is_unsigned(node.input[0]):
                self.matrices[node.output[0]] = self._matrix(node)
            case "Transpose" if node.input[0] in self.matrices:
                self.matrices[node.output[0]] = self.matrices[node.input[0]]
            case "MatMul" if node.input[1] in self.matrices:
                self._product(node, self.matrices[node.input[1]])
            case "Gather" if node.input[0] in self.matrices:
                self._rows(node, self.matrices[node.input[0]])
            case "Cos" | "Sin" if self.floats != TensorProto.FLOAT:
                angle = f"{node.output[0]}.exact"
                self._add(node.op_type, list(node.input), angle)
                self._add("Cast", [angle], node.output[0], to=self.floats)
            case _:
                self._take_over(node)

    def _is_unsigned(self, name: str) -> bool:
        return name in self.stored and self.stored[name].data_type in _BITS

    def _take_over(self, node: NodeProto) -> None:
        """The node as it is, with floats of the type wanted."""
        copy = NodeProto()
        copy.CopyFrom(node)
        exact = node.name in self.exact
        for attribute in copy.attribute:
            if attribute.name == "to" and attribute.i in _FLOATS and not exact:
                attribute.i = self.floats
        for name in node.input:
            if name in self.matrices:
                raise ArtefactError(f"{self.path}: {node.op_type} {node.name} of an integer matrix cannot be compiled")
            if name in self.stored:
                # Of the rotary tables, which have a row for every position, those that the cache has places for.
                by_position = node.op_type == "Gather" and node.input[1] == POSITIONS
                self._weight(self.stored[name], exact=exact, rows=self.capacity if by_position else None)
        self.nodes.append(copy)

    def _matrix(self, node: NodeProto) -> _Matrix:
        attributes = {item.name: item.i for item in node.attribute}
        codes, scale, zero = [self.stored.get(name) for name in [*node.input, "", ""][:3]]
        size = attributes.get("block_size", 0)
        if codes and scale and zero and codes.data_type in _BITS and zero.data_type == codes.data_type:
            outputs, inputs = [*codes.dims, 0, 0][:2]
            blocks = [outputs, inputs // size] if size else []
            if attributes.get("axis") == 1 and list(scale.dims) == list(zero.dims) == blocks and inputs % size == 0:
                return _Matrix(
                    codes=codes,
                    scale=scale,
                    zero=zero,
                    block_size=size,
                    is_table=node.output[0] in self.tables,
                    unit=self._unit(codes),
                )
        raise ArtefactError(f"{self.path}: DequantizeLinear {node.name} is not as edged writes it")

    def _product(self, node: NodeProto, matrix: _Matrix) -> None:
        """x @ dequantized, as one product: of x once for each plane, and of what zero points and block means add."""
        x, out, size = node.input[0], node.output[0], matrix.block_size
        means = None
        if (appended := self._appended_means(x)) is not None:
            x, means = appended
        stacked = self._stacked(matrix, has_means=means is not None)
        pieces = [x] * len(matrix.places)
        if stacked.fill is not None:
            means = means or self._block_means(x, size, out)
            pieces.append(means)
            pieces += [self._add("Mul", [means, self._number(place)], f"{out}.means.{place:g}") for place in PLACES]
        wide = self._add("Concat", pieces, f"{out}.pieces", axis=2) if len(pieces) > 1 else x
        if stacked.fill:
            wide = self._add("Pad", [wide, self._int64(0, 0, 0, 0, 0, stacked.fill)], f"{out}.wide")
        weight = stacked.name
        if matrix.is_table:
            weight = self._add("Transpose", [weight], f"{out}.weight", perm=[1, 0])
        self._add("MatMul", [wide, weight], out)

    def _unit(self, codes: TensorProto) -> int:
        if _BITS[codes.data_type] == 4:
            return 1
        stored = self._bytes(codes)
        chunks = (stored[at : at + CHUNK_VALUES] for at in range(0, stored.size, CHUNK_VALUES))
        return 17 if all(not (chunk % 17).any() for chunk in chunks) else 1

    def _rows(self, node: NodeProto, matrix: _Matrix) -> None:
        """Rows of a table that may be stacked: the sum of its planes, and what zero points add."""
        out, size = node.output[0], matrix.block_size
        stacked = self._stacked(matrix, has_means=False)
        if len(matrix.places) == 1 and stacked.fill is None:
            self._add("Gather", [stacked.name, node.input[1]], out, axis=0)
            return
        rows = self._add("Gather", [stacked.name, node.input[1]], f"{out}.stacked", axis=0)
        inputs = matrix.codes.dims[1]
        sizes = [inputs] * len(matrix.places)
        if stacked.fill is not None:
            sizes += [inputs // size] * (1 + len(PLACES)) + ([stacked.fill] if stacked.fill else [])
        parts = [f"{out}.part.{index}" for index in range(len(sizes))]
        self.nodes.append(helper.make_node("Split", [rows, self._int64(*sizes)], parts, f"{out}.parts", axis=2))
        summands = parts[: len(matrix.places)]
        if stacked.fill is not None:
            digits = parts[len(matrix.places) :][: 1 + len(PLACES)]
            digits[1:] = [
                self._add("Mul", [digit, self._number(place)], f"{digit}.placed")
                for digit, place in zip(digits[1:], PLACES, strict=True)
            ]
            rest = self._sum(digits, f"{out}.rest")
            column = self._add("Unsqueeze", [rest, self._int64(3)], f"{out}.rest.column")
            spread = self._floats(f"{out}.spread.factor", np.full(size, 1 / size))
            blocks = self._add("Mul", [column, spread], f"{out}.spread")  # (1, tokens, blocks, block_size)
            summands.append(self._add("Reshape", [blocks, self._int64(0, 0, -1)], f"{out}.offset"))
        self._sum(summands, out)

    def _stacked(self, matrix: _Matrix, *, has_means: bool) -> _Stacked:
        """The dequantized matrix, once for all its uses: planes, then the digits of what block means are to add.

        has_means: its last columns are for block means that the standard graph has appended to the input.
        """
        name, size = matrix.codes.name, matrix.block_size
        if name in self.stacked:
            return self.stacked[name]
        scale, zero = matrix.unit * self._values(matrix.scale), self._zero_points(matrix) / matrix.unit
        rest = size * (matrix.middle - zero) * scale  # (outputs, blocks)
        if has_means:
            if (blocks := _blocks_before_means(rest.shape[1], size)) is None:
                raise ArtefactError(f"{self.path}: {name} has no columns for the block means of its input")
            columns = slice(blocks * size, blocks * (size + 1))
            values = self._integers(matrix, columns).astype(np.float32) - zero[:, blocks:].repeat(size, 1)[:, :blocks]
            rest = rest[:, :blocks] + values * scale[:, blocks:].repeat(size, 1)[:, :blocks]
            scale = scale[:, :blocks]
        inputs = scale.shape[1] * size
        factors, digits, fill = [place * scale for place in matrix.places], None, None
        if rest.any():
            step = np.abs(rest).max(axis=1, keepdims=True) / LARGEST
            digits = digits_of(rest / np.where(step == 0, 1, step))  # (outputs, digits * blocks)
            fill = -digits.shape[1] % size
            digits = np.pad(digits, ((0, 0), (0, fill)))
            factors.append(np.repeat(16 ** len(PLACES) * step, digits.shape[1] // size, axis=1))
        scale = np.concatenate(factors, axis=1)
        shape, axis = [len(scale), scale.shape[1] * size], 1
        codes = self._table_codes(matrix, inputs, digits)
        if not matrix.is_table:
            codes = self._product_codes(matrix, inputs, digits)
            scale, shape, axis = scale.T, shape[::-1], 0
        integers = self.weights.write(f"{name}.int4", TensorProto.INT4, shape, codes)
        steps = self._floats(f"{name}.int4.scale", scale)
        made = self._add("DequantizeLinear", [integers, steps], f"{name}.stacked", axis=axis, block_size=size)
        self.stacked[name] = _Stacked(made, fill)
        return self.stacked[name]

    def _appended_means(self, x: str) -> tuple[str, str] | None:
        """(input, its block means) where the standard graph has appended them itself."""
        node = self.makers.get(x)
        if node is not None and node.op_type == "Pad":
            node = self.makers.get(node.input[0])
        if node is None or node.op_type != "Concat" or len(node.input) != 2:
            return None
        pooled = self.makers.get(node.input[1])
        pooled = self.makers.get(pooled.input[0]) if pooled is not None and pooled.op_type == "Squeeze" else None
        is_means = pooled is not None and pooled.op_type == "AveragePool"
        return (node.input[0], node.input[1]) if is_means else None

    def _block_means(self, x: str, size: int, out: str) -> str:
        """As in the standard graph."""
        picture = self._add("Unsqueeze", [x, self._int64(1)], f"{out}.picture")
        pooled = self._add("AveragePool", [picture], f"{out}.pooled", kernel_shape=[1, size], strides=[1, size])
        return self._add("Squeeze", [pooled, self._int64(1)], f"{out}.means")

    def _sum(self, parts: list[str], out: str) -> str:
        """At least two."""
        total = parts[0]
        for index, part in enumerate(parts[1:], start=2):
            total = self._add("Add", [total, part], out if index == len(parts) else f"{out}.sum.{index}")
        return total

    def _product_codes(
        self, matrix: _Matrix, inputs: int, digits: NDArray[np.uint8] | None
    ) -> Iterator[NDArray[np.uint8]]:
        """The planes of the first `inputs`, then the digits, as [inputs, outputs]; some columns at a time."""
        step = max(2, CHUNK_VALUES // matrix.codes.dims[0] // 2 * 2)
        for place in matrix.places:
            for start in range(0, inputs, step):
                values = self._integers(matrix, slice(start, min(start + step, inputs)))
                yield packed(plane_of(values, matrix.unit * place).T)
        if digits is not None:
            yield packed(digits.T)

    def _table_codes(
        self, matrix: _Matrix, inputs: int, digits: NDArray[np.uint8] | None
    ) -> Iterator[NDArray[np.uint8]]:
        """The same beside each other, as [outputs, inputs]; some rows at a time."""
        step = max(1, CHUNK_VALUES // inputs)
        for start in range(0, matrix.codes.dims[0], step):
            rows = slice(start, start + step)
            values = self._integers(matrix, slice(0, inputs), rows)
            planes = [plane_of(values, matrix.unit * place) for place in matrix.places]
            yield packed(np.concatenate(planes if digits is None else [*planes, digits[rows]], axis=1))

    def _integers(self, matrix: _Matrix, columns: slice, rows: slice = _ALL) -> NDArray[np.uint8]:
        """Some of the matrix, a value a byte; columns begin at an even one."""
        stored = self._bytes(matrix.codes).reshape(matrix.codes.dims[0], -1)
        if matrix.bits == 8:
            return stored[rows, columns]
        part = unpacked(stored[rows, columns.start // 2 : -(-columns.stop // 2)])
        return part[:, : columns.stop - columns.start]

    def _weight(self, tensor: TensorProto, *, exact: bool, rows: int | None) -> None:
        """A weight under its own name, or the first rows of it; floats in the type wanted."""
        if tensor.name in self.weights:
            return
        kind, shape = tensor.data_type, list(tensor.dims)
        values = self._bytes(tensor)
        if kind not in _FLOATS or exact:
            self.weights.write(tensor.name, kind, shape, iter([values]))
            return
        values = values.view(helper.tensor_dtype_to_np_dtype(kind))
        if rows is not None and rows < shape[0]:
            values, shape = values[: rows * values.size // shape[0]], [rows, *shape[1:]]
        parts = (values[at : at + CHUNK_VALUES] for at in range(0, values.size, CHUNK_VALUES))
        self.weights.write(tensor.name, self.floats, shape, (self._cast(part, tensor.name) for part in parts))

    def _floats(self, name: str, values: NDArray[Any]) -> str:
        """Add numbers in the type wanted."""
        return self.weights.write(name, self.floats, list(values.shape), iter([self._cast(values, name)]))

    def _cast(self, values: NDArray[Any], name: str) -> NDArray[Any]:
        with np.errstate(over="ignore"):
            cast = values.astype(helper.tensor_dtype_to_np_dtype(self.floats))
        if not np.isfinite(cast).all():
            raise ArtefactError(f"{self.path}: {name} holds numbers beyond float16")
        return cast

    def _zero_points(self, matrix: _Matrix) -> NDArray[np.float32]:
        """(outputs, blocks)"""
        zero, shape = self._bytes(matrix.zero), matrix.zero.dims
        values = unpacked(zero)[: int(np.prod(shape))] if matrix.bits == 4 else zero
        return values.reshape(shape).astype(np.float32)

    def _values(self, tensor: TensorProto) -> NDArray[np.float32]:
        kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        return self._bytes(tensor).view(kind).reshape(tensor.dims).astype(np.float32)

    def _bytes(self, tensor: TensorProto) -> NDArray[np.uint8]:
        return stored_bytes(tensor, self.path)

    def _number(self, value: float) -> str:
        name = f"number.{value:g}"
        return name if name in self.weights else self._floats(name, np.array(value))

    def _int64(self, *values: int) -> str:
        name = "int64." + ".".join(map(str, values))
        self.weights.tensors[name] = numpy_helper.from_array(np.array(values, np.int64), name)
        return name

    def _add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def _declared(self, item: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
        """An input or output with floats of the type wanted and a cache of fixed size."""
        copy = onnx.ValueInfoProto()
        copy.CopyFrom(item)
        tensor = copy.type.tensor_type
        if tensor.elem_type in _FLOATS:
            tensor.elem_type = self.floats
        for dim in tensor.shape.dim:
            if dim.dim_param == "capacity":
                dim.Clear()
                dim.dim_value = self.capacity
        return copy


def _blocks_before_means(blocks: int, size: int) -> int | None:
    """Blocks of an input whose block means follow it, where both together fill so many."""
    return next((count for count in range(1, blocks) if count + -(-count // size) == blocks), None)
