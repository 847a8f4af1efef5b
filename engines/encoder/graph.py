"""The transformer of autoglm_phone's eyes and ears as part of a graph, in one of two dialects.

Norms and the sums between blocks are float32, products and attention what is asked for. Attention is ONNX Runtime's
own where that is to run it, else the standard operator: `engines.vision.graph` says why.
"""

from __future__ import annotations

from collections.abc import Mapping

from engines.graph.model_file import FUSED, Activations, ModelFile
from engines.tensor import Tensor

from .products import SINGLE, Bits, Products
from .sizes import Config

OPSET = 24
"""Attention and RMSNormalization are there since 23."""


class EncoderGraph:
    """Writes strided convolutions, blocks and the projector; a tower says what comes between them."""

    def __init__(
        self,
        config: Config,
        tensors: Mapping[str, Tensor],
        file: ModelFile,
        *,
        bits: Bits,
        products: Activations,
        is_fused: bool,
    ) -> None:
        """products: "float32" for a CPU, "float16" for a GPU. is_fused: in ONNX Runtime's own attention."""
        self.config = config
        self.tensors = tensors
        self.file = file
        self.products = Products(file, bits, products)
        self.is_fused = is_fused

    def convolution(self, x: str, name: str, *, stride: int, padding: int) -> str:
        """Along all axes after the channels, in the type of products. Its weights are floats in any case."""
        kernel, products = self.tensors[f"{name}.weight"], self.products
        axes, bits = len(kernel.shape) - 2, products.bits
        weight = products.floats(f"{name}.kernel", kernel.read(), 32 if bits == 32 else 16)
        bias = products.floats(f"{name}.bias", self.tensors[f"{name}.bias"].read(), 32 if bits == 32 else 16)
        out = f"{name}.out"
        return self.file.node("Conv", [x, weight, bias], out, strides=[stride] * axes, pads=[padding] * 2 * axes)

    def gelu(self, x: str) -> str:
        """The exact one."""
        return self.file.node("Gelu", [x], f"{x}.gelu")

    def blocks(self, x: str) -> str:
        """All of them and the last norm.  # (1, states, hidden) float32 to the same"""
        for block in range(self.config.num_hidden_layers):
            x = self._block(x, f"blocks.{block}")
        return self._norm(x, "norm")

    def project(self, x: str) -> None:
        """To the output `embeddings`.  # (tokens, merged * hidden) float32 to (tokens, width)"""
        x = self.gelu(self._linear(x, "projector.0"))
        self.file.node("Identity", [self._linear(x, "projector.2")], "embeddings")

    def _block(self, x: str, name: str) -> str:
        file, products = self.file, self.products
        normed = products.cast(self._norm(x, f"{name}.norm1"), products.dtype)
        parts = [f"{name}.{part}" for part in "qkv"]
        file.node("Split", [self._product(normed, f"{name}.attn.qkv")], parts, axis=2, num_outputs=3)
        mixed = self._product(self._attention(parts, f"{name}.mixed"), f"{name}.attn.proj")
        x = file.node("Add", [x, products.cast(mixed, SINGLE)], f"{name}.attn.sum")
        inner = self.gelu(self._linear(self._norm(x, f"{name}.norm2"), f"{name}.mlp.fc1"))
        return file.node("Add", [x, self._linear(inner, f"{name}.mlp.fc2")], f"{name}.sum")

    def _attention(self, parts: list[str], output: str) -> str:
        heads = self.config.num_attention_heads
        if self.is_fused:
            return self.file.node("MultiHeadAttention", parts, output, domain=FUSED, num_heads=heads)
        return self.file.node("Attention", parts, output, q_num_heads=heads, kv_num_heads=heads)

    def _norm(self, x: str, name: str) -> str:
        weight = self.products.vector(f"{name}.weight", self.tensors[f"{name}.weight"])
        epsilon = self.config.rms_norm_eps
        return self.file.node("RMSNormalization", [x, weight], f"{name}.out", axis=-1, epsilon=epsilon)

    def _product(self, x: str, name: str) -> str:
        return self.products.times(x, name, self.tensors[f"{name}.weight"])

    def _linear(self, x: str, name: str) -> str:
        return self.products.linear(x, name, self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"])
