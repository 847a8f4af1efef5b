"""Which nodes of a graph lead to which."""

from __future__ import annotations

import onnx
from onnx import NodeProto


def needed(nodes: list[NodeProto], outputs: list[str]) -> list[NodeProto]:
    """Those that something comes of."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]


def exact_nodes(graph: onnx.GraphProto) -> set[str]:
    """Names of the nodes that compute, from a Cast on, what Cos, Sin and TopK are taken of.

    float16 has no room for a position's angle, and would choose other experts.
    """
    makers = {output: node for node in graph.node for output in node.output}
    waiting = [name for node in graph.node if node.op_type in ("Cos", "Sin", "TopK") for name in node.input]
    found: set[str] = set()
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and node.name not in found:
            found.add(node.name)
            waiting += node.input if node.op_type != "Cast" else ()
    return found
