"""TensorRT plans of a model of experts, really built without a GPU."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from plans import CONTEXT, constants, plan_order
from test_plans import DEQUANTIZED
from tiny_checkpoints import session
from tiny_phone import save_int4, tiny_phone
from variants import INT4

from edged.engine.tensorrt_module import load_tensorrt
from edged.errors import ArtefactError
from engines.checkpoint import open_checkpoint
from engines.graph.integer_weights import IntegerFormat, IntegerWeights
from engines.graph.standard import write_standard
from engines.quantize import Rounding
from engines.tensorrt.builder import build_plan
from engines.tensorrt.compile import TARGETS
from engines.tensorrt.lower import lower


def lowered(folder: Path, format_: IntegerFormat = INT4, **overrides: Any) -> Path:
    """What TensorRT is given of a tiny model."""
    checkpoint = open_checkpoint(save_int4(tiny_phone(**overrides), folder / "model"))
    session(checkpoint, folder / "engine", lambda file: IntegerWeights(file, format_))
    write_standard(folder / "engine" / "model.onnx", folder / "engine" / "standard.onnx")
    lower(folder / "engine" / "standard.onnx", folder / "engine" / "lowered.onnx", capacity=CONTEXT)
    return folder / "engine" / "lowered.onnx"


KERNEL = re.compile(rb"function=\{ name=(\w+) [^{}]*args=\{[^{}]*\} input_args=\{([^{}]*)\}")
STACK = re.compile(rb"layers\.\d+\.experts\.\w+\.q[\w.]*int4_constantInt4")


@pytest.mark.parametrize("target", TARGETS)
def test_kernels_that_read_experts_gather_them_and_sum(target: str, tmp_path: Path) -> None:
    """As a plan lists its kernels by what they compute: nothing dequantizes a stack as a whole, for no profile."""
    build_plan(load_tensorrt(), plan_order(lowered(tmp_path), target), tmp_path / "text.plan")
    plan = (tmp_path / "text.plan").read_bytes()
    assert not DEQUANTIZED.search(plan)
    readers = [(kernel, STACK.findall(inputs)) for kernel, inputs in KERNEL.findall(plan)]
    readers = [(kernel, stacks) for kernel, stacks in readers if stacks]
    assert sum(len(stacks) for _, stacks in readers) == 2 * 2 * 2, "two stacks, two layers, two profiles"
    for kernel, _ in readers:
        assert re.search(rb"Cast\w*Gath\w*MulSum$", kernel), kernel


def test_experts_are_4_bits_in_the_network_and_in_the_plan(tmp_path: Path) -> None:
    sizes, weights = [], []
    for experts in (8, 40):
        graph = lowered(tmp_path / str(experts), num_experts=experts, moe_intermediate_size=192)
        integers, others = constants(graph)
        stacks = [size for size in integers.values() if size in (experts * 2 * 192 * 64, experts * 192 * 64)]
        assert len(stacks) == 2 * 2, "gate and up are one, down the other, in two layers"
        assert max(others.values()) < min(stacks)
        build_plan(load_tensorrt(), plan_order(graph), tmp_path / "text.plan")
        sizes.append((tmp_path / "text.plan").stat().st_size)
        weights.append(sum(stacks))
    # Half a byte each, and a sixteenth for the scale of a block of 32.
    assert 0.5 < (sizes[1] - sizes[0]) / (weights[1] - weights[0]) < 0.7


def test_experts_of_8_bits_cannot_be_compiled(tmp_path: Path) -> None:
    wide = IntegerFormat(linear=Rounding(bits=8, block_size=32), minimum={}, embedding=INT4.embedding, head=INT4.head)
    with pytest.raises(ArtefactError, match="are not in 4 bits, which is all that can be compiled"):
        lowered(tmp_path, wide)
