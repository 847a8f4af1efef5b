"""The dialect of ONNX Runtime's CPU and CUDA providers: fused attention, norms and integer products.

Inputs: input_ids, logits_index, seqlens_k, total_sequence_length, past_key_values.N.{key,value}, where pictures or
recordings can enter embeddings, and as the model wants it position_ids, or token_types and media_index; outputs:
logits, present.N.{key,value}, and with experts router_logits. Past and present may be the same memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from onnx import TensorProto

from edged.engine.onnx_stage import MEDIA_IN, ROUTER_LOGITS, TYPES_IN
from edged.engine.session import TokenType
from engines.architecture import ADAPTERS, Architecture
from engines.checkpoint import Checkpoint
from engines.rope import Rope
from engines.tensor import Floats, Tensor

from .expert_weights import Expert
from .headroom import POST_NORM, headroom
from .model_file import FUSED, ModelFile, Shape


class Weights(Protocol):
    """How matrices are stored and multiplied: as integers, or as floats for comparison."""

    def linear(self, name: str, x: str, parts: Sequence[Tensor], bias: Floats | None, factor: float = 1.0) -> str:
        """x times the transposed rows of all parts, plus bias, all times factor, which is a power of two.

        `name` is layers.N.{qkv,o,gate_up,down,adapter_down}.
        """
        ...

    def beside(self, name: str, x: str, parts: Sequence[Tensor]) -> str:
        """x times the transpose of all parts' columns, one part after the other; `name` is layers.N.adapter_up."""
        ...

    def experts(self, name: str, x: str, scores: str, experts: Sequence[Expert], chosen: int) -> str:
        """The weighted sum of what the experts of the highest scores make of x; `name` is layers.N.experts.

        x: (1, tokens, hidden); scores: (tokens, experts), of each token the `chosen` highest count.
        """
        ...

    def embedding(self, tokens: str, table: Tensor) -> str:
        """Rows of the table.  # (1, tokens, hidden)"""
        ...

    def head(self, x: str, table: Tensor, output: str) -> str:
        """Scores of every row of the table, under the name `output`."""
        ...


_PRODUCTS = (("o",), ("down",))
"""What goes through a post norm, in architectures that have one."""


class OnnxRuntimeDialect:
    """Satisfies `Dialect`."""

    def __init__(self, checkpoint: Checkpoint, file: ModelFile, weights: Weights, positions: int) -> None:
        """`positions`: how long a context the rotary tables shall cover."""
        self.architecture = checkpoint.architecture
        self.tensors = checkpoint.tensors
        self.file = file
        self.weights = weights
        self._room = headroom(self.architecture, file.kind)
        self._declare_inputs_and_outputs(self.architecture)
        self._turns = {
            rope: self._turns_of_chunk(rope)
            if rope.sections
            else self._turns_of_positions(rope, positions, f"rope.{index}")
            for index, rope in enumerate(dict.fromkeys(self.architecture.ropes))
        }
        self._gates, self._places = self._media_of_chunk() if self.architecture.adapts else ([], "")
        self._router_logits: list[str] = []

    def embedding(self) -> str:
        """See Dialect."""
        arch, file = self.architecture, self.file
        table = self.tensors["embedding.weight"]
        if not arch.sees:
            return self._scaled(self.weights.embedding("input_ids", table))
        zero = file.weight("zero", np.zeros(1, np.int64))
        rows = self._scaled(self.weights.embedding(file.node("Max", ["input_ids", zero], "row_ids"), table))
        seen = file.node("Less", ["input_ids", zero], "seen")
        last = file.weight("last_axis", np.array([-1], np.int64))
        seen = file.node("Unsqueeze", [seen, last], "seen.rows")
        return file.node("Where", [seen, "embeddings", rows], "embedding.mixed")

    def norm(self, x: str, weight: str) -> str:
        """See Dialect."""
        return self._norm(x, weight, f"{weight}.out")

    def add_norm(self, x: str, hidden: str, weight: str) -> tuple[str, str]:
        """See Dialect."""
        return self._add_norm(x, hidden, weight, weight)

    def attention(self, x: str, layer: int) -> str:
        """See Dialect."""
        arch, name = self.architecture, f"layers.{layer}"
        rope, window = arch.ropes[layer], arch.windows[layer]
        qkv = self._linear(x, f"{name}.qkv", layer, ("q", "k", "v"))
        q, k, v = self._split_heads(qkv, layer) if arch.head_norms or rope.sections else (qkv, "", "")
        past = [f"past_key_values.{layer}.key", f"past_key_values.{layer}.value"]
        self.file.node(
            "GroupQueryAttention",
            [q, k, v, *past, "seqlens_k", "total_sequence_length", *(() if rope.sections else self._turns[rope])],
            [f"{name}.attention", f"present.{layer}.key", f"present.{layer}.value"],
            domain=FUSED,
            num_heads=arch.heads,
            kv_num_heads=arch.kv_heads,
            scale=None if math.isclose(arch.query_scale, arch.head_dim**-0.5) else arch.query_scale,
            softcap=arch.attention_softcap or None,
            do_rotary=0 if rope.sections else 1,
            local_window_size=window if 0 < window < arch.context_length else None,
        )
        return self._linear(f"{name}.attention", f"{name}.o", layer, ("o",))

    def adapters(self, x: str, hidden: str, layer: int) -> tuple[str, str]:
        """See Dialect. Rows of pictures and recordings are picked, and put back: for text nothing is computed."""
        name, file = f"layers.{layer}", self.file
        rows = file.node("Gather", [hidden, MEDIA_IN], f"{name}.media", axis=1)
        low = self.norm(rows, f"{name}.adapter_norm")
        low = self._linear(low, f"{name}.adapter_down", layer, [f"{adapter}.down" for adapter in ADAPTERS])
        low = file.node("QuickGelu", [low], f"{name}.adapter.activated", domain=FUSED, alpha=1.0)
        low = file.node("Mul", [low, self._gates[layer]], f"{name}.adapter.gated")
        up = [self.tensors[f"{name}.{adapter}.up.weight"] for adapter in ADAPTERS]
        added = self.weights.beside(f"{name}.adapter_up", low, up)
        normed, rows = self._add_norm(added, rows, f"{name}.attention_norm", f"{name}.adapted")
        x = file.node("ScatterND", [x, self._places, normed], f"{name}.adapted.normed")
        return x, file.node("ScatterND", [hidden, self._places, rows], f"{name}.adapted.hidden")

    def mlp(self, x: str, layer: int) -> str:
        """See Dialect."""
        if self.architecture.experts:
            return self._mixture(x, layer)
        name, file = f"layers.{layer}", self.file
        both = self._linear(x, f"{name}.gate_up", layer, ("gate", "up"))
        file.node("Split", [both], [f"{name}.gate", f"{name}.up"], axis=2, num_outputs=2)
        if self.architecture.activation == "silu":
            # QuickGelu is x * sigmoid(alpha * x): SiLU in one node.
            file.node("QuickGelu", [f"{name}.gate"], f"{name}.activated", domain=FUSED, alpha=1.0)
        else:
            file.node("Gelu", [f"{name}.gate"], f"{name}.activated", approximate="tanh")
        file.node("Mul", [f"{name}.activated", f"{name}.up"], f"{name}.gated")
        return self._linear(f"{name}.gated", f"{name}.down", layer, ("down",))

    def head(self, x: str) -> str:
        """See Dialect. In float32: a GPU converts in microseconds what takes the host a tenth of a millisecond."""
        if self._router_logits:
            self.file.node("Concat", self._router_logits, ROUTER_LOGITS, axis=0)
        asked = self.file.node("Gather", [x, "logits_index"], "asked", axis=1)
        if self.file.kind == TensorProto.FLOAT:
            return self._scores(asked, "logits")
        return self.file.node("Cast", [self._scores(asked, "logits.half")], "logits", to=TensorProto.FLOAT)

    def _scores(self, x: str, output: str) -> str:
        cap, file = self.architecture.logit_softcap, self.file
        table = self.tensors["embedding.weight" if self.architecture.tied else "head.weight"]
        if not cap:
            return self.weights.head(x, table, output)
        scores = self.weights.head(x, table, "scores")
        narrow = file.node("Mul", [scores, file.number("softcap.inverse", np.float32(1 / cap))], "scores.narrow")
        bent = file.node("Tanh", [narrow], "scores.bent")
        return file.node("Mul", [bent, file.number("softcap", np.float32(cap))], output)

    def _mixture(self, x: str, layer: int) -> str:
        """The router computes in float32: rounding would choose other experts."""
        name, file, arch = f"layers.{layer}", self.file, self.architecture
        router = file.weight(f"{name}.router", self.tensors[f"{name}.router.weight"].read().T)
        exact = file.node("Cast", [x], f"{name}.exact", to=TensorProto.FLOAT)
        self._router_logits.append(file.node("MatMul", [exact, router], f"{name}.router_logits"))
        first = file.weight("first_axis", np.zeros(1, np.int64))
        scores = file.node("Squeeze", [self._router_logits[-1], first], f"{name}.scores")
        if file.kind != TensorProto.FLOAT:
            scores = file.node("Cast", [scores], f"{name}.scores.cast", to=file.kind)
        parts = ("gate", "up", "down")
        experts = [
            Expert(*(self.tensors[f"{name}.experts.{number}.{part}.weight"] for part in parts))
            for number in range(arch.experts)
        ]
        return self.weights.experts(f"{name}.experts", x, scores, experts, arch.experts_per_token)

    def _media_of_chunk(self) -> tuple[list[str], str]:
        """Of the tokens that are no text: for each layer what the adapters of a token's type count, and 0 for those of
        others, (1, media, ranks); and where they stand, batch and token, (1, media, 2).

        One table for all layers, so that a chunk picks its rows once.
        """
        arch, file = self.architecture, self.file
        ranks = arch.adapter_ranks
        table = np.zeros((len(TokenType), arch.layers, sum(ranks)), np.float32)
        for layer in range(arch.layers):
            for place, (adapter, rank) in enumerate(zip(ADAPTERS, ranks, strict=True)):
                start = sum(ranks[:place])
                gate = self.tensors[f"layers.{layer}.{adapter}.gate"].read()[0]
                table[place + 1, layer, start : start + rank] = gate
        types = file.node("Gather", [TYPES_IN, MEDIA_IN], "media.types", axis=1)
        rows = file.node("Gather", [file.number("adapter_gates", table.reshape(len(table), -1)), types], "gates")
        names = [f"layers.{layer}.gates" for layer in range(arch.layers)]
        file.node("Split", [rows], names, axis=2, num_outputs=arch.layers)
        column = file.node("Unsqueeze", [MEDIA_IN, file.weight("outer_axes", np.array([0, 2]))], "media.column")
        return names, file.node("Mul", [column, file.weight("second_place", np.array([0, 1]))], "media.places")

    def _linear(self, x: str, name: str, layer: int, parts: Sequence[str]) -> str:
        tensors = [self.tensors[f"layers.{layer}.{part}.weight"] for part in parts]
        biases = [self.tensors.get(f"layers.{layer}.{part}.bias") for part in parts]
        bias = None
        if any(biases):
            zeros = [np.zeros(tensor.rows, np.float32) for tensor in tensors]
            bias = np.concatenate([item.read() if item else zero for item, zero in zip(biases, zeros, strict=True)])
        return self.weights.linear(name, x, tensors, bias, self._room.products if parts in _PRODUCTS else 1.0)

    def _split_heads(self, qkv: str, layer: int) -> tuple[str, str, str]:
        """q, k and v; q and k normed over each head and turned, where attention does not do it."""
        arch, name, file = self.architecture, f"layers.{layer}", self.file
        sizes = file.weight("qkv.sizes", np.array([arch.q_size, arch.kv_size, arch.kv_size], np.int64))
        q, k, v = (f"{name}.{part}" for part in "qkv")
        file.node("Split", [qkv, sizes], [q, k, v], axis=2)
        if arch.head_norms:
            q, k = self._normed_heads(q), self._normed_heads(k)
        if arch.ropes[layer].sections:
            q, k = self._turned(q, layer, arch.heads), self._turned(k, layer, arch.kv_heads)
        return q, k, v

    def _normed_heads(self, x: str) -> str:
        file = self.file
        heads = file.weight("heads.shape", np.array([0, 0, -1, self.architecture.head_dim], np.int64))
        flat = file.weight("flat.shape", np.array([0, 0, -1], np.int64))
        file.node("Reshape", [x, heads], f"{x}.heads")
        self._norm(f"{x}.heads", f"{x}_norm", f"{x}.normed")
        return file.node("Reshape", [f"{x}.normed", flat], f"{x}.flat")

    def _turned(self, x: str, layer: int, heads: int) -> str:
        """Each head turned by the rows that belong to this chunk's tokens: the positions are 0, 1, 2 ..."""
        rope = self.architecture.ropes[layer]
        start = self.file.weight("first_row", np.zeros(1, np.int64))
        return self.file.node(
            "RotaryEmbedding",
            [x, start, *self._turns[rope]],
            f"{x}.turned",
            domain=FUSED,
            num_heads=heads,
            rotary_embedding_dim=rope.rotary_dim,
        )

    def _turns_of_positions(self, rope: Rope, positions: int, name: str) -> tuple[str, str]:
        """Cosines and sines of every position."""
        cosines, sines = rope.tables(positions)
        return self.file.number(f"{name}.cos", cosines), self.file.number(f"{name}.sin", sines)

    def _turns_of_chunk(self, rope: Rope) -> tuple[str, str]:
        """Cosines and sines of this chunk's tokens, whose positions are an input.  # (tokens, pairs) each

        In float32, whatever the activations are. No matrix product: GPUs may round its inputs to TF32,
        in which positions above 2048 are not all there.
        """
        file = self.file
        chosen = file.node("Gather", ["position_ids", file.weight("rope.axes", rope.axes)], "rope.chosen", axis=0)
        chosen = file.node("Transpose", [chosen], "rope.positions", perm=[1, 0])
        numbers = file.node("Cast", [chosen], "rope.numbers", to=TensorProto.FLOAT)
        frequencies = file.weight("rope.frequencies", np.array(rope.frequencies, np.float32))
        angles = file.node("Mul", [numbers, frequencies], "rope.angles")
        return self._turns_of_angles("Cos", angles, rope), self._turns_of_angles("Sin", angles, rope)

    def _turns_of_angles(self, function: str, angles: str, rope: Rope) -> str:
        name, file = f"rope.{function.lower()}", self.file
        values = file.node(function, [angles], name)
        if rope.magnitude != 1:
            factor = file.weight("rope.magnitude", np.array(rope.magnitude, np.float32))
            values = file.node("Mul", [values, factor], f"{name}.scaled")
        if file.kind != TensorProto.FLOAT:
            values = file.node("Cast", [values], f"{name}.cast", to=file.kind)
        return values

    def _scaled(self, rows: str) -> str:
        scale = self.architecture.embedding_scale * self._room.states
        if scale == 1:
            return rows
        return self.file.node("Mul", [rows, self.file.number("embedding.scale", np.float32(scale))], "embedding.scaled")

    def _add_norm(self, x: str, hidden: str, weight: str, name: str) -> tuple[str, str]:
        """As `add_norm`; the node's outputs begin with the name."""
        outputs = [f"{name}.out", "", "", f"{name}.sum"]
        self.file.node(
            "SkipSimplifiedLayerNormalization",
            [x, hidden, self._vector(weight)],
            outputs if weight != "norm" else outputs[:1],  # nobody reads the last sum
            domain=FUSED,
            epsilon=self._room.epsilon(weight, self.architecture.norm_epsilon),
        )
        return f"{name}.out", f"{name}.sum"

    def _norm(self, x: str, weight: str, output: str) -> str:
        epsilon = self._room.epsilon(weight, self.architecture.norm_epsilon)
        # ONNX Runtime registers this operator of its own in the standard domain.
        return self.file.node(
            "SimplifiedLayerNormalization", [x, self._vector(weight)], output, axis=-1, epsilon=epsilon, stash_type=1
        )

    def _vector(self, name: str) -> str:
        factor = self._room.states if name.endswith(POST_NORM) else 1.0
        return self.file.number(f"{name}.weight", self.tensors[f"{name}.weight"].read() * np.float32(factor))

    def _declare_inputs_and_outputs(self, arch: Architecture) -> None:
        file = self.file
        file.input("input_ids", TensorProto.INT64, [1, "tokens"])
        file.input("logits_index", TensorProto.INT64, ["positions"])
        file.input("seqlens_k", TensorProto.INT32, [1])
        file.input("total_sequence_length", TensorProto.INT32, [])
        if arch.mrope:
            file.input("position_ids", TensorProto.INT64, [3, "tokens"])
        if arch.adapts:
            file.input(TYPES_IN, TensorProto.INT64, [1, "tokens"])
            file.input(MEDIA_IN, TensorProto.INT64, ["media"])
        if arch.sees:
            file.input("embeddings", file.kind, [1, "tokens", arch.hidden_size])
        file.output("logits", TensorProto.FLOAT, [1, "positions", arch.vocab_size])
        if arch.experts:
            file.output(ROUTER_LOGITS, TensorProto.FLOAT, [arch.layers, "tokens", arch.experts])
        shape: Shape = [1, arch.kv_heads, "capacity", arch.head_dim]
        for layer in range(arch.layers):
            for part in ("key", "value"):
                file.input(f"past_key_values.{layer}.{part}", file.kind, shape)
                file.output(f"present.{layer}.{part}", file.kind, shape)
