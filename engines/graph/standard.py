"""The model in standard ONNX operators (opset 24) over the fused graph's own weights: what TensorRT is given.

The fused graph is the one description of a model. Each of its operators that only ONNX Runtime knows is
written here in standard ones, everything else is taken over as it is, and weights are named a second
time with another type and shape: not one integer or scale lies on the disk twice.

Differences in the contract: no inputs total_sequence_length and media_index, no output router_logits, and attention
masks what lies beyond the last token, so that the cache may hold any finite numbers there (a masked weight is 0, and
0 * NaN is NaN).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edged.errors import CheckpointError

from .all_rows import compute_all_rows
from .model_file import FUSED
from .standard_experts import mixture

OPSET = 24
POSITIONS = "positions"
"""Name of the tensor that tells where each token stands.  # (tokens,)"""
IR_VERSION = 11

_UNSIGNED = {4: TensorProto.UINT4, 8: TensorProto.UINT8}
_UNUSED_INPUT, _UNUSED_OUTPUT = "total_sequence_length", "router_logits"


def write_standard(fused: Path, standard: Path) -> None:
    """Translate the graph at `fused` into `standard`, in the same folder, over the same weights file.

    Raises CheckpointError naming an operator that has no standard form here.
    """
    model = onnx.load(fused, load_external_data=False)
    compute_all_rows(model.graph)
    standard.write_bytes(Translation(model.graph, fused.parent).model().SerializeToString())


class Translation:
    """One graph on its way from one set of operators to the other."""

    def __init__(self, graph: onnx.GraphProto, folder: Path) -> None:
        self.source = graph
        self.folder = folder
        self.stored = {tensor.name: tensor for tensor in graph.initializer}
        self.nodes: list[NodeProto] = []
        self.weights: dict[str, TensorProto] = {}
        self.named: set[str] = set()
        self.read_names = {name for node in graph.node for name in node.input}
        self.activations = next(
            item.type.tensor_type.elem_type for item in graph.input if item.name.startswith("past_key_values")
        )

    def model(self) -> onnx.ModelProto:
        """The translated model."""
        for node in self.source.node:
            if _UNUSED_OUTPUT in node.output:
                continue
            if (rule := _RULES.get((node.domain, node.op_type))) is not None:
                rule(self, node, {item.name: helper.get_attribute_value(item) for item in node.attribute})
            elif node.domain == FUSED:
                raise CheckpointError(f"{node.op_type} of {node.name} has no form in standard operators")
            else:
                self.nodes.append(node)
                self.weights.update({name: self.stored[name] for name in node.input if name in self.stored})
        inputs = [item for item in self.source.input if item.name != _UNUSED_INPUT]
        outputs = [item for item in self.source.output if item.name != _UNUSED_OUTPUT]
        graph = helper.make_graph(self.nodes, self.source.name, inputs, outputs, list(self.weights.values()))
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="edged")

    def node(self, operator: str, inputs: Sequence[str], outputs: str | Sequence[str], **attributes: Any) -> str:
        """Add a node named after its first output, return that output; weights come along by name."""
        names = [outputs] if isinstance(outputs, str) else list(outputs)
        self.weights.update({name: self.stored[name] for name in inputs if name in self.stored})
        self.nodes.append(helper.make_node(operator, list(inputs), names, names[0], **attributes))
        return names[0]

    def once(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """A node that several others share."""
        if output not in self.named:
            self.named.add(output)
            self.node(operator, inputs, output, **attributes)
        return output

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """A small constant, kept inside the graph's own file."""
        if name not in self.weights:
            self.weights[name] = numpy_helper.from_array(values, name)
        return name

    def integers(self, *values: int) -> str:
        """A vector of int64 named after its values, e.g. as a shape."""
        return self.constant("int64." + ".".join(map(str, values)), np.array(values, np.int64))

    def alias(self, name: str, weight: str, kind: int, shape: Sequence[int]) -> str:
        """The bytes of a stored weight under another name, type and shape."""
        proto = TensorProto()
        proto.CopyFrom(self.stored[weight])
        proto.name, proto.data_type = name, kind
        proto.ClearField("dims")
        proto.dims.extend(shape)
        self.weights[name] = proto
        return name

    def middle(self, bits: int, shape: Sequence[int]) -> str:
        """Zero points that are all the middle: one tensor serves all matrices of this size."""
        name = f"zero.uint{bits}.{'x'.join(map(str, shape))}"
        if name not in self.weights:
            data = np.full(-(-math.prod(shape) * bits // 8), 0x88 if bits == 4 else 0x80, np.uint8)
            self.weights[name] = TensorProto(name=name, data_type=_UNSIGNED[bits], dims=shape, raw_data=data.tobytes())
        return name

    def read(self, weight: str) -> NDArray[Any]:
        """The values of a stored weight."""
        return numpy_helper.to_array(self.stored[weight], str(self.folder))

    # What every attention shares: where the tokens stand, and what they may see.

    def token_count(self) -> str:
        """Tokens of this run.  # [1]"""
        return self.once("Shape", ["input_ids"], "tokens.shape", start=1, end=2)

    def start(self) -> str:
        """Position of the first token: seqlens_k is that of the last.  # [1]"""
        last = self.once("Cast", ["seqlens_k"], "position.last", to=TensorProto.INT64)
        end = self.once("Add", [last, self.integers(1)], "position.end")
        return self.once("Sub", [end, self.token_count()], "position.start")

    def positions(self) -> str:
        """Position of each token.  # (tokens,)"""
        return self.once("Add", [self._counted("tokens", self.token_count()), self.start()], POSITIONS)

    def turns(self, table: str) -> str:
        """The rows of a rotary table for this run's tokens, picked once for all layers.  # (1, tokens, pairs)"""
        rows = self.once("Gather", [table, self.positions()], f"{table}.rows", axis=0)
        return self.once("Unsqueeze", [rows, self.integers(0)], f"{table}.batch")

    def mask(self, window: int, cache: str) -> str:
        """True where a token sees a place of the cache; 0 is no window.  # (1, 1, tokens, capacity)"""
        name = f"mask.{window}" if window else "mask"
        if name in self.named:
            return name
        size = self.once("Shape", [cache], "capacity.shape", start=2, end=3)
        places = self._counted("capacity", size)
        rows = self.once("Unsqueeze", [self.positions(), self.integers(1)], "positions.column")
        seen = self.once("LessOrEqual", [places, rows], "mask.past")
        if window:
            first = self.node("Sub", [rows, self.integers(window)], f"{name}.first")
            recent = self.node("Greater", [places, first], f"{name}.recent")
            seen = self.node("And", [seen, recent], f"{name}.seen")
        return self.once("Unsqueeze", [seen, self.integers(0, 1)], name)

    def _counted(self, name: str, size: str) -> str:
        zero, one = (self.constant(f"int64.scalar.{value}", np.array(value, np.int64)) for value in (0, 1))
        stop = self.once("Squeeze", [size], f"{name}.count")
        return self.once("Range", [zero, stop, one], f"{name}.range")


def _matmul_integers(to: Translation, node: NodeProto, attributes: Mapping[str, Any]) -> None:
    """x @ DequantizeLinear(q).T + bias"""
    x, codes, scale, zero, _, bias = [*node.input, *[""] * 4][:6]
    out, bits, size = node.output[0], attributes["bits"], attributes["block_size"]
    blocks = -(-attributes["K"] // size)
    if fill := blocks * size - attributes["K"]:
        x = to.node("Pad", [x, to.integers(0, 0, 0, 0, 0, fill)], f"{out}.filled")
    weight = _dequantized(to, (codes, scale, zero), (attributes["N"], blocks, size), bits)
    weight = to.once("Transpose", [weight], f"{codes}.columns", perm=[1, 0])
    product = to.node("MatMul", [x, weight], f"{out}.product" if bias else out)
    if bias:
        to.node("Add", [product, bias], out)


def _gather_integers(to: Translation, node: NodeProto, attributes: Mapping[str, Any]) -> None:
    """Rows of the dequantized table: TensorRT fuses the two, and dequantizes the rows that are asked for."""
    codes, indices, scale, zero = [*node.input, ""][:4]
    out, bits, size = node.output[0], attributes["bits"], attributes["block_size"]
    dims = to.stored[codes].dims
    blocks = int(np.prod(dims[1:])) * 8 // bits // size
    table = _dequantized(to, (codes, scale, zero), (dims[0], blocks, size), bits)
    if len(dims) == 2:
        to.node("Gather", [table, indices], out, axis=0)
    else:  # as the table is cut into blocks, so is what comes out
        rows = to.node("Gather", [table, indices], f"{out}.rows", axis=0)
        to.node("Reshape", [rows, to.integers(0, 0, blocks, size)], out)


def _dequantized(to: Translation, names: tuple[str, str, str], shape: tuple[int, int, int], bits: int) -> str:
    """A matrix from its (codes, scale, zero points), once for all its uses.  # (rows, blocks * block_size)"""
    codes, scale, zero = names
    rows, blocks, size = shape
    out = f"{codes}.rows"
    if out in to.named:
        return out
    inputs = [
        to.alias(f"{codes}.uint{bits}", codes, _UNSIGNED[bits], [rows, blocks * size]),
        to.alias(f"{codes}.scale", scale, to.stored[scale].data_type, [rows, blocks]),
        _zero_points(to, zero, bits, rows, blocks),
    ]
    return to.once("DequantizeLinear", inputs, out, axis=1, block_size=size)


def _zero_points(to: Translation, zero: str, bits: int, rows: int, blocks: int) -> str:
    shape = [rows, blocks]
    if zero and (bits == 8 or blocks % 2 == 0):
        return to.alias(f"{zero}.uint{bits}", zero, _UNSIGNED[bits], shape)
    if not zero:
        return to.middle(bits, shape)
    # The kernel's rows are filled up to whole bytes, ONNX packs without gaps.
    packed = to.read(zero).reshape(rows, -1)
    values = np.stack([packed & 15, packed >> 4], axis=-1).reshape(rows, -1)[:, :blocks].ravel()
    pairs = np.pad(values, (0, values.size % 2)).reshape(-1, 2)
    data = pairs[:, 0] | (pairs[:, 1] << 4)
    name = f"{zero}.uint4"
    to.weights[name] = TensorProto(name=name, data_type=_UNSIGNED[bits], dims=shape, raw_data=data.tobytes())
    return name


def _norm(to: Translation, node: NodeProto, attributes: Mapping[str, Any]) -> None:
    to.node("RMSNormalization", node.input[:2], node.output[0], axis=-1, epsilon=attributes["epsilon"])


def _add_norm(to: Translation, node: NodeProto, attributes: Mapping[str, Any]) -> None:
    total = node.output[3] if len(node.output) > 3 else f"{node.output[0]}.sum"
    total = to.node("Add", node.input[:2], total)
    if node.output[0] in to.read_names:
        to.node("RMSNormalization", [total, node.input[2]], node.output[0], axis=-1, epsilon=attributes["epsilon"])


def _block_means(to: Translation, node: NodeProto, attributes: Mapping[str, Any]) -> None:
    """Pooled as a picture of one row a token: TensorRT pools nothing else."""
    (size,), out = attributes["kernel_shape"], node.output[0]
    picture = to.node("Unsqueeze", [node.input[0], to.integers(1)], f"{out}.picture")
    pooled = to.node("AveragePool", [picture], f"{out}.pooled", kernel_shape=[1, size], strides=[1, size])
    to.node("Squeeze", [pooled, to.integers(1)], out)


def _swish(to: Translation, node: NodeProto, attributes: Mapping[str, Any]) -> None:
    to.node("Swish", node.input, node.output[0], alpha=attributes.get("alpha", 1.702))


def _gelu(to: Translation, node: NodeProto, attributes: Mapping[str, Any]) -> None:
    to.node("Gelu", node.input[:1], node.output[0], approximate="none" if node.op_type == "Gelu" else "tanh")


def _rotary(to: Translation, node: NodeProto, attributes: Mapping[str, Any]) -> None:
    """The same operator with a batch in front of the tables; they belong to this run's tokens, in order."""
    x, first, cosines, sines = node.input
    if first not in to.stored or to.read(first).any():
        raise CheckpointError(f"RotaryEmbedding of {node.name} does not begin at the first row of its tables")
    kept = {key: attributes[key] for key in ("interleaved", "num_heads", "rotary_embedding_dim") if key in attributes}
    tables = [to.once("Unsqueeze", [name, to.integers(0)], f"{name}.batch") for name in (cosines, sines)]
    to.node("RotaryEmbedding", [x, *tables], node.output[0], **kept)


def _attention(to: Translation, node: NodeProto, attributes: Mapping[str, Any]) -> None:
    """Rotate, write into the cache, and attend to all of it behind a mask."""
    q, k, v, past_key, past_value, _, _, cosines, sines, position_ids = [*node.input, *[""] * 10][:10]
    out, present_key, present_value = node.output[:3]
    heads, kv_heads = attributes["num_heads"], attributes["kv_num_heads"]
    head_dim = next(item for item in to.source.input if item.name == past_key).type.tensor_type.shape.dim[3].dim_value
    if not k:
        sizes = to.integers(*[count * head_dim for count in (heads, kv_heads, kv_heads)])
        parts = [f"{out}.{part}" for part in "qkv"]
        to.node("Split", [q, sizes], parts, axis=2)
        q, k, v = parts
    q, k, v = (
        to.node(
            "Transpose",
            [to.node("Reshape", [x, to.integers(0, 0, count, head_dim)], f"{out}.{part}.heads")],
            f"{out}.{part}.rows",
            perm=[0, 2, 1, 3],
        )
        for x, count, part in ((q, heads, "q"), (k, kv_heads, "k"), (v, kv_heads, "v"))
    )
    if attributes.get("do_rotary"):
        if position_ids:
            raise CheckpointError(f"GroupQueryAttention of {node.name} with positions of its own is not expected")
        tables = [to.turns(cosines), to.turns(sines)]
        kept = {"interleaved": attributes.get("rotary_interleaved", 0)}
        if (rotated := 2 * to.stored[cosines].dims[-1]) < head_dim:
            kept["rotary_embedding_dim"] = rotated
        q, k = (to.node("RotaryEmbedding", [x, *tables], f"{x}.rotated", **kept) for x in (q, k))
    key = to.node("TensorScatter", [past_key, k, to.start()], present_key, axis=2)
    value = to.node("TensorScatter", [past_value, v, to.start()], present_value, axis=2)
    scale = attributes.get("scale") or head_dim**-0.5
    mask = to.mask(max(attributes.get("local_window_size", -1), 0), past_key)
    if softcap := attributes.get("softcap"):
        mixed = _capped_attention(
            to, f"{out}.mixed", (q, key, value, mask), (heads, kv_heads, head_dim), scale, softcap
        )
    else:
        mixed = to.node("Attention", [q, key, value, mask], f"{out}.mixed", scale=scale)
    rows = to.node("Transpose", [mixed], f"{out}.mixed.rows", perm=[0, 2, 1, 3])
    to.node("Reshape", [rows, to.integers(0, 0, heads * head_dim)], out)


def _capped_attention(
    to: Translation,
    out: str,
    inputs: tuple[str, str, str, str],
    sizes: tuple[int, int, int],
    scale: float,
    softcap: float,
) -> str:
    """softmax(mask(softcap * tanh(scale * q k / softcap))) v in single steps.

    TensorRT refuses `Attention` with a softcap, and the standard applies it after the mask, which lets what is
    masked take part again.
    """
    (q, key, value, mask), (heads, kv_heads, head_dim) = inputs, sizes
    kind = helper.tensor_dtype_to_np_dtype(to.activations)

    def number(value: float) -> str:
        return to.constant(f"{kind}.{value!r}", np.array(value, kind))

    q = to.node("Reshape", [q, to.integers(1, kv_heads, heads // kv_heads, -1, head_dim)], f"{out}.q.groups")
    key = to.node("Unsqueeze", [key, to.integers(2)], f"{out}.key.groups")
    value = to.node("Unsqueeze", [value, to.integers(2)], f"{out}.value.groups")
    key = to.node("Transpose", [key], f"{out}.key.columns", perm=[0, 1, 2, 4, 3])
    scores = to.node("MatMul", [q, key], f"{out}.scores")  # (1, kv_heads, group, tokens, capacity)
    scores = to.node("Mul", [scores, number(scale / softcap)], f"{out}.scaled")
    scores = to.node("Mul", [to.node("Tanh", [scores], f"{out}.tanh"), number(softcap)], f"{out}.capped")
    seen = to.once("Unsqueeze", [mask, to.integers(2)], f"{mask}.groups")
    scores = to.node("Where", [seen, scores, number(float(np.finfo(np.float16).min))], f"{out}.masked")
    weights = to.node("Softmax", [scores], f"{out}.weights", axis=-1)
    mixed = to.node("MatMul", [weights, value], f"{out}.groups")
    return to.node("Reshape", [mixed, to.integers(1, heads, -1, head_dim)], out)


_RULES: Mapping[tuple[str, str], Callable[[Translation, NodeProto, Mapping[str, Any]], None]] = {
    (FUSED, "MatMulNBits"): _matmul_integers,
    (FUSED, "GatherBlockQuantized"): _gather_integers,
    (FUSED, "GroupQueryAttention"): _attention,
    (FUSED, "RotaryEmbedding"): _rotary,
    (FUSED, "SkipSimplifiedLayerNormalization"): _add_norm,
    ("", "SimplifiedLayerNormalization"): _norm,
    (FUSED, "QuickGelu"): _swish,
    (FUSED, "FastGelu"): _gelu,
    (FUSED, "Gelu"): _gelu,
    ("", "AveragePool"): _block_means,
    (FUSED, "QMoE"): mixture,
    (FUSED, "MoE"): mixture,
}
