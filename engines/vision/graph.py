"""The vision tower as a graph over one picture, in two dialects over the same weights.

Inputs, all float32 (`edged.vision.tower_inputs` makes them):
    patches         (patches, 3 * temporal_patch_size * patch_size ** 2)
    places          (patches, 2)               row and column of each patch
    row_weights     (patches, position_side)   of the position embeddings at the patch's row
    column_weights  (patches, position_side)
Output, float32:
    embeddings      (patches / merge_size ** 2, hidden size of the text model)
`patches` is the only free dimension; a run is one picture, because attention never crosses pictures.

Both are written in standard operators of opset 24 but for attention. The standard operator has ONNX Runtime's CPU
provider keep scores of every patch with every other, 7.4 GB for a screenshot; its own MultiHeadAttention works in
tiles. So vision.onnx has that, and vision_standard.onnx, which `engines compile` reads, has the standard one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto

from engines.encoder.products import SINGLE, Bits, Products
from engines.graph.model_file import FUSED, Activations, ModelFile
from engines.tensor import Floats, Tensor

from .tower import MERGER_NORM_EPSILON, VisionTower

FUSED_FILE, STANDARD_FILE = "vision.onnx", "vision_standard.onnx"
OPSET = 24
"""Attention, RMSNormalization and RotaryEmbedding are there since 23, Swish since 24."""
PATCHES = "patch_embed.proj"


class TowerGraph:
    """Writes one dialect. Norms and the sums between blocks are float32, products and attention what is asked for."""

    def __init__(
        self, tower: VisionTower, file: ModelFile, *, bits: Bits, products: Activations, is_fused: bool
    ) -> None:
        """products: "float32" for a CPU, "float16" for a GPU. is_fused: in ONNX Runtime's own attention."""
        self.tower = tower
        self.file = file
        self.products = Products(file, bits, products)
        self.is_fused = is_fused

    def write(self) -> None:
        """The whole tower."""
        tower, file = self.tower, self.file
        self._declare()
        x = self._biased(self._linear(self._as("patches", self.products.dtype), PATCHES), PATCHES)
        x = file.node("Unsqueeze", [x, self._shape("first", [0])], "patches.one")
        x = self._norm(x, "post_conv_layernorm")
        x = file.node("Add", [x, self._position_embeddings()], "placed")
        turn = self._turn()
        for block in range(tower.depth):
            x = self._block(x, f"blocks.{block}", turn)
        x = self._norm(x, "post_layernorm")
        wide = self._shape("squares.shape", [-1, tower.merge_size**2 * tower.hidden_size])
        self._merger(file.node("Reshape", [x, wide], "squares"))

    def _block(self, x: str, name: str, turn: tuple[str, str]) -> str:
        file = self.file
        qkv = self._linear(self._norm(x, f"{name}.norm1"), f"{name}.attn.qkv")
        parts = [f"{name}.{part}" for part in "qkv"]
        file.node("Split", [qkv], parts, axis=2, num_outputs=3)
        for part in parts[:2]:
            file.node("RotaryEmbedding", [part, *turn], f"{part}.turned", num_heads=self.tower.heads)
        mixed = self._attention(f"{name}.q.turned", f"{name}.k.turned", f"{name}.v", f"{name}.mixed")
        x = self._sum(x, self._linear(mixed, f"{name}.attn.proj"), f"{name}.attn.sum")
        return self._sum(x, self._gated(self._norm(x, f"{name}.norm2"), f"{name}.mlp"), f"{name}.sum")

    def _attention(self, q: str, k: str, v: str, output: str) -> str:
        heads = self.tower.heads
        if self.is_fused:
            return self.file.node("MultiHeadAttention", [q, k, v], output, domain=FUSED, num_heads=heads)
        return self.file.node("Attention", [q, k, v], output, q_num_heads=heads, kv_num_heads=heads)

    def _gated(self, x: str, name: str) -> str:
        """down(silu(gate(x)) * up(x))"""
        gate = self.file.node("Swish", [self._linear(x, f"{name}.gate_proj")], f"{name}.swish")
        gated = self.file.node("Mul", [gate, self._linear(x, f"{name}.up_proj")], f"{name}.gated")
        return self._linear(gated, f"{name}.down_proj")

    def _merger(self, squares: str) -> None:
        file = self.file
        kernel = np.moveaxis(self.tower.tensors["downsample.weight"].read(), 1, -1)
        x = self._times(squares, "downsample", kernel.reshape(self.tower.out_hidden_size, -1))
        x = self._linear(self._as(self._biased(x, "downsample"), self.products.dtype), "merger.proj")
        norm = "merger.post_projection_norm"
        weights = [self._vector(f"{norm}.weight"), self._vector(f"{norm}.bias")]
        x = file.node("LayerNormalization", [self._as(x, SINGLE), *weights], norm, epsilon=MERGER_NORM_EPSILON)
        x = self._gated(self._as(file.node("Gelu", [x], "merger.gelu"), self.products.dtype), "merger")
        flat = self._shape("tokens.shape", [-1, self.tower.out_hidden_size])
        file.node("Reshape", [self._as(x, SINGLE), flat], "embeddings")

    def _position_embeddings(self) -> str:
        """Both axes' weights multiplied out, times the table."""
        file, tower = self.file, self.tower
        rows = file.node("Unsqueeze", ["row_weights", self._shape("last", [2])], "row_weights.column")
        columns = file.node("Unsqueeze", ["column_weights", self._shape("middle", [1])], "column_weights.row")
        flat = self._shape("positions.shape", [-1, tower.position_side**2])
        weights = file.node("Reshape", [file.node("Mul", [rows, columns], "both_weights"), flat], "position_weights")
        table = tower.tensors["embeddings.position_embedding.weight"].read()
        return file.node("MatMul", [weights, file.weight("position_embedding", table)], "positions")

    def _turn(self) -> tuple[str, str]:
        """Cosines and sines of every patch's angles.  # (1, patches, head_dim / 2)"""
        file = self.file
        frequencies = file.weight("frequencies", self.tower.frequencies())
        places = file.node("Unsqueeze", ["places", self._shape("first", [0])], "places.one")
        angles = file.node("MatMul", [places, frequencies], "angles")
        cosine, sine = (file.node(name, [angles], f"angles.{name.lower()}") for name in ("Cos", "Sin"))
        return self._as(cosine, self.products.dtype), self._as(sine, self.products.dtype)

    def _norm(self, x: str, name: str) -> str:
        """RMS norm of the float32 sums, in the type of products."""
        weight = self._vector(f"{name}.weight")
        epsilon = self.tower.norm_epsilon
        out = self.file.node("RMSNormalization", [x, weight], f"{name}.out", axis=-1, epsilon=epsilon)
        return out if name == "post_conv_layernorm" else self._as(out, self.products.dtype)

    def _sum(self, x: str, y: str, output: str) -> str:
        return self.file.node("Add", [x, self._as(y, SINGLE)], output)

    def _biased(self, x: str, name: str) -> str:
        return self.file.node("Add", [self._as(x, SINGLE), self._vector(f"{name}.bias")], f"{name}.biased")

    def _linear(self, x: str, name: str) -> str:
        """x, of the type of products, times the transposed rows of the tensor `name`.weight."""
        return self._times(x, name, self.tower.tensors[f"{name}.weight"])

    def _times(self, x: str, name: str, matrix: Tensor | Floats) -> str:
        """The matrix as the recipe wants it; of patches, pixels are worth 16 bits in any case."""
        return self.products.times(x, name, matrix, bits=16 if name == PATCHES and self.products.bits < 16 else None)

    def _as(self, x: str, dtype: np.dtype[Any]) -> str:
        return self.products.cast(x, dtype)

    def _vector(self, name: str) -> str:
        return self.products.vector(name, self.tower.tensors[name])

    def _shape(self, name: str, values: Sequence[int]) -> str:
        return self.products.shape(name, values)

    def _declare(self) -> None:
        tower, file = self.tower, self.file
        side = tower.position_side
        for name, width in (
            ("patches", tower.patch_values),
            ("places", 2),
            ("row_weights", side),
            ("column_weights", side),
        ):
            file.input(name, TensorProto.FLOAT, ["patches", width])
        file.output("embeddings", TensorProto.FLOAT, ["tokens", tower.out_hidden_size])


def write_tower(tower: VisionTower, folder: Path, bits: Bits, activations: Activations) -> None:
    """vision.onnx for ONNX Runtime, vision_standard.onnx for TensorRT, and vision.onnx.data with the weights of both.

    activations: of the first; products of the second are always float16.
    """
    with ModelFile(folder / FUSED_FILE) as file:
        TowerGraph(tower, file, bits=bits, products=activations, is_fused=True).write()
        file.save("vision", opset=OPSET)
        file.begin_another(folder / STANDARD_FILE)
        TowerGraph(tower, file, bits=bits, products="float16", is_fused=False).write()
        file.save("vision", opset=OPSET)
