"""The model through ONNX Runtime, on the CPU or on GPUs, whole or in stages on several devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edged.engine.buffer import Array, Device, Host
from edged.engine.manifest import Manifest
from edged.engine.onnx_loading import usable_cores
from edged.engine.onnx_memory import OnnxMemories, OnnxMemory
from edged.engine.onnx_stage import HIDDEN_IN, MEDIA_IN, TYPES_IN, Layers, OnnxStage
from edged.engine.session import Logits, Sight


class OnnxSession:
    """Satisfies `Session[OnnxMemory]`."""

    def __init__(
        self, folder: Path, manifest: Manifest, *, max_seq_len: int, threads: int, devices: Sequence[Device] = (Host(),)
    ) -> None:
        """Load the graphs, stage by stage onto the devices in turn. threads = 0 takes the cores this process may use.

        Raises ArtefactError naming the file when a graph cannot be loaded or is not what the manifest says,
        DeviceUnavailable when a GPU would not compute all of it.
        """
        self._manifest = manifest
        self._capacity = min(max_seq_len, manifest.context_length)
        self._threads = threads or usable_cores()
        self._stages = [
            OnnxStage(folder / stage.file, manifest, layers, device, self._threads)
            for stage, layers, device in zip(manifest.graph.stages, _layers(manifest), cycle(devices), strict=False)
        ]
        self._on_cpus = all(stage.device.kind == "cpu" for stage in self._stages)
        self._memories = OnnxMemories(self._stages, self._capacity, keep=not self._on_cpus)

    @property
    def capacity(self) -> int:
        """See Session."""
        return self._capacity

    @property
    def device(self) -> str:
        """See Session."""
        gpus = [f"GPU {stage.device.index}" for stage in self._stages if stage.device.kind == "cuda"]
        if gpus:
            return f"onnxruntime CUDA, {' and '.join(gpus)}, decoding in CUDA graphs"
        stages = f", {len(self._stages)} stages" if len(self._stages) > 1 else ""
        return f"onnxruntime CPU, {self._threads} thread{'s' if self._threads > 1 else ''}{stages}"

    def allocate(self) -> OnnxMemory:
        """See Session. Raises Unavailable when a GPU has no room."""
        return self._memories.allocate()

    def committed_positions(self, tokens: int) -> int:
        """See Session: GPUs have no pages that come into being when they are written."""
        return tokens if self._on_cpus else self._capacity

    def copy_prefix(self, source: OnnxMemory, target: OnnxMemory, length: int) -> None:
        """See Session."""
        for old, new in zip(source.parts, target.parts, strict=True):
            new.cache.copy_prefix(old.cache, length)

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
        index = np.array([place % count for place in logits_index], dtype=np.int64)
        logits = np.empty((1, len(index), self._manifest.vocab_size), dtype=np.float32)
        inputs = {"input_ids": _value(np.array([tokens], dtype=np.int64)), "logits_index": _value(index)}
        inputs |= self._seen(position, count, sight)
        for part in memory.parts:
            result = _value(logits) if part.stage.layers.is_last else self._hidden(part.stage, count)
            part.prefill(position, count, inputs, result)
            inputs[HIDDEN_IN] = result
        return logits.reshape(len(index), -1)

    def decode(self, memory: OnnxMemory, position: int, token: int, shift: int = 0) -> Logits:
        """See Session."""
        for part in memory.parts:
            part.decode(position, token, shift)
        return memory.parts[-1].logits()

    @property
    def expert_load(self) -> NDArray[np.int64] | None:
        """See CountsExperts. The last few tokens may be missing."""
        loads = [stage.load.counts for stage in self._stages if stage.load is not None]
        return np.concatenate(loads) if loads else None

    def _hidden(self, stage: OnnxStage, count: int) -> onnxruntime.OrtValue:
        """Room for the hidden states of a chunk on the device that computes them; binding them elsewhere copies."""
        shape = (1, count, self._manifest.hidden_size)
        return onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, stage.activations.type, *stage.place)

    def _seen(self, position: int, count: int, sight: Sight | None) -> dict[str, onnxruntime.OrtValue]:
        """Text stands where it stands, in all three axes; no token of it is below 0, which would take an embedding,
        and its type is 0."""
        graph, shape, kind = self._manifest.graph, (1, count, self._manifest.hidden_size), self._stages[0].activations
        inputs = {}
        if graph.mrope:
            text = np.broadcast_to(np.arange(position, position + count), (3, count))
            inputs["position_ids"] = _value(np.ascontiguousarray(sight.positions if sight else text, np.int64))
        if graph.adapters:
            types = sight.types if sight else np.zeros(count, np.int64)
            inputs[TYPES_IN] = _value(np.ascontiguousarray(types.reshape(1, count), np.int64))
            inputs[MEDIA_IN] = _value(np.flatnonzero(types))
        if graph.embeddings:
            embeddings = sight.embeddings.reshape(shape) if sight else np.zeros(shape, kind)
            inputs["embeddings"] = _value(np.ascontiguousarray(embeddings, kind))
        return inputs


def _layers(manifest: Manifest) -> Iterator[Layers]:
    """Which layers each stage has, numbered through the whole model."""
    first = 0
    for stage in manifest.graph.stages:
        last = first + stage.layers
        yield Layers(first=first, count=stage.layers, is_first=first == 0, is_last=last == manifest.layers)
        first = last


def _value(array: Array) -> onnxruntime.OrtValue:
    """The array's own memory for the graph; whoever binds the value keeps it alive."""
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)
