"""The fused graph cut into stages of consecutive layers, one for each device, over the same weights file.

Between two stages passes one tensor, the hidden states. Where a layer ends, the fused graph adds and norms in one
node: the stage before adds, and the stage after has the same node add nothing, so that it norms with the very same
kernel. The plain norm rounds otherwise, and INT8 inputs of the products that follow would make much of that.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from onnx import NodeProto, helper

from edged.engine.manifest import Stage
from edged.engine.onnx_stage import HIDDEN_IN, HIDDEN_OUT, ROUTER_LOGITS

_ADD_AND_NORM = "SkipSimplifiedLayerNormalization"


def write_stages(whole: Path, layers: Sequence[int]) -> tuple[Stage, ...]:
    """Replace the graph at `whole` by one file per stage, so many layers each; its weights file stays.

    Layers keep their numbers. What several stages need, such as the angles of a chunk, each computes for itself.
    """
    model = onnx.load(whole, load_external_data=False)
    graph = _Graph(model.graph)
    borders = [0, *itertools.accumulate(layers)]
    stages = []
    for number, (first, end) in enumerate(itertools.pairwise(borders)):
        file = whole.with_name(f"{whole.stem}.{number}{whole.suffix}")
        part = graph.part(first, end, is_last=end == borders[-1])
        made = helper.make_model(part, opset_imports=model.opset_import, ir_version=model.ir_version)
        made.producer_name = model.producer_name
        file.write_bytes(made.SerializeToString())
        stages.append(Stage(file=file.name, layers=end - first))
    whole.unlink()
    return tuple(stages)


class _Graph:
    """Finds what each output needs."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.made_by: Mapping[str, NodeProto] = {name: node for node in graph.node for name in node.output if name}

    def part(self, first: int, end: int, *, is_last: bool) -> onnx.GraphProto:
        """The layers from `first` to before `end`, with the embedding before the first and the head after the last."""
        source = self.graph
        kept = {f"present.{layer}.{part}" for layer in range(first, end) for part in ("key", "value")}
        kept |= {"logits"} if is_last else set()
        outputs = [value for value in source.output if value.name in kept]
        before = self._border(first) if first else None
        after = None if is_last else self._border(end)
        routers = self._routers(first, end)
        ends = [value.name for value in outputs] + (list(after.input[:2]) if after else []) + routers
        nodes, needed = self._needed(ends, before)
        inputs = [value for value in source.input if value.name in needed]
        if before:
            nothing = helper.make_node("Sub", [HIDDEN_IN, HIDDEN_IN], ["nothing"], "nothing")
            nodes = [nothing, _reading(before, [HIDDEN_IN, "nothing"]), *nodes]
            needed.add(before.input[2])
            inputs.insert(0, self._hidden(HIDDEN_IN))
        if after:
            nodes.append(helper.make_node("Add", list(after.input[:2]), [HIDDEN_OUT], HIDDEN_OUT))
            outputs.append(self._hidden(HIDDEN_OUT))
        if routers:
            nodes.append(helper.make_node("Concat", routers, [ROUTER_LOGITS], ROUTER_LOGITS, axis=0))
            outputs.append(self._of_routers(len(routers)))
        weights = [tensor for tensor in source.initializer if tensor.name in needed]
        return helper.make_graph(nodes, source.name, inputs, outputs, weights)

    def _border(self, layer: int) -> NodeProto:
        """The node that ends the layer before this one."""
        node = self.made_by[f"layers.{layer}.attention_norm.out"]
        assert node.op_type == _ADD_AND_NORM, "the dialect adds and norms in one node where a layer ends"
        return node

    def _needed(self, ends: Sequence[str], before: NodeProto | None) -> tuple[list[NodeProto], set[str]]:
        """The nodes that these tensors come from, in order, back to the border; and all names they read."""
        names, chosen, needed = list(ends), set(), set(ends)
        while names:
            node = self.made_by.get(names.pop())
            if node is None or node is before or node.name in chosen:
                continue
            chosen.add(node.name)
            names.extend(node.input)
            needed.update(node.input)
        return [node for node in self.graph.node if node.name in chosen], needed

    def _routers(self, first: int, end: int) -> list[str]:
        """What the routers of these layers say; nothing where there are none."""
        node = self.made_by.get(ROUTER_LOGITS)
        return list(node.input[first:end]) if node else []

    def _of_routers(self, layers: int) -> onnx.ValueInfoProto:
        whole = next(value for value in self.graph.output if value.name == ROUTER_LOGITS)
        experts = whole.type.tensor_type.shape.dim[2].dim_value
        return helper.make_tensor_value_info(ROUTER_LOGITS, onnx.TensorProto.FLOAT, [layers, "tokens", experts])

    def _hidden(self, name: str) -> onnx.ValueInfoProto:
        cache = next(value for value in self.graph.input if value.name.startswith("past_key_values"))
        return helper.make_tensor_value_info(name, cache.type.tensor_type.elem_type, [1, "tokens", "hidden_size"])


def _reading(node: NodeProto, inputs: Sequence[str]) -> NodeProto:
    """The node with other first inputs."""
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.input[: len(inputs)] = inputs
    return copy
