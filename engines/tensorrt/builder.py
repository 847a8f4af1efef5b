"""One graph through TensorRT's builder: parsed, checked, given its profiles, and written as a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tqdm import tqdm

from edged.engine.tensorrt_module import error_log
from edged.errors import ArtefactError, EdgedError, InvalidInput

Sizes = tuple[int, int, int]
"""Least, usual and most of a free dimension."""
Profile = Mapping[str, Sizes]
"""By the name of the free dimension in the graph."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOrder:
    """What to build."""

    graph: Path
    """An ONNX file, its weights beside it."""
    profiles: Sequence[Profile]
    target: str
    """Compute capability, e.g. "sm89"."""
    workspace_bytes: int | None
    """Most that a kernel may take of the GPU for itself; None is TensorRT's own limit."""
    title: str


def build_plan(trt: Any, order: PlanOrder, plan: Path) -> None:
    """Write the plan. Raises ArtefactError or EdgedError in one line with what TensorRT says."""
    log = error_log(trt, ignored="cudaError")  # builds need no driver
    builder = trt.Builder(log)
    network = _parsed(trt, builder, order, log)
    config = _config(trt, builder, network, order)
    with plan.open("wb") as file, tqdm(desc=order.title, unit="step", leave=False, disable=None) as bar:
        progress = _progress(trt, bar)
        writer = _writer(trt, file)
        config.progress_monitor = progress
        done = builder.build_serialized_network_to_stream(network, config, writer)
        config.progress_monitor = None  # the configuration may outlive it
    if writer.error is not None:
        raise writer.error
    if not done:
        raise EdgedError(f"TensorRT cannot build {order.graph.name} for {order.target}: {log.reason()}")


def _parsed(trt: Any, builder: Any, order: PlanOrder, log: Any) -> Any:
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(order.graph)):
        error = parser.get_error(0) if parser.num_errors else None
        where = f"operator {error.node_operator()} ({error.node_name()}): {_line(error.desc())}" if error else ""
        raise ArtefactError(f"{order.graph.name}: TensorRT cannot read it: {where or log.reason()}")
    for layer in (network.get_layer(index) for index in range(network.num_layers)):
        if layer.type == trt.LayerType.ATTENTION_OUTPUT:
            layer.__class__ = trt.IAttentionOutputLayer  # get_layer knows the base class only
            layer.attention.decomposable = True  # into single steps, for shapes that no kernel is made for
    return network


def _config(trt: Any, builder: Any, network: Any, order: PlanOrder) -> Any:
    config = builder.create_builder_config()
    if hasattr(config, "set_compute_capability"):
        config.num_compute_capabilities = 1
        config.set_compute_capability(trt.ComputeCapability.__members__[order.target.upper()], 0)
    if order.workspace_bytes is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, order.workspace_bytes)
    for sizes in order.profiles:
        profile = builder.create_optimization_profile()
        for index in range(network.num_inputs):
            tensor = network.get_input(index)
            shape = list(tensor.shape)
            if -1 in shape:
                profile.set_shape(tensor.name, *(_fixed(tensor, shape, sizes, which) for which in range(3)))
        if config.add_optimization_profile(profile) < 0:
            raise InvalidInput(f"TensorRT refuses the sizes {dict(sizes)} for {order.graph.name}")
    return config


def _fixed(tensor: Any, shape: Sequence[int], sizes: Profile, which: int) -> tuple[int, ...]:
    names = [tensor.get_dimension_name(axis) for axis in range(len(shape))]
    return tuple(sizes[name][which] if size < 0 else size for name, size in zip(names, shape, strict=True))


def _progress(trt: Any, bar: tqdm[Any]) -> Any:
    class Progress(trt.IProgressMonitor):  # type: ignore[misc]
        """Shows the phase; TensorRT calls it from several threads."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            bar.set_postfix_str(name)

        def phase_finish(self, name: str) -> None:
            bar.update()

        def step_complete(self, name: str, step: int) -> bool:
            return True

    return Progress()


def _writer(trt: Any, file: BinaryIO) -> Any:
    class Writer(trt.IStreamWriter):  # type: ignore[misc]
        """Writes as it comes: the plan is never in memory a second time."""

        def __init__(self) -> None:
            trt.IStreamWriter.__init__(self)
            self.error: OSError | None = None

        def write(self, data: bytes) -> int:
            try:
                return file.write(data)
            except OSError as exc:
                self.error = exc
                return 0

    return Writer()


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
