"""Small graphs and orders for TensorRT's builder, and what it makes of a graph before it builds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from edged.engine.tensorrt_module import error_log, load_tensorrt
from engines.tensorrt import builder
from engines.tensorrt.builder import PlanOrder

CONTEXT, MAX_TOKENS = 128, 64


def plan_order(graph: Path, target: str = "sm89") -> PlanOrder:
    """A text plan with the profiles of `engines compile`."""
    one = (1, 1, 1)
    profiles = [{"tokens": one, "positions": one}, {"tokens": (1, MAX_TOKENS, MAX_TOKENS), "positions": one}]
    return PlanOrder(graph=graph, profiles=profiles, target=target, workspace_bytes=None, title="tiny")


def constants(graph: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Names and sizes of the constants of TensorRT's network: integers, and what is not dequantized.

    Fails where an integer constant leads anywhere but to a DequantizeLinear.
    """
    trt = load_tensorrt()
    log = error_log(trt, ignored="cudaError")
    network = builder._parsed(trt, trt.Builder(log), plan_order(graph), log)
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    made = {layer.get_output(0).name: layer.get_output(0) for layer in layers if layer.type == trt.LayerType.CONSTANT}
    sizes = {name: int(np.prod(list(tensor.shape))) for name, tensor in made.items()}
    integers = {name for name, tensor in made.items() if tensor.dtype in (trt.DataType.INT4, trt.DataType.INT8)}
    assert {made[name].dtype for name in integers} in ({trt.DataType.INT4}, {trt.DataType.INT8})
    dequantized: set[str] = set()
    for layer in layers:
        read = {layer.get_input(index).name for index in range(layer.num_inputs) if layer.get_input(index) is not None}
        if layer.type == trt.LayerType.DEQUANTIZE:
            dequantized |= read
        else:
            assert not read & integers, f"{layer.name} reads integers"
    assert integers <= dequantized
    return (
        {name: size for name, size in sizes.items() if name in integers},
        {name: size for name, size in sizes.items() if name not in dequantized},
    )


def products(path: Path, width: int) -> Path:
    """Four square INT4 products."""
    random = np.random.default_rng(0)
    nodes, weights, x = [], [], "x"
    for number in range(4):
        codes = random.integers(0, 256, width * width // 2, np.uint8)
        scale = random.uniform(0.001, 0.01, (width // 32, width)).astype(np.float16)
        weights.append(helper.make_tensor(f"q{number}", TensorProto.INT4, [width, width], codes.tobytes(), raw=True))
        weights.append(onnx.numpy_helper.from_array(scale, f"s{number}"))
        nodes.append(
            helper.make_node("DequantizeLinear", [f"q{number}", f"s{number}"], [f"w{number}"], axis=0, block_size=32)
        )
        nodes.append(helper.make_node("MatMul", [x, f"w{number}"], [f"y{number}"]))
        x = f"y{number}"
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT16, [1, "tokens", width]) for name in ("x", x)]
    graph = helper.make_graph(nodes, "products", values[:1], values[1:], weights)
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=11).SerializeToString()
    )
    return path
