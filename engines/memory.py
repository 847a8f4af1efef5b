"""What a model needs of a device's memory and bandwidth, by arithmetic alone: no weights are read.

Counted is what the graph writer stores (codes, scales, zero points, tables, norms), not what a runtime keeps
beside it. Decoding one token reads all weights but the embedding table once, and the keys and values before it,
so bytes over bandwidth is the least time a token can take.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from edged.engine.session import TokenType

from .architecture import Architecture
from .graph.integer_weights import IntegerFormat, Minimum
from .quantize import Rounding, dividing
from .vision.tower import VisionTower

GB = 10**9
CONTEXTS = (4096, 25480)
"""Tokens: a conversation, and the longest prompt of the phone agent's reference client."""
FLOAT_BYTES: Mapping[str, int] = MappingProxyType({"float32": 4, "float16": 2})


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What runs a model."""

    title: str
    memory: int
    """Bytes; shared with the operating system where GPU and CPU have one memory."""
    bandwidth: float
    """Bytes a second its memory delivers, by its maker's sheet or as measured."""


DEVICES: Mapping[str, Device] = MappingProxyType(
    {
        "cpu": Device(title="2 cores of an AMD EPYC (Zen 3), 16 GB", memory=16 * GB, bandwidth=25.9 * GB),
        "jetson-agx-orin-32gb": Device(title="Jetson AGX Orin 32 GB", memory=32 * GB, bandwidth=204.8 * GB),
        "jetson-agx-orin-64gb": Device(title="Jetson AGX Orin 64 GB", memory=64 * GB, bandwidth=204.8 * GB),
        "rtx-4090": Device(title="GeForce RTX 4090 24 GB", memory=24 * GB, bandwidth=1008 * GB),
        "rtx-4090-x2": Device(title="2 GeForce RTX 4090, 24 GB each", memory=48 * GB, bandwidth=1008 * GB),
        "h100": Device(title="H100 SXM 80 GB", memory=80 * GB, bandwidth=3350 * GB),
    }
)
"""By the name of the recipe made for it. Two GPUs that share the layers take turns: memory adds up, speed does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextShape:
    """The sizes of a text model that decide its memory, named as in `Architecture`."""

    layers: int
    hidden_size: int
    intermediate_size: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab_size: int
    tied: bool
    """The head is the embedding table."""
    rotary_values: int = 0
    """Numbers in the tables of cosines and sines; none where the graph computes angles itself."""
    qkv_bias: bool = False
    norms: int = 2
    """Norms a layer."""
    head_norms: bool = False
    """Query and key heads are normed."""
    experts: int = 0
    experts_per_token: int = 0
    adapter_ranks: tuple[int, ...] = ()

    @property
    def parameters(self) -> int:
        """Of the text model, biases aside; as `Architecture` counts them."""
        hidden, head_norms = self.hidden_size, 2 * self.head_dim if self.head_norms else 0
        layer = sum(rows * columns for rows, columns in self.matrices().values())
        layer += self.experts * (3 * hidden * self.intermediate_size + hidden)
        layer += self.norms * hidden + head_norms + len(self.adapter_ranks)
        return (1 if self.tied else 2) * self.vocab_size * hidden + self.layers * layer + hidden

    @property
    def active_parameters(self) -> int:
        """Those that a token passes: of the experts only the chosen ones."""
        idle = self.layers * (self.experts - self.experts_per_token)
        return self.parameters - idle * 3 * self.hidden_size * self.intermediate_size

    def matrices(self) -> dict[str, tuple[int, int]]:
        """Rows and columns of the matrices of a layer, as the graph fuses them, experts aside."""
        hidden, inner = self.hidden_size, self.intermediate_size
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        found = {"qkv": (q + 2 * kv, hidden), "o": (hidden, q)}
        if self.adapter_ranks:
            ranks = sum(self.adapter_ranks)
            found |= {"adapter_down": (ranks, hidden), "adapter_up": (hidden, ranks)}
        return found if self.experts else found | {"gate_up": (2 * inner, hidden), "down": (hidden, inner)}

    def block_size(self, kind: str, usual: int) -> int:
        """Of such a matrix: the kernel of experts and matrices side by side want blocks that divide their rows."""
        if kind == "experts":
            return dividing(usual, self.hidden_size, self.intermediate_size)
        if kind == "adapter_up":
            return min(dividing(usual, rank) for rank in self.adapter_ranks)
        return usual


def text_shape(arch: Architecture, *, positions: int, qkv_bias: bool) -> TextShape:
    """Of a checkpoint's architecture, with rotary tables for so many positions."""
    tables = (rope for rope in dict.fromkeys(arch.ropes) if not rope.sections)
    return TextShape(
        layers=arch.layers,
        hidden_size=arch.hidden_size,
        intermediate_size=arch.intermediate_size,
        heads=arch.heads,
        kv_heads=arch.kv_heads,
        head_dim=arch.head_dim,
        vocab_size=arch.vocab_size,
        tied=arch.tied,
        rotary_values=sum(positions * rope.rotary_dim for rope in tables),
        qkv_bias=qkv_bias,
        norms=2 + 2 * arch.post_norms + arch.adapts,
        head_norms=arch.head_norms,
        experts=arch.experts,
        experts_per_token=arch.experts_per_token,
        adapter_ranks=arch.adapter_ranks,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionShape:
    """The sizes of a vision tower in the manner of glm4v: patches, blocks of attention and gated MLP, merger."""

    depth: int
    hidden_size: int
    intermediate_size: int
    """Of a block's MLP."""
    heads: int
    patch_values: int
    """Numbers in a patch: channels * frames * height * width."""
    positions: int
    """Rows of the table of position embeddings."""
    merge: int
    """Patches on each side of the square that becomes one token."""
    output_size: int
    """Hidden size of the text model."""
    merger_size: int
    """Width of the merger's MLP."""

    def matrices(self) -> dict[str, tuple[int, int, int]]:
        """How often, rows and columns of each matrix."""
        hidden, output = self.hidden_size, self.output_size
        return {
            "patch": (1, hidden, self.patch_values),
            "qkv": (self.depth, 3 * hidden, hidden),
            "proj": (self.depth, hidden, hidden),
            "gate_up": (self.depth, 2 * self.intermediate_size, hidden),
            "down": (self.depth, hidden, self.intermediate_size),
            "downsample": (1, output, hidden * self.merge**2),
            "merger.proj": (1, output, output),
            "merger.gate_up": (1, 2 * self.merger_size, output),
            "merger.down": (1, output, self.merger_size),
        }


def vision_shape(tower: VisionTower) -> VisionShape:
    """Of a checkpoint's vision tower."""
    return VisionShape(
        depth=tower.depth,
        hidden_size=tower.hidden_size,
        intermediate_size=tower.out_hidden_size,
        heads=tower.heads,
        patch_values=tower.patch_values,
        positions=tower.position_side**2,
        merge=tower.merge_size,
        output_size=tower.out_hidden_size,
        merger_size=tower.merger_size,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Bytes of one model in one format."""

    linear: int
    """Codes of the layers' matrices, of all experts, and what acts for the minimum of kept blocks."""
    scales: int
    """Their scales and zero points."""
    embedding: int
    """The table with its scales; 0 where it is the head."""
    head: int
    small: int
    """Norms, biases, gates of adapters and rotary tables."""
    router: int
    """Of all layers, in float32 whatever the graph computes in."""
    idle: int
    """Codes and scales of the experts that a token does not choose, which are part of the above."""
    vision: int
    """Of what sees, and of what hears."""
    kv_per_token: int
    """Keys and values of one token in all layers."""

    @property
    def weights(self) -> int:
        """All of it, once."""
        return self.text + self.vision

    @property
    def text(self) -> int:
        """Without the vision tower."""
        return self.linear + self.scales + self.embedding + self.head + self.small + self.router

    def kv(self, context: int) -> int:
        """Keys and values of so many tokens."""
        return context * self.kv_per_token

    def read_per_token(self, context: int) -> int:
        """Bytes that decoding one token after `context` others must read.

        Of the experts those that it chooses. Of a separate embedding table and of rotary tables that is one row,
        which is left out. Sliding windows read less than is said here.
        """
        return self.linear + self.scales - self.idle + self.router + self.head + self.kv(context)

    def token_ms(self, device: Device, context: int) -> float:
        """Milliseconds that bandwidth alone asks of a token: no engine is faster."""
        return self.read_per_token(context) / device.bandwidth * 1e3


def footprint(
    shape: TextShape,
    storage: IntegerFormat,
    *,
    activations: str,
    vision: VisionShape | None = None,
    vision_bits: int = 16,
    kept_minimum: bool = False,
) -> Footprint:
    """Bytes of a model stored as a recipe says.

    activations: "float32" or "float16", which keys, values, scales and norms have too.
    kept_minimum: the checkpoint is a GGUF file of Q4_1 blocks, which the recipe keeps.
    """
    size = FLOAT_BYTES[activations]
    linear = scales = idle = 0
    for layer in range(shape.layers):
        for kind, (rows, columns) in shape.matrices().items():
            minimum = storage.minimum[kind] if kept_minimum else None
            rounding = storage.rounding(f"layers.{layer}.{kind}")
            if rounding is not None:
                rounding = replace(rounding, block_size=shape.block_size(kind, rounding.block_size))
            codes, factors = _matrix_bytes(rows, columns, rounding, size, minimum)
            linear += codes
            scales += factors
        codes, factors = _expert_bytes(shape, storage.rounding(f"layers.{layer}.experts"), size)
        linear += shape.experts * codes
        scales += shape.experts * factors
        idle += (shape.experts - shape.experts_per_token) * (codes + factors)
    head, embedding = storage.rounding("head"), storage.rounding("embedding")
    # As floats a head is stored in the other order than a table.
    is_one = shape.tied and head is not None and _in_table(shape, head) == _in_table(shape, embedding)
    return Footprint(
        linear=linear,
        scales=scales,
        embedding=0 if is_one else _table_bytes(shape, embedding, size),
        head=_table_bytes(shape, head, size),
        small=_small_values(shape) * size,
        router=shape.layers * shape.experts * shape.hidden_size * FLOAT_BYTES["float32"],
        idle=idle,
        vision=0 if vision is None else vision_weights(vision, vision_bits),
        kv_per_token=2 * size * shape.layers * shape.kv_heads * shape.head_dim,
    )


def vision_weights(shape: VisionShape, bits: int) -> int:
    """Bytes of the tower; norms, biases and scales are a thousandth of it and left out."""
    matrices = sum(count * rows * columns for count, rows, columns in shape.matrices().values())
    return matrices * bits // 8 + shape.positions * shape.hidden_size * 4


def vision_working(shape: VisionShape, patches: int, activations: str, *, dequantized: bool) -> int:
    """Bytes that computing a picture of so many patches takes for its time.

    At its widest, in the gated layer of a block, a patch has gate, up, what becomes of them and float32 sums; attention
    works in tiles, which are small. `dequantized`: all INT8 weights become floats before it begins, as ONNX Runtime is
    assumed to do on a GPU; its CPU kernels take a matrix at a time.
    Measured on a CPU with a tower of two blocks: 136 kB a patch at 1,024 patches, 127 kB at 3,108; by this, 123 kB.
    """
    size = FLOAT_BYTES[activations]
    widest = 6 * shape.intermediate_size * size + 4 * shape.hidden_size * FLOAT_BYTES["float32"]
    return patches * widest + (vision_weights(shape, 8 * size) if dequantized else 0)


def _expert_bytes(shape: TextShape, rounding: Rounding | None, size: int) -> tuple[int, int]:
    """Codes and scales of one expert of one layer: always symmetric, never with a minimum."""
    if rounding is not None:
        block_size = shape.block_size("experts", rounding.block_size)
        rounding = replace(rounding, block_size=block_size, symmetric=True)
    hidden, inner = shape.hidden_size, shape.intermediate_size
    first = _matrix_bytes(2 * inner, hidden, rounding, size, None)
    second = _matrix_bytes(hidden, inner, rounding, size, None)
    return first[0] + second[0], first[1] + second[1]


def _matrix_bytes(
    rows: int, columns: int, rounding: Rounding | None, size: int, minimum: Minimum | None
) -> tuple[int, int]:
    """Codes, and scales with zero points. `minimum` says what becomes of that of kept blocks."""
    if rounding is None:
        return rows * columns * size, 0
    blocks = math.ceil(columns / rounding.block_size)
    bits, extra = rounding.bits, 0
    if minimum == "int8":
        bits = 8
    if minimum == "exact":
        extra = rows * blocks * size
    if minimum == "columns":  # the remainder of each block becomes one more column
        blocks += math.ceil(blocks / rounding.block_size)
    has_zero_points = minimum is not None or not rounding.symmetric
    zero_points = rows * math.ceil(blocks * bits / 8) if has_zero_points else 0
    return rows * blocks * rounding.block_size * bits // 8 + extra, rows * blocks * size + zero_points


def _table_bytes(shape: TextShape, rounding: Rounding | None, size: int) -> int:
    """Tables are always symmetric."""
    values = shape.vocab_size * shape.hidden_size
    stored = _in_table(shape, rounding)
    if stored is None:
        return values * size
    bits, block_size = stored
    return values * bits // 8 + values // block_size * size


def _in_table(shape: TextShape, rounding: Rounding | None) -> tuple[int, int] | None:
    """Bits and block size of a table: a size that divides a row, as its kernel needs; None of floats."""
    if rounding is None:
        return None
    return rounding.bits, next(size for size in (rounding.block_size, 64, 32, 16) if shape.hidden_size % size == 0)


def _small_values(shape: TextShape) -> int:
    qkv = (shape.heads + 2 * shape.kv_heads) * shape.head_dim if shape.qkv_bias else 0
    heads = 2 * shape.head_dim if shape.head_norms else 0
    gates = len(TokenType) * sum(shape.adapter_ranks)
    layer = shape.norms * shape.hidden_size + qkv + heads + gates
    return shape.layers * layer + shape.hidden_size + shape.rotary_values
