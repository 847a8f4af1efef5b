"""TensorRT's runtime as far as edged uses it, on the host: it computes nothing, and remembers what it was given."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from edged.engine.manifest import Manifest, Plan

CAPACITY, MAX_TOKENS = 32, 8


class Context:
    """Writes its run's last token and position where the logits are bound, and what it was given into `runs`."""

    def __init__(self, engine: Engine, options: Options) -> None:
        self.engine = engine
        self.options = options
        self.profile = -1
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.working = (0, 0)

    def set_optimization_profile_async(self, profile: int, stream: int) -> bool:
        self.profile = profile
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert name in self.engine.tensors and not name.startswith(("past", "present", "logits.", "embeddings."))
        self.shapes[name] = shape
        return self.engine.accepts_shapes

    def set_tensor_address(self, name: str, address: int) -> bool:
        assert name in self.engine.tensors
        self.addresses[name] = address
        return True

    def set_device_memory(self, address: int, size: int) -> None:
        self.working = (address, size)

    def update_device_memory_size_for_shapes(self) -> int:
        return 1000 * next(iter(self.shapes.values()))[0]

    def at(self, name: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        kind = KINDS[self.engine.tensors[name][0]]
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        return np.frombuffer((ctypes.c_char * size).from_address(self.addresses[name]), kind).reshape(shape)

    def execute_async_v3(self, stream: int) -> bool:
        assert set(self.addresses) == set(self.engine.tensors), "everything is bound"
        self.engine.contexts_run.append(self)
        if "patches" in self.shapes:
            patches = self.at("patches", self.shapes["patches"])
            rows = len(patches) // 4
            self.at("embeddings", (rows, self.engine.tensors["embeddings"][1][1]))[:] = patches[::4, :1] + rows
            return self.engine.succeeds
        if "mel" in self.shapes or "pixels" in self.shapes:
            sides = [shape[0] for name, shape in self.shapes.items() if name.endswith("weights")]
            rows = int(np.prod(sides)) // 4 if sides else self.shapes["mel"][2] // 8
            self.at("embeddings", (rows, self.engine.tensors["embeddings"][1][1]))[:] = np.arange(rows)[:, None]
            return self.engine.succeeds
        count = self.shapes["input_ids"][1]
        tokens = self.at("input_ids", (count,)).tolist()
        last, index = int(self.at("seqlens_k", (1,))[0]), int(self.at("logits_index", (1,))[0])
        run = {"profile": self.profile, "tokens": tokens, "last": last, "cache": self.addresses["present.0.key"]}
        if "position_ids" in self.shapes:
            run["positions"] = self.at("position_ids", (3, count)).tolist()
            run["embeddings"] = self.at("embeddings", self.shapes["embeddings"])[0, :, 0].tolist()
        if "token_types" in self.shapes:
            run["types"] = self.at("token_types", (count,)).tolist()
        self.engine.runs.append(run)
        self.at("logits", (2,))[:] = (tokens[index], last)
        return self.engine.succeeds


class Options:
    """Of a context, as TensorRT-RTX has them."""

    strategy = ""
    dynamic_shapes_kernel_specialization_strategy = "lazy"
    cache: object = None

    def set_execution_context_allocation_strategy(self, strategy: str) -> None:
        self.strategy = strategy

    def create_runtime_cache(self) -> object:
        return object()

    def set_runtime_cache(self, cache: object) -> None:
        self.cache = cache


KINDS = {"HALF": np.float16, "FLOAT": np.float32, "INT32": np.int32, "INT64": np.int64}


class Engine:
    """Inputs and outputs as the plans have them that `engines compile` makes."""

    device_memory_size_v2 = 12345
    num_optimization_profiles = 2

    def __init__(self, tensors: dict[str, tuple[str, tuple[int, ...]]], *, aliased: bool = True) -> None:
        self.tensors = tensors
        self.aliased = aliased
        self.runs: list[dict[str, Any]] = []
        self.contexts_run: list[Context] = []
        self.succeeds = True
        self.accepts_shapes = True

    @property
    def num_io_tensors(self) -> int:
        return len(self.tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_dtype(self, name: str) -> Any:
        return SimpleNamespace(name=self.tensors[name][0])

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name][1]

    def create_runtime_config(self) -> Options:
        return Options()

    def create_execution_context(self, options: Options) -> Context:
        return Context(self, options)

    def get_aliased_input_tensor(self, name: str) -> str | None:
        return name.replace("present", "past_key_values") if self.aliased else None


def text_tensors(manifest: Manifest, capacity: int = CAPACITY) -> dict[str, tuple[str, tuple[int, ...]]]:
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {
        "input_ids": ("INT64", (1, -1)),
        "logits_index": ("INT64", (-1,)),
        "seqlens_k": ("INT32", (1,)),
    }
    if manifest.graph.mrope:
        tensors["position_ids"] = ("INT64", (3, -1))
    if manifest.graph.embeddings:
        tensors["embeddings"] = ("HALF", (1, -1, manifest.hidden_size))
    if manifest.graph.adapters:
        tensors["token_types"] = ("INT64", (1, -1))
    for layer in range(manifest.layers):
        for name in (f"{side}.{layer}.{part}" for side in ("past_key_values", "present") for part in ("key", "value")):
            tensors[name] = ("HALF", (1, manifest.kv_heads, capacity, manifest.head_dim))
    return tensors | {"logits": ("HALF", (1, -1, manifest.vocab_size))}


class Recording:
    """A stream that does everything at once."""

    handle = 7

    def __init__(self) -> None:
        self.recorded = 0

    def wait(self) -> None:
        """Nothing is under way."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        self.recorded += 1
        return work


class Logger:
    Severity = SimpleNamespace(ERROR=1)


def runtime(engine: Engine | None) -> Any:
    def loading(log: Any) -> Any:
        log.log(1, "the header\nis strange")
        log.log(2, "by the way")
        return SimpleNamespace(deserialize_cuda_engine=lambda data: engine)

    return SimpleNamespace(
        __name__="tensorrt_rtx_bindings",
        __version__="1.7",
        ILogger=Logger,
        Runtime=loading,
        ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="user"),
        DynamicShapesKernelSpecializationStrategy=SimpleNamespace(EAGER="eager"),
    )


PLAN = Plan(
    file="text.sm89.plan",
    part="text",
    builder="tensorrt_rtx 1.7",
    target="sm89",
    capacity=CAPACITY,
    max_tokens=MAX_TOKENS,
)
