"""A TensorRT plan in a GPU's memory: what the text session and the vision session share of TensorRT's interface."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from edged.engine.buffer import Buffer
from edged.engine.manifest import Manifest, Plan
from edged.engine.tensorrt_module import builder_of, error_log
from edged.errors import ArtefactError, DeviceUnavailable, EdgedError

FREE = -1
"""Extent of an axis that differs between runs."""
_TYPES: Mapping[np.dtype[Any], str] = {
    np.dtype(np.float16): "HALF",
    np.dtype(np.float32): "FLOAT",
    np.dtype(np.int32): "INT32",
    np.dtype(np.int64): "INT64",
}


class Stream(Protocol):
    """Where the GPU's work is put in order."""

    handle: int

    def wait(self) -> None:
        """Until all that was asked for is done."""
        ...

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """What `work` asks of this stream, as one call that asks it again."""
        ...


@dataclass(frozen=True, slots=True)
class Bound:
    """What an input or output of a plan has to be."""

    dtype: DTypeLike
    shape: tuple[int, ...]


def plan_for(folder: Path, manifest: Manifest, part: str, capability: str, load: Callable[[], Any]) -> Plan:
    """The part's plan for this GPU and the TensorRT that `load` gives, which is called only where there is a plan.

    Raises DeviceUnavailable with the command that makes it, and what `load` raises.
    """
    command = f"python -m engines compile {shlex.quote(str(folder))} --target {capability}"
    plans = [plan for plan in manifest.plans if plan.part == part]
    fitting = [plan for plan in plans if plan.target == capability]
    if not fitting:
        others = f" (only for {', '.join(sorted({plan.target for plan in plans}))})" if plans else ""
        raise DeviceUnavailable(
            f"{manifest.name} has no TensorRT plan of its {part} part for this GPU, {capability}{others}: {command}"
        )
    plan = fitting[-1]
    if plan.builder != (here := builder_of(load())):
        raise DeviceUnavailable(f"{plan.file} was built by {plan.builder}, here is {here}: {command}")
    return plan


class LoadedPlan:
    """One plan on one stream. Contexts bring no working memory of their own: they run one after the other."""

    def __init__(self, folder: Path, plan: Plan, *, trt: Any, stream: Stream, bound: Mapping[str, Bound]) -> None:
        """bound: all inputs and outputs by name. Raises ArtefactError where TensorRT refuses the plan or it differs."""
        self.plan, self.stream = plan, stream
        self._trt, self._log = trt, error_log(trt)
        self._runtime = trt.Runtime(self._log)
        path = folder / plan.file
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        remedy = f"python -m engines compile {shlex.quote(str(folder))} --target {plan.target}"
        if self._engine is None:
            raise ArtefactError(f"{path}: TensorRT cannot load it: {self._log.reason()}: {remedy}")
        if difference := self._difference(bound):
            raise ArtefactError(f"{path}: {difference}: {remedy}")
        self._kernels: Any = None

    @property
    def working_bytes(self) -> int:
        """Working memory that is enough for every run."""
        return int(self._engine.device_memory_size_v2)

    def context(self, profile: int, *, fixed: bool) -> Any:
        """For runs of that profile; fixed: of one size only, whose kernels are then made for it before the first run.

        TensorRT-RTX compiles kernels on the device. By default it does so in the background, and a CUDA graph would
        keep the slower ones that it begins with. What was compiled serves all contexts.
        """
        managed = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if hasattr(self._trt, "DynamicShapesKernelSpecializationStrategy"):
            options = self._engine.create_runtime_config()
            options.set_execution_context_allocation_strategy(managed)
            self._kernels = self._kernels or options.create_runtime_cache()
            options.set_runtime_cache(self._kernels)
            if fixed:
                eager = self._trt.DynamicShapesKernelSpecializationStrategy.EAGER
                options.dynamic_shapes_kernel_specialization_strategy = eager
            context = self._engine.create_execution_context(options)
        else:
            context = self._engine.create_execution_context(managed)
        if context is None or not context.set_optimization_profile_async(profile, self.stream.handle):
            raise EdgedError(f"TensorRT cannot prepare {self.plan.file}: {self._log.reason()}")
        self.stream.wait()
        return context

    def shape(self, context: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Tell the sizes of the next run's inputs."""
        for name, shape in shapes.items():
            self._require(context.set_input_shape(name, shape))

    def bytes_for_shapes(self, context: Any) -> int:
        """Working memory for a run of the sizes that `shape` was told."""
        return int(context.update_device_memory_size_for_shapes())

    def bind(self, context: Any, addresses: Mapping[str, int], working: Buffer) -> None:
        """Tell where inputs, outputs and working memory are."""
        context.set_device_memory(working.pointer, working.shape[0])
        for name, address in addresses.items():
            self._require(context.set_tensor_address(name, address))

    def enqueue(self, context: Any) -> None:
        """Ask for a run; it is done once the stream is."""
        self._require(context.execute_async_v3(self.stream.handle))

    def _require(self, done: bool) -> None:
        if not done:
            raise EdgedError(f"TensorRT failed in {self.plan.file}: {self._log.reason()}")

    def _difference(self, bound: Mapping[str, Bound]) -> str:
        """What of the plan is not as expected, or empty."""
        engine = self._engine
        names = {engine.get_tensor_name(index) for index in range(engine.num_io_tensors)}
        if names != set(bound):
            return f"has not the inputs and outputs that the manifest says ({min(names ^ set(bound))[:60]!a})"
        for name, wanted in bound.items():
            kind, shape = engine.get_tensor_dtype(name).name, tuple(engine.get_tensor_shape(name))
            fits = len(shape) == len(wanted.shape) and all(
                FREE in (size, most) or size == most for size, most in zip(shape, wanted.shape, strict=True)
            )
            if kind != _TYPES[np.dtype(wanted.dtype)] or not fits:
                return f"{name} is {kind} {list(shape)}, not what the manifest says"
            if name.startswith("present.") and hasattr(engine, "get_aliased_input_tensor"):
                past = name.replace("present.", "past_key_values.", 1)
                if engine.get_aliased_input_tensor(name) != past:
                    return f"{name} is not written in place"
        return ""
