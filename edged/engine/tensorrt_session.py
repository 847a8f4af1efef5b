"""The text model as a TensorRT plan: the same inputs, positions and cache as the ONNX session, through bindings alone.

Keys and values lie where they are bound: the plan appends to them in place. There is a profile for one token,
which is recorded as a CUDA graph for each sequence, and one for chunks of a prompt.

Not executed yet by anybody: the plans are built and their graph is computed on a CPU in tests, this module is
tested against a scripted runtime only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edged.engine.buffer import Array, Buffer, Device
from edged.engine.manifest import Manifest, Plan
from edged.engine.session import Logits, Sight
from edged.engine.tensorrt_module import builder_of
from edged.errors import ArtefactError, DeviceUnavailable, EdgedError

DECODE, PREFILL = 0, 1
"""Profiles, in the order `engines compile` gives them."""
_HALF = np.dtype(np.float16)


class Stream(Protocol):
    """Where the GPU's work is put in order."""

    handle: int

    def wait(self) -> None:
        """Until all that was asked for is done."""
        ...

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """What `work` asks of this stream, as one call that asks it again."""
        ...


def plan_for(folder: Path, manifest: Manifest, capability: str, load: Callable[[], Any]) -> Plan:
    """The text plan for this GPU and the TensorRT that `load` gives, which is called only where there is a plan.

    Raises DeviceUnavailable with the command that makes it, and what `load` raises.
    """
    command = f"python -m engines compile {folder} --target {capability}"
    plans = [plan for plan in manifest.plans if plan.part == "text"]
    fitting = [plan for plan in plans if plan.target == capability]
    if not fitting:
        others = f" (only for {', '.join(sorted({plan.target for plan in plans}))})" if plans else ""
        raise DeviceUnavailable(f"{manifest.name} has no TensorRT plan for this GPU, {capability}{others}: {command}")
    plan = fitting[-1]
    if plan.builder != (here := builder_of(load())):
        raise DeviceUnavailable(f"{plan.file} was built by {plan.builder}, here is {here}: {command}")
    return plan


class TensorRTMemory:
    """One sequence: its cache, and its own recorded decode step."""

    def __init__(self, manifest: Manifest, capacity: int, device: Device) -> None:
        shape = (2 * manifest.layers, manifest.kv_heads, capacity, manifest.head_dim)
        self.cache: Buffer = device.zeros(shape, _HALF)
        """Key and value of each layer in turn; zeros at first: masked places count 0 times, which NaN would survive."""
        self.step: Callable[[], None] | None = None
        """The decode step, once it is recorded."""

    def addresses(self) -> dict[str, int]:
        """Of each input and output of the cache: both are the same memory."""
        layer_bytes = int(np.prod(self.cache.shape[1:])) * _HALF.itemsize
        found = {}
        for index in range(self.cache.shape[0]):
            name = f"{index // 2}.{'value' if index % 2 else 'key'}"
            for side in ("past_key_values", "present"):
                found[f"{side}.{name}"] = self.cache.pointer + index * layer_bytes
        return found


class TensorRTSession:
    """Satisfies `Session[TensorRTMemory]`."""

    def __init__(
        self, folder: Path, manifest: Manifest, plan: Plan, *, trt: Any, device: Device, stream: Stream, title: str
    ) -> None:
        """title: the GPU's name. Raises ArtefactError naming the plan when TensorRT refuses it."""
        self._manifest, self._plan, self._device, self._stream, self._title = manifest, plan, device, stream, title
        self._log = _log(trt)
        self._runtime = trt.Runtime(self._log)
        path = folder / plan.file
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise ArtefactError(f"{path}: TensorRT cannot load it: {self._log.first_error()}")
        self._require_cache(path)
        self._contexts = [self._context(profile) for profile in (DECODE, PREFILL)]
        self._one = self._buffers(1)
        self._many = self._buffers(plan.max_tokens)
        self._one_logits = np.empty((1, 1, manifest.vocab_size), _HALF)

    @property
    def capacity(self) -> int:
        """See Session."""
        return self._plan.capacity

    @property
    def device(self) -> str:
        """See Session."""
        return f"{self._plan.builder} on {self._title}, decoding in CUDA graphs"

    def allocate(self) -> TensorRTMemory:
        """See Session. Raises Unavailable when the GPU has no room."""
        return TensorRTMemory(self._manifest, self.capacity, self._device)

    def committed_positions(self, tokens: int) -> int:
        """See Session."""
        return self.capacity

    def copy_prefix(self, source: TensorRTMemory, target: TensorRTMemory, length: int) -> None:
        """See Session."""
        target.cache.copy_prefix(source.cache, length)

    def prefill(
        self,
        memory: TensorRTMemory,
        position: int,
        tokens: Sequence[int],
        logits_index: Sequence[int] = (-1,),
        sight: Sight | None = None,
    ) -> Logits:
        """See Session. In chunks that the plan takes; one ends wherever scores are asked for."""
        count = len(tokens)
        asked = [place % count for place in logits_index]
        found: dict[int, Array] = {}
        start = 0
        for last in sorted({*asked, count - 1}):
            while start <= last:
                stop = min(start + self._plan.max_tokens, last + 1)
                part = None if sight is None else _part_of(sight, start, stop)
                found[stop - 1] = self._chunk(memory, position + start, tokens[start:stop], part)
                start = stop
        return np.stack([found[place] for place in asked]).astype(np.float32)

    def decode(self, memory: TensorRTMemory, position: int, token: int, shift: int = 0) -> Logits:
        """See Session."""
        one = self._one
        one["seqlens_k"].write(position)
        one["input_ids"].write(token)
        if "position_ids" in one:
            one["position_ids"].write(position + shift)
        if memory.step is None:
            self._bind(DECODE, memory, {name: buffer.shape for name, buffer in one.items()}, one)
            self._enqueue(DECODE)
            self._stream.wait()  # what TensorRT does at a first run must not be recorded
            memory.step = self._stream.record(lambda: self._enqueue(DECODE))
        else:
            memory.step()
            self._stream.wait()
        one["logits"].read(self._one_logits)
        return self._one_logits.reshape(-1).astype(np.float32)

    def _chunk(self, memory: TensorRTMemory, position: int, tokens: Sequence[int], sight: Sight | None) -> Array:
        """Scores after the last of these tokens.  # (vocab_size,)"""
        count, most, many = len(tokens), self._plan.max_tokens, self._many
        many["seqlens_k"].write(position + count - 1)
        many["input_ids"].write(_filled(np.array([tokens], np.int64), most))
        many["logits_index"].write(count - 1)
        shapes = {name: buffer.shape for name, buffer in many.items()} | {"input_ids": (1, count)}
        if "position_ids" in many:
            text = np.tile(np.arange(position, position + count), (3, 1))
            # Rows of a shorter input follow each other without a gap.
            many["position_ids"].write(_packed(text if sight is None else sight.positions, (3, most)))
            hidden = self._manifest.hidden_size
            rows = np.zeros((1, count, hidden)) if sight is None else sight.embeddings.reshape(1, count, hidden)
            many["embeddings"].write(_packed(rows, (1, most, hidden)))
            shapes |= {"position_ids": (3, count), "embeddings": (1, count, hidden)}
        self._bind(PREFILL, memory, shapes, many)
        self._enqueue(PREFILL)
        self._stream.wait()
        logits = np.empty((1, 1, self._manifest.vocab_size), _HALF)
        many["logits"].read(logits)
        return logits.reshape(-1)

    def _buffers(self, tokens: int) -> dict[str, Buffer]:
        """What a run of so many tokens reads and writes, besides the cache."""
        zeros, manifest = self._device.zeros, self._manifest
        buffers = {
            "input_ids": zeros((1, tokens), np.int64),
            "seqlens_k": zeros((1,), np.int32),
            "logits_index": zeros((1,), np.int64),
            "logits": zeros((1, 1, manifest.vocab_size), _HALF),
        }
        if manifest.graph.sees:
            buffers["position_ids"] = zeros((3, tokens), np.int64)
            buffers["embeddings"] = zeros((1, tokens, manifest.hidden_size), _HALF)
        return buffers

    def _context(self, profile: int) -> Any:
        context = self._engine.create_execution_context()
        if context is None or not context.set_optimization_profile_async(profile, self._stream.handle):
            raise EdgedError(f"TensorRT cannot prepare {self._plan.file}: {self._log.first_error()}")
        self._stream.wait()
        return context

    def _bind(
        self, profile: int, memory: TensorRTMemory, shapes: Mapping[str, tuple[int, ...]], buffers: Mapping[str, Buffer]
    ) -> None:
        context = self._contexts[profile]
        for name, shape in shapes.items():
            if name != "logits":
                context.set_input_shape(name, shape)
        addresses = memory.addresses() | {name: buffer.pointer for name, buffer in buffers.items()}
        for name, address in addresses.items():
            context.set_tensor_address(name, address)

    def _enqueue(self, profile: int) -> None:
        if not self._contexts[profile].execute_async_v3(self._stream.handle):
            raise EdgedError(f"TensorRT failed in {self._plan.file}: {self._log.first_error()}")

    def _require_cache(self, path: Path) -> None:
        """Whether the plan's cache is the manifest's, and updated where it lies."""
        manifest, engine = self._manifest, self._engine
        expected = (1, manifest.kv_heads, self._plan.capacity, manifest.head_dim)
        for layer in range(manifest.layers):
            for part in ("key", "value"):
                past, present = f"past_key_values.{layer}.{part}", f"present.{layer}.{part}"
                if tuple(engine.get_tensor_shape(past)) != expected:
                    raise ArtefactError(f"{path}: its cache {past} is not {list(expected)}, which the manifest says")
                if hasattr(engine, "get_aliased_input_tensor") and engine.get_aliased_input_tensor(present) != past:
                    raise ArtefactError(f"{path}: {present} is not written in place")


def _part_of(sight: Sight, start: int, stop: int) -> Sight:
    return Sight(positions=sight.positions[:, start:stop], embeddings=sight.embeddings[start:stop])


def _filled(values: Array, count: int) -> Array:
    """More columns of zeros."""
    return np.pad(values, ((0, 0), (0, count - values.shape[1])))


def _packed(values: Array, shape: tuple[int, ...]) -> Array:
    """The values one after the other at the start of an array of that shape."""
    flat = np.zeros(int(np.prod(shape)), values.dtype)
    flat[: values.size] = values.ravel()
    return flat.reshape(shape)


def _log(trt: Any) -> Any:
    class Log(trt.ILogger):  # type: ignore[misc]
        """Keeps errors for messages and prints nothing."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.ERROR:
                self.errors = [*self.errors[-9:], message]

        def first_error(self) -> str:
            return " ".join(self.errors[0].split())[:300] if self.errors else "it does not say why"

    return Log()
