"""Keys and values of one sequence, and the bindings through which graphs read and write them in place.

Past and present are the same memory: attention appends to it. Everything a decode step needs is bound once
per sequence, so that a step writes a few numbers and calls the runtime. On a GPU the first step of a
sequence is recorded as a CUDA graph, which the later ones replay: every address stays what it was. ONNX Runtime's
CUDA provider never forgets a recorded step (up to 1.31 its `release_captured_graph` does nothing), so sequences that
come later take over the memory of those that went, and the recorded step with it.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence

import numpy as np
import onnxruntime
from numpy.typing import DTypeLike, NDArray

from edged.engine.buffer import Buffer, Host, HostBuffer
from edged.engine.cuda import pinned
from edged.engine.onnx_stage import HIDDEN_IN, HIDDEN_OUT, MEDIA_IN, ROUTER_LOGITS, TYPES_IN, OnnxStage
from edged.engine.session import Logits

NO_GRAPH = -1
"""As gpu_graph_id: this run neither records nor replays a CUDA graph."""
_TOKEN, _PLACES, _BEFORE, _NUMBERS = 0, 4, 8, 9
"""Where a decode step finds its token, that token's position in three axes and how many came before it, in one buffer:
a GPU takes as long to be given one number as to be given nine. Each begins where kernels may read 32 bytes at once."""


class OnnxMemory:
    """One sequence in every stage of the model."""

    def __init__(self, parts: list[StageMemory]) -> None:
        self.parts = parts


class OnnxMemories:
    """Gives out memories of one session."""

    def __init__(self, stages: Sequence[OnnxStage], capacity: int, *, keep: bool) -> None:
        """keep: what a sequence leaves goes to the next one instead of back to the device."""
        self._stages, self._capacity, self._keep = stages, capacity, keep
        self._left: list[list[StageMemory]] = []

    def allocate(self) -> OnnxMemory:
        """One that nobody has. Raises Unavailable when a device has no room."""
        memory = OnnxMemory(self._left.pop() if self._left else self._new())
        if self._keep:
            weakref.finalize(memory, self._left.append, memory.parts).atexit = False
        return memory

    def _new(self) -> list[StageMemory]:
        parts: list[StageMemory] = []
        for stage in self._stages:
            parts.append(StageMemory(stage, self._capacity, parts[-1] if parts else None))
        return parts


class StageMemory:
    """One sequence in one stage: its cache on the stage's device, and what is bound to it."""

    def __init__(self, stage: OnnxStage, capacity: int, before: StageMemory | None) -> None:
        """`before`: the same sequence in the stage whose hidden states this one takes."""
        self.stage = stage
        self.cache: Buffer = stage.device.zeros(stage.cache_shape(capacity), stage.activations)
        """Key and value of each layer in turn.  # (2 * layers, kv_heads, capacity, head_dim)"""
        self._seqlens_k: Buffer = stage.device.zeros((1,), np.int32)
        self._numbers: Buffer = stage.device.zeros((_NUMBERS,), np.int64)
        total_shape = (1,) * len(stage.inputs["total_sequence_length"].shape)
        self._total = Host().zeros(total_shape, np.int32)
        self._prefill_options: onnxruntime.RunOptions | None = None
        self._decode_options: onnxruntime.RunOptions | None = None
        self._decode_total = self._total
        if stage.device.kind == "cuda":
            self._decode_total = Host().zeros(total_shape, np.int32)
            self._record_steps(capacity)
        self._prefill = self._bind_cache(self._total)
        _bind_input(self._prefill, "seqlens_k", self._seqlens_k, self.stage)
        self._decode = self._bind_cache(self._decode_total)
        self._bind_number("seqlens_k", _BEFORE, (1,), np.int32)  # the lower half of it
        self._fixed: dict[str, Buffer] = {}
        """Inputs and outputs of a decode step, by name."""
        self._handed_over: Buffer | None = None
        """Where the stage before leaves hidden states, if this one cannot read them there."""
        self._bind_step(before)

    def _record_steps(self, capacity: int) -> None:
        """Have decode steps recorded under a name of this memory's own.

        A recorded step keeps the total length it saw: attention takes the true one from seqlens_k, which
        is on the device, and splits its work as for a full cache.
        """
        self._prefill_options = _run_options(NO_GRAPH)
        self._decode_options = _run_options(self.stage.next_graph_id())
        self._decode_total.write(capacity)

    def _bind_cache(self, total: HostBuffer) -> onnxruntime.IOBinding:
        binding = self.stage.session.io_binding()
        _bind_input(binding, "total_sequence_length", total)
        shape = (1, *self.cache.shape[1:])
        tensor_bytes = math.prod(shape) * self.cache.dtype.itemsize
        for place, name in enumerate(self.stage.layers.caches):
            where = (*self.stage.place, self.cache.dtype.type, shape, self.cache.pointer + place * tensor_bytes)
            binding.bind_input(f"past_key_values.{name}", *where)
            binding.bind_output(f"present.{name}", *where)
        return binding

    def _bind_step(self, before: StageMemory | None) -> None:
        stage = self.stage
        hidden = (1, 1, stage.manifest.hidden_size)
        if before is None:
            self._bind_number("input_ids", _TOKEN, (1, 1), np.int64)
        elif stage.device == before.stage.device:
            self._fixed[HIDDEN_IN] = before._fixed[HIDDEN_OUT]
        else:
            self._fix(HIDDEN_IN, hidden, stage.activations)
            self._handed_over = before._fixed[HIDDEN_OUT]
        if "position_ids" in stage.inputs:
            self._bind_number("position_ids", _PLACES, (3, 1), np.int64)
        if TYPES_IN in stage.inputs:  # what is decoded is text, which is 0
            self._fix(TYPES_IN, (1, 1), np.int64)
        if MEDIA_IN in stage.inputs:  # at an address, though nothing is read there
            self._bind_number(MEDIA_IN, _TOKEN, (0,), np.int64)
        if "embeddings" in stage.inputs:
            self._fix("embeddings", hidden, stage.activations)
        if stage.load is not None:
            layers, experts = stage.load.counts.shape
            self._router = self._host_copy(self._fix(ROUTER_LOGITS, (layers, 1, experts), np.float32))
        if stage.layers.is_last:
            self._fix("logits_index", (1,), np.int64)
            logits = self._fix("logits", (1, 1, stage.manifest.vocab_size), np.float32)
            self._logits = self._host_copy(logits)
        else:
            self._fix(HIDDEN_OUT, hidden, stage.activations)
        for name, buffer in self._fixed.items():
            bind = _bind_input if name in stage.inputs else _bind_output
            bind(self._decode, name, buffer, stage)

    def _bind_number(self, name: str, place: int, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        where = self._numbers.pointer + place * self._numbers.dtype.itemsize
        self._decode.bind_input(name, *self.stage.place, np.dtype(dtype).type, shape, where)

    def _fix(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Buffer:
        self._fixed[name] = self.stage.device.zeros(shape, dtype)
        return self._fixed[name]

    def _host_copy(self, buffer: Buffer) -> NDArray[np.float32]:
        """Where the host reads what a decode step has written there."""
        return buffer.array if isinstance(buffer, HostBuffer) else pinned(buffer.shape, buffer.dtype)

    def decode(self, position: int, token: int, shift: int) -> None:
        """Compute one token, or what the stage before made of it."""
        place = position + shift
        self._numbers.write(np.array([token, 0, 0, 0, place, place, place, 0, position]))
        if self._decode_total is self._total:
            self._total.write(position + 1)
        if self._handed_over is not None:
            self._fixed[HIDDEN_IN].copy(self._handed_over)
        self.stage.session.run_with_iobinding(self._decode, self._decode_options)
        if self.stage.load is not None:
            if not isinstance(scores := self._fixed[ROUTER_LOGITS], HostBuffer):
                scores.read(self._router)
            self.stage.load.add(self._router)

    def logits(self) -> Logits:
        """Of the last decode, overwritten by the next one.  # (vocab_size,)"""
        scores = self._fixed["logits"]
        if not isinstance(scores, HostBuffer):
            scores.read(self._logits)
        return self._logits.reshape(-1)

    def prefill(
        self, position: int, count: int, inputs: dict[str, onnxruntime.OrtValue], result: onnxruntime.OrtValue
    ) -> None:
        """Compute `count` tokens from `position` on into `result`: logits, or hidden states for the next stage.

        Inputs that this stage does not have are left out; those on another device are copied here.
        """
        self._seqlens_k.write(position + count - 1)
        self._total.write(position + count)
        for name, value in inputs.items():
            if name in self.stage.inputs:
                self._prefill.bind_ortvalue_input(name, value)
        self._prefill.bind_ortvalue_output("logits" if self.stage.layers.is_last else HIDDEN_OUT, result)
        load = self.stage.load
        scores = np.empty((load.counts.shape[0], count, load.counts.shape[1]) if load else 0, np.float32)
        if load:
            self._prefill.bind_ortvalue_output(ROUTER_LOGITS, onnxruntime.OrtValue.ortvalue_from_numpy(scores))
        self.stage.session.run_with_iobinding(self._prefill, self._prefill_options)
        if load:
            load.add(scores)


def _bind_input(binding: onnxruntime.IOBinding, name: str, buffer: Buffer, stage: OnnxStage | None = None) -> None:
    """Let the graph read this buffer; the memory that bound it keeps it alive. Without a stage it is the host's."""
    place = stage.place if stage else ("cpu", 0)
    binding.bind_input(name, *place, buffer.dtype.type, buffer.shape, buffer.pointer)


def _bind_output(binding: onnxruntime.IOBinding, name: str, buffer: Buffer, stage: OnnxStage) -> None:
    """Let the graph write into this buffer; the memory that bound it keeps it alive."""
    binding.bind_output(name, *stage.place, buffer.dtype.type, buffer.shape, buffer.pointer)


def _run_options(graph_id: int) -> onnxruntime.RunOptions:
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(graph_id))
    return options
