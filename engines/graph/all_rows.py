"""The fused graph with adapters that compute every token, by its type, for run times that want no tensor of no rows."""

from __future__ import annotations

import onnx
from onnx import NodeProto

from edged.engine.onnx_stage import MEDIA_IN


def compute_all_rows(graph: onnx.GraphProto) -> None:
    """Change a graph of the fused dialect in place: what picks the rows of `media_index` becomes what it picks from,
    and what puts rows among others becomes those rows. The gates of text are 0, so that adapters add nothing to it.

    A graph without that input stays as it is.
    """
    inputs = [value for value in graph.input if value.name != MEDIA_IN]
    if len(inputs) == len(graph.input):
        return
    instead: dict[str, str] = {}
    nodes = []
    for node in graph.node:
        node.input[:] = [instead.get(name, name) for name in node.input]
        if node.op_type == "Gather" and node.input[1] == MEDIA_IN:
            instead[node.output[0]] = node.input[0]
        elif node.op_type == "ScatterND":
            instead[node.output[0]] = node.input[2]
        else:
            nodes.append(node)
    nodes = _read(nodes, {value.name for value in graph.output})
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    graph.input.extend(inputs)


def _read(nodes: list[NodeProto], needed: set[str]) -> list[NodeProto]:
    """Those that make what is needed."""
    kept = []
    for node in reversed(nodes):
        if not needed.isdisjoint(node.output):
            needed.update(node.input)
            kept.append(node)
    return kept[::-1]
