"""The model on the CPU through ONNX Runtime, with keys and values bound in place.

Past and present are the same memory: the graph's attention appends to it. Everything a decode step
needs is bound once per sequence, so that a step writes three numbers and calls the runtime.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edged.engine.manifest import Manifest
from edged.engine.session import Logits, Sight
from edged.errors import ArtefactError


class OnnxMemory:
    """Keys and values of one sequence, and the bindings that point at them."""

    def __init__(self, session: onnxruntime.InferenceSession, manifest: Manifest, capacity: int) -> None:
        shape = (1, manifest.kv_heads, capacity, manifest.head_dim)
        self.arrays = _lazy_arrays(2 * manifest.layers, shape)
        """Key and value of each layer in turn, each (1, kv_heads, capacity, head_dim)."""
        self._token = np.zeros((1, 1), dtype=np.int64)
        self._seqlens_k = np.zeros(1, dtype=np.int32)
        self._total = np.zeros(_shape_of(session, "total_sequence_length"), dtype=np.int32)
        self.logits = np.zeros(manifest.vocab_size, dtype=np.float32)
        self.decode_binding = self._bind_fixed(session)
        self.prefill_binding = self._bind_fixed(session)
        bind_input(self.decode_binding, "input_ids", self._token)
        bind_input(self.decode_binding, "logits_index", np.zeros(1, dtype=np.int64))
        bind_output(self.decode_binding, "logits", self.logits.reshape(1, 1, -1))

    def place(self, position: int, tokens: int) -> None:
        """Tell the graph that `tokens` tokens follow `position` earlier ones."""
        self._seqlens_k[0] = position + tokens - 1
        self._total[...] = position + tokens

    def set_token(self, token: int) -> None:
        """The next decode's input."""
        self._token[0, 0] = token

    def _bind_fixed(self, session: onnxruntime.InferenceSession) -> onnxruntime.IOBinding:
        binding = session.io_binding()
        bind_input(binding, "seqlens_k", self._seqlens_k)
        bind_input(binding, "total_sequence_length", self._total)
        for index, array in enumerate(self.arrays):
            name = f"{index // 2}.{'value' if index % 2 else 'key'}"
            bind_input(binding, f"past_key_values.{name}", array)
            bind_output(binding, f"present.{name}", array)
        return binding


class OnnxSession:
    """Satisfies `Session[OnnxMemory]`."""

    def __init__(self, folder: Path, manifest: Manifest, *, max_seq_len: int, threads: int) -> None:
        """Load the graph. threads = 0 takes the cores that this process may use.

        Raises ArtefactError naming the file when the graph cannot be loaded or is not what the manifest says.
        """
        self._manifest = manifest
        self._capacity = min(max_seq_len, manifest.context_length)
        self._threads = threads or usable_cores()
        path = folder / manifest.graph.stages[0].file
        onnxruntime.disable_telemetry_events()
        try:
            self._session = onnxruntime.InferenceSession(
                path, _options(self._threads), providers=["CPUExecutionProvider"]
            )
        except Exception as exc:  # the runtime's errors share no base class
            raise ArtefactError(f"{path}: ONNX Runtime cannot load it: {_first_line(exc)}") from exc
        _check_signature(self._session, manifest, path)

    @property
    def capacity(self) -> int:
        """See Session."""
        return self._capacity

    @property
    def device(self) -> str:
        """See Session."""
        return f"onnxruntime CPU, {self._threads} thread{'s' if self._threads > 1 else ''}"

    def allocate(self) -> OnnxMemory:
        """See Session."""
        return OnnxMemory(self._session, self._manifest, self._capacity)

    def copy_prefix(self, source: OnnxMemory, target: OnnxMemory, length: int) -> None:
        """See Session."""
        for old, new in zip(source.arrays, target.arrays, strict=True):
            new[:, :, :length] = old[:, :, :length]

    def prefill(
        self,
        memory: OnnxMemory,
        position: int,
        tokens: Sequence[int],
        logits_index: Sequence[int] = (-1,),
        sight: Sight | None = None,
    ) -> Logits:
        """See Session."""
        count = len(tokens)
        memory.place(position, count)
        index = np.array([place % count for place in logits_index], dtype=np.int64)
        logits = np.empty((1, len(index), self._manifest.vocab_size), dtype=np.float32)
        binding = memory.prefill_binding
        bind_input(binding, "input_ids", np.array([tokens], dtype=np.int64))
        bind_input(binding, "logits_index", index)
        bind_output(binding, "logits", logits)
        self._session.run_with_iobinding(binding)
        return logits.reshape(len(index), -1)

    def decode(self, memory: OnnxMemory, position: int, token: int, shift: int = 0) -> Logits:
        """See Session."""
        memory.place(position, 1)
        memory.set_token(token)
        self._session.run_with_iobinding(memory.decode_binding)
        return memory.logits


def bind_input(binding: onnxruntime.IOBinding, name: str, array: NDArray[np.generic]) -> None:
    """Let the graph read this array's own memory; the binding keeps it alive."""
    binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))


def bind_output(binding: onnxruntime.IOBinding, name: str, array: NDArray[np.generic]) -> None:
    """Let the graph write into this array's own memory; the binding keeps it alive."""
    binding.bind_ortvalue_output(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))


def usable_cores() -> int:
    """Cores that the scheduler and the control group leave to this process."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3  # errors only
    return options


def _lazy_arrays(count: int, shape: tuple[int, ...]) -> list[NDArray[np.float32]]:
    """Arrays over one private mapping, which costs memory only where it is written.

    A mapping instead of np.empty: malloc may hand out (and keep) used heap, and huge pages would
    commit two megabytes for the first token of every head.
    """
    size = int(np.prod(shape))
    mapping = mmap.mmap(-1, count * size * 4, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        mapping.madvise(mmap.MADV_NOHUGEPAGE)
    return list(np.frombuffer(mapping, dtype=np.float32).reshape(count, *shape))


def _shape_of(session: onnxruntime.InferenceSession, name: str) -> tuple[int, ...]:
    shape = next(node.shape for node in session.get_inputs() if node.name == name)
    return (1,) * len(shape)


def _check_signature(session: onnxruntime.InferenceSession, manifest: Manifest, path: Path) -> None:
    """Whether the graph has the inputs and outputs that the manifest implies."""
    layers = [f"{layer}.{part}" for layer in range(manifest.layers) for part in ("key", "value")]
    inputs = {node.name: node for node in session.get_inputs()}
    outputs = {node.name for node in session.get_outputs()}
    expected = {"input_ids", "seqlens_k", "total_sequence_length", "logits_index"}
    if expected | {f"past_key_values.{layer}" for layer in layers} != set(inputs):
        raise ArtefactError(f"{path}: its inputs are not those of {manifest.layers} layers")
    if {"logits"} | {f"present.{layer}" for layer in layers} != outputs:
        raise ArtefactError(f"{path}: its outputs are not those of {manifest.layers} layers")
    past = inputs["past_key_values.0.key"]
    heads, size = past.shape[1], past.shape[3]
    if past.type != "tensor(float)" or (heads, size) != (manifest.kv_heads, manifest.head_dim):
        raise ArtefactError(f"{path}: its cache is {past.type} of {heads} heads of {size}, unlike the manifest")


def _first_line(exc: Exception) -> str:
    return str(exc).partition("\n")[0][:300]
