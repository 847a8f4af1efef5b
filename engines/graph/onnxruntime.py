"""The dialect of ONNX Runtime's CPU and CUDA providers: fused attention, norms and integer products.

Inputs: input_ids, logits_index, seqlens_k, total_sequence_length, past_key_values.N.{key,value};
outputs: logits, present.N.{key,value}. Past and present may be the same memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from onnx import TensorProto

from engines.architecture import Architecture
from engines.checkpoint import Checkpoint
from engines.tensor import Floats, Tensor

from .model_file import FUSED, ModelFile, Shape


class Weights(Protocol):
    """How matrices are stored and multiplied: as integers, or as floats for comparison."""

    def linear(self, name: str, x: str, parts: Sequence[Tensor], bias: Floats | None) -> str:
        """x times the transposed rows of all parts, plus bias; `name` is layers.N.{qkv,o,gate_up,down}."""
        ...

    def embedding(self, tokens: str, table: Tensor) -> str:
        """Rows of the table.  # (1, tokens, hidden)"""
        ...

    def head(self, x: str, table: Tensor) -> str:
        """Writes the output `logits`."""
        ...


class OnnxRuntimeDialect:
    """Satisfies `Dialect`."""

    def __init__(self, checkpoint: Checkpoint, file: ModelFile, weights: Weights, positions: int) -> None:
        """`positions`: how long a context the rotary tables shall cover."""
        self.architecture = checkpoint.architecture
        self.tensors = checkpoint.tensors
        self.file = file
        self.weights = weights
        self._declare_inputs_and_outputs(self.architecture)
        cosines, sines = self.architecture.rope.tables(positions)
        file.weight("rope.cos", cosines)
        file.weight("rope.sin", sines)

    def embedding(self) -> str:
        """See Dialect."""
        return self.weights.embedding("input_ids", self.tensors["embedding.weight"])

    def norm(self, x: str, weight: str) -> str:
        """See Dialect."""
        return self._norm(x, weight, f"{weight}.out")

    def add_norm(self, x: str, hidden: str, weight: str) -> tuple[str, str]:
        """See Dialect."""
        outputs = [f"{weight}.out", "", "", f"{weight}.sum"]
        self.file.node(
            "SkipSimplifiedLayerNormalization",
            [x, hidden, self._vector(weight)],
            outputs if weight != "norm" else outputs[:1],  # nobody reads the last sum
            domain=FUSED,
            epsilon=self.architecture.norm_epsilon,
        )
        return f"{weight}.out", f"{weight}.sum"

    def attention(self, x: str, layer: int) -> str:
        """See Dialect."""
        arch, name = self.architecture, f"layers.{layer}"
        qkv = self._linear(x, f"{name}.qkv", layer, ("q", "k", "v"))
        q, k, v = self._normed_heads(qkv, layer) if f"{name}.q_norm.weight" in self.tensors else (qkv, "", "")
        window = arch.windows[layer]
        past = [f"past_key_values.{layer}.key", f"past_key_values.{layer}.value"]
        self.file.node(
            "GroupQueryAttention",
            [q, k, v, *past, "seqlens_k", "total_sequence_length", "rope.cos", "rope.sin"],
            [f"{name}.attention", f"present.{layer}.key", f"present.{layer}.value"],
            domain=FUSED,
            num_heads=arch.heads,
            kv_num_heads=arch.kv_heads,
            do_rotary=1,
            local_window_size=window if 0 < window < arch.context_length else None,
        )
        return self._linear(f"{name}.attention", f"{name}.o", layer, ("o",))

    def mlp(self, x: str, layer: int) -> str:
        """See Dialect."""
        name, file = f"layers.{layer}", self.file
        both = self._linear(x, f"{name}.gate_up", layer, ("gate", "up"))
        file.node("Split", [both], [f"{name}.gate", f"{name}.up"], axis=2, num_outputs=2)
        # QuickGelu is x * sigmoid(alpha * x): SiLU in one node.
        file.node("QuickGelu", [f"{name}.gate"], f"{name}.silu", domain=FUSED, alpha=1.0)
        file.node("Mul", [f"{name}.silu", f"{name}.up"], f"{name}.gated")
        return self._linear(f"{name}.gated", f"{name}.down", layer, ("down",))

    def head(self, x: str) -> str:
        """See Dialect."""
        table = self.tensors["embedding.weight" if self.architecture.tied else "head.weight"]
        asked = self.file.node("Gather", [x, "logits_index"], "asked", axis=1)
        return self.weights.head(asked, table)

    def _linear(self, x: str, name: str, layer: int, parts: Sequence[str]) -> str:
        tensors = [self.tensors[f"layers.{layer}.{part}.weight"] for part in parts]
        biases = [self.tensors.get(f"layers.{layer}.{part}.bias") for part in parts]
        bias = None
        if any(biases):
            zeros = [np.zeros(tensor.rows, np.float32) for tensor in tensors]
            bias = np.concatenate([item.read() if item else zero for item, zero in zip(biases, zeros, strict=True)])
        return self.weights.linear(name, x, tensors, bias)

    def _normed_heads(self, qkv: str, layer: int) -> tuple[str, str, str]:
        """q and k with an RMS norm over each head, as Qwen 3 wants it, and v."""
        arch, name, file = self.architecture, f"layers.{layer}", self.file
        sizes = file.weight("qkv.sizes", np.array([arch.q_size, arch.kv_size, arch.kv_size], np.int64))
        file.node("Split", [qkv, sizes], [f"{name}.q", f"{name}.k", f"{name}.v"], axis=2)
        heads = file.weight("heads.shape", np.array([0, 0, -1, arch.head_dim], np.int64))
        flat = file.weight("flat.shape", np.array([0, 0, -1], np.int64))
        for part in ("q", "k"):
            file.node("Reshape", [f"{name}.{part}", heads], f"{name}.{part}.heads")
            self._norm(f"{name}.{part}.heads", f"{name}.{part}_norm", f"{name}.{part}.normed")
            file.node("Reshape", [f"{name}.{part}.normed", flat], f"{name}.{part}.flat")
        return f"{name}.q.flat", f"{name}.k.flat", f"{name}.v"

    def _norm(self, x: str, weight: str, output: str) -> str:
        epsilon = self.architecture.norm_epsilon
        # ONNX Runtime registers this operator of its own in the standard domain.
        return self.file.node(
            "SimplifiedLayerNormalization", [x, self._vector(weight)], output, axis=-1, epsilon=epsilon, stash_type=1
        )

    def _vector(self, name: str) -> str:
        return self.file.weight(f"{name}.weight", self.tensors[f"{name}.weight"].read())

    def _declare_inputs_and_outputs(self, arch: Architecture) -> None:
        file = self.file
        file.input("input_ids", TensorProto.INT64, [1, "tokens"])
        file.input("logits_index", TensorProto.INT64, ["positions"])
        file.input("seqlens_k", TensorProto.INT32, [1])
        file.input("total_sequence_length", TensorProto.INT32, [])
        file.output("logits", TensorProto.FLOAT, [1, "positions", arch.vocab_size])
        shape: Shape = [1, arch.kv_heads, "capacity", arch.head_dim]
        for layer in range(arch.layers):
            for part in ("key", "value"):
                file.input(f"past_key_values.{layer}.{part}", TensorProto.FLOAT, shape)
                file.output(f"present.{layer}.{part}", TensorProto.FLOAT, shape)
