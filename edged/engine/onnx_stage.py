"""One stage of the model in ONNX Runtime: some consecutive layers on one device. Usually it is all of them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from edged.engine.buffer import Device
from edged.engine.expert_load import ExpertLoad
from edged.engine.manifest import Manifest
from edged.engine.onnx_loading import load_graph
from edged.errors import ArtefactError

_TYPES = {"float32": "tensor(float)", "float16": "tensor(float16)"}
HIDDEN_IN, HIDDEN_OUT = "hidden", "next_hidden"
"""Hidden states that one stage hands to the next.  # (1, tokens, hidden_size)"""
TYPES_IN = "token_types"
"""What each token is part of, of a model with adapters.  # (1, tokens)"""
MEDIA_IN = "media_index"
"""Places in the chunk of the tokens that are no text, for adapters that compute no others; older engines have none.

(media,)
"""
ROUTER_LOGITS = "router_logits"
"""What the router of each layer says, of a model with experts.  # (layers, tokens, experts)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """Which part of the model a stage computes."""

    first: int
    count: int
    is_first: bool
    is_last: bool

    @property
    def caches(self) -> list[str]:
        """Names of the cached tensors, as they follow each other in memory."""
        numbers = range(self.first, self.first + self.count)
        return [f"{number}.{part}" for number in numbers for part in ("key", "value")]


class OnnxStage:
    """A loaded graph and the device it really runs on."""

    def __init__(self, path: Path, manifest: Manifest, layers: Layers, device: Device, threads: int) -> None:
        """Raises ArtefactError naming the file, or DeviceUnavailable when the GPU would not compute all of it."""
        self.manifest = manifest
        self.layers = layers
        self.device = device
        self.activations = np.dtype(manifest.graph.activations)
        self._graph_ids = itertools.count(1)
        options = _options(threads, shares_cores=len(manifest.graph.stages) > 1)
        self.session = load_graph(path, options, device, captured=True)
        self.inputs = {node.name: node for node in self.session.get_inputs()}
        self.outputs = {node.name: node for node in self.session.get_outputs()}
        graph = manifest.graph
        self.load = ExpertLoad(layers.count, graph.experts, graph.experts_per_token) if graph.experts else None
        """Which experts its layers have chosen; None where they have none."""
        _check_signature(self, path)

    @property
    def place(self) -> tuple[str, int]:
        """The device as ONNX Runtime knows it: there is one CPU, however many stages it stands for."""
        return self.device.kind, 0 if self.device.kind == "cpu" else self.device.index

    def cache_shape(self, capacity: int) -> tuple[int, int, int, int]:
        """(keys and values of all layers, kv_heads, capacity, head_dim)"""
        return 2 * self.layers.count, self.manifest.kv_heads, capacity, self.manifest.head_dim

    def next_graph_id(self) -> int:
        """A name for one more CUDA graph of this stage; ONNX Runtime keeps 0 for itself."""
        return next(self._graph_ids)


def _options(threads: int, *, shares_cores: bool) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3  # errors only
    if shares_cores:  # threads that spin on after a stage would take the next stage's cores
        options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _check_signature(stage: OnnxStage, path: Path) -> None:
    """Whether the graph has the inputs and outputs that the manifest implies."""
    manifest, layers = stage.manifest, stage.layers
    inputs = {"seqlens_k", "total_sequence_length", *(f"past_key_values.{name}" for name in layers.caches)}
    inputs |= {"input_ids"} if layers.is_first else {HIDDEN_IN}
    inputs |= {"logits_index"} if layers.is_last else set()
    outputs = {"logits" if layers.is_last else HIDDEN_OUT, *(f"present.{name}" for name in layers.caches)}
    inputs |= {TYPES_IN, *({MEDIA_IN} & set(stage.inputs))} if manifest.graph.adapters else set()
    outputs |= {ROUTER_LOGITS} if manifest.graph.experts else set()
    inputs |= {"position_ids"} if manifest.graph.mrope else set()
    inputs |= {"embeddings"} if manifest.graph.embeddings and layers.is_first else set()
    what = f"those of {layers.count} layers from {layers.first}"
    if inputs != set(stage.inputs):
        raise ArtefactError(f"{path}: its inputs are not {what}: {_differences(inputs, set(stage.inputs))}")
    if outputs != set(stage.outputs):
        raise ArtefactError(f"{path}: its outputs are not {what}: {_differences(outputs, set(stage.outputs))}")
    if layers.is_last and stage.outputs["logits"].type != _TYPES["float32"]:
        raise ArtefactError(f"{path}: its logits are {stage.outputs['logits'].type}, not float32")
    if stage.load is not None and (found := stage.outputs[ROUTER_LOGITS].shape[::2]) != list(stage.load.counts.shape):
        raise ArtefactError(f"{path}: its routers choose among {found}, unlike the manifest")
    past = stage.inputs[f"past_key_values.{layers.caches[0]}"]
    heads, size = past.shape[1], past.shape[3]
    if past.type != _TYPES[manifest.graph.activations] or (heads, size) != (manifest.kv_heads, manifest.head_dim):
        raise ArtefactError(f"{path}: its cache is {past.type} of {heads} heads of {size}, unlike the manifest")


def _differences(expected: set[str], found: set[str]) -> str:
    missing, unknown = sorted(expected - found)[:3], sorted(found - expected)[:3]
    return "; ".join(
        f"{word} {', '.join(name[:60] for name in names)}"
        for word, names in (("missing", missing), ("unknown", unknown))
        if names
    )
