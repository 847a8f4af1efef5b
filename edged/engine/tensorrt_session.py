"""The text model as a TensorRT plan: the same inputs, positions and cache as the ONNX session, through bindings alone.

Keys and values lie where they are bound: the plan appends to them in place. There is a profile for one token,
which is recorded as a CUDA graph for each sequence, and one for chunks of a prompt.

Not executed yet by anybody: the plans are built and their graph is computed on a CPU in tests, this module is
tested against a scripted runtime only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edged.engine.buffer import Array, Buffer, Device
from edged.engine.manifest import Manifest, Plan
from edged.engine.session import Logits, Sight
from edged.engine.tensorrt_plan import FREE, Bound, LoadedPlan, Stream

DECODE, PREFILL = 0, 1
"""Profiles, in the order `engines compile` gives them."""
_HALF = np.dtype(np.float16)


class TensorRTMemory:
    """One sequence: its cache, and its own recorded decode step."""

    def __init__(self, manifest: Manifest, capacity: int, device: Device) -> None:
        shape = (2 * manifest.layers, manifest.kv_heads, capacity, manifest.head_dim)
        self.cache: Buffer = device.zeros(shape, _HALF)
        """Key and value of each layer in turn; zeros at first: masked places count 0 times, which NaN would survive."""
        self.step: Callable[[], None] | None = None
        """The decode step, once it is recorded."""
        self.context: Any = None
        """What it was recorded from."""

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
        """title: the GPU's name. Raises ArtefactError naming the plan when TensorRT refuses it or it differs."""
        self._manifest, self._plan, self._device, self._stream, self._title = manifest, plan, device, stream, title
        self._loaded = LoadedPlan(folder, plan, trt=trt, stream=stream, bound=_bound(manifest, plan.capacity))
        self._working = device.zeros((self._loaded.working_bytes,), np.uint8)
        self._prefill = self._loaded.context(PREFILL, fixed=False)
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
            memory.step = self._recorded(memory)
        else:
            memory.step()
            self._stream.wait()
        one["logits"].read(self._one_logits)
        return self._one_logits.reshape(-1).astype(np.float32)

    def _recorded(self, memory: TensorRTMemory) -> Callable[[], None]:
        """Run the step that has been prepared, and record it for those that follow.

        In a context of its own: what is recorded is undefined once its context is given other addresses.
        """
        loaded = self._loaded
        context = loaded.context(DECODE, fixed=True)
        loaded.shape(context, {name: buffer.shape for name, buffer in self._one.items() if name != "logits"})
        loaded.bind(context, self._addresses(memory, self._one), self._working)
        loaded.enqueue(context)
        self._stream.wait()  # what TensorRT does at a first run must not be recorded
        memory.context = context
        return self._stream.record(lambda: loaded.enqueue(context))

    def _chunk(self, memory: TensorRTMemory, position: int, tokens: Sequence[int], sight: Sight | None) -> Array:
        """Scores after the last of these tokens.  # (vocab_size,)"""
        count, most, many = len(tokens), self._plan.max_tokens, self._many
        many["seqlens_k"].write(position + count - 1)
        many["input_ids"].write(_filled(np.array([tokens], np.int64), most))
        many["logits_index"].write(count - 1)
        shapes = {name: buffer.shape for name, buffer in many.items() if name != "logits"}
        shapes["input_ids"] = (1, count)
        # Rows of a shorter input follow each other without a gap.
        if "position_ids" in many:
            text = np.tile(np.arange(position, position + count), (3, 1))
            many["position_ids"].write(_packed(text if sight is None else sight.positions, (3, most)))
            shapes["position_ids"] = (3, count)
        if "embeddings" in many:
            hidden = self._manifest.hidden_size
            if sight is not None:  # without pictures no row of them is looked at
                many["embeddings"].write(_packed(sight.embeddings, (1, most, hidden)))
            shapes["embeddings"] = (1, count, hidden)
        if "token_types" in many:
            many["token_types"].write(_packed(np.zeros(count, np.int64) if sight is None else sight.types, (1, most)))
            shapes["token_types"] = (1, count)
        self._loaded.shape(self._prefill, shapes)
        self._loaded.bind(self._prefill, self._addresses(memory, many), self._working)
        self._loaded.enqueue(self._prefill)
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
        if manifest.graph.mrope:
            buffers["position_ids"] = zeros((3, tokens), np.int64)
        if manifest.graph.embeddings:
            buffers["embeddings"] = zeros((1, tokens, manifest.hidden_size), _HALF)
        if manifest.graph.adapters:
            buffers["token_types"] = zeros((1, tokens), np.int64)  # text, and so it stays while decoding
        return buffers

    def _addresses(self, memory: TensorRTMemory, buffers: dict[str, Buffer]) -> dict[str, int]:
        return memory.addresses() | {name: buffer.pointer for name, buffer in buffers.items()}


def _bound(manifest: Manifest, capacity: int) -> dict[str, Bound]:
    """All that a plan of this engine reads and writes."""
    cache = Bound(_HALF, (1, manifest.kv_heads, capacity, manifest.head_dim))
    bound = {
        "input_ids": Bound(np.int64, (1, FREE)),
        "seqlens_k": Bound(np.int32, (1,)),
        "logits_index": Bound(np.int64, (FREE,)),
        "logits": Bound(_HALF, (1, FREE, manifest.vocab_size)),
    }
    if manifest.graph.mrope:
        bound["position_ids"] = Bound(np.int64, (3, FREE))
    if manifest.graph.embeddings:
        bound["embeddings"] = Bound(_HALF, (1, FREE, manifest.hidden_size))
    if manifest.graph.adapters:
        bound["token_types"] = Bound(np.int64, (1, FREE))
    for layer in range(manifest.layers):
        for part in ("key", "value"):
            bound |= {f"{side}.{layer}.{part}": cache for side in ("past_key_values", "present")}
    return bound


def _part_of(sight: Sight, start: int, stop: int) -> Sight:
    return Sight(
        positions=sight.positions[:, start:stop],
        embeddings=sight.embeddings[start:stop],
        types=sight.types[start:stop],
    )


def _filled(values: Array, count: int) -> Array:
    """More columns of zeros."""
    return np.pad(values, ((0, 0), (0, count - values.shape[1])))


def _packed(values: Array, shape: tuple[int, ...]) -> Array:
    """The values one after the other at the start of an array of that shape."""
    flat = np.zeros(int(np.prod(shape)), values.dtype)
    flat[: values.size] = values.ravel()
    return flat.reshape(shape)
