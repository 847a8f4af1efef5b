"""Engines of full-size models with random weights: what they compute is worthless, how long it takes is not.

No checkpoint is needed: all tensors lie over one file of random numbers, as large as the largest of them. A benchmark
reads only vectors from it; matrices and tables are written as random integers, which is much faster than rounding.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edged.engine.manifest import UNMEASURED, Graph, Manifest, Precision, Source, Stage, Tokens
from engines.architecture import Architecture, expected_shapes
from engines.checkpoint import Checkpoint, Vocabulary
from engines.graph.decoder import write_decoder
from engines.graph.integer_weights import IntegerFormat, IntegerWeights
from engines.graph.model_file import Activations, ModelFile
from engines.graph.onnxruntime import OnnxRuntimeDialect
from engines.quantize import Blocks, Rounding, packed
from engines.rope import Rope, rope_from
from engines.tensor import Tensor

POOL_FILE = "random.bin"


def glm_9b(*, layers: int = 40) -> Architecture:
    """The text model of AutoGLM-Phone-9B and GLM-4.1V-9B-Thinking."""
    rope = rope_from({}, theta=10000.0, rotary_dim=64, context=65536)
    seeing = Rope(frequencies=rope.frequencies, sections=(8, 12, 12))
    return Architecture(
        model_type="glm4v",
        layers=layers,
        hidden_size=4096,
        intermediate_size=13696,
        heads=32,
        kv_heads=2,
        head_dim=128,
        vocab_size=151552,
        context_length=65536,
        norm_epsilon=1e-5,
        tied=False,
        windows=(0,) * layers,
        ropes=(seeing,) * layers,
        post_norms=True,
        query_scale=128**-0.5,
    )


def llama_3_8b() -> Architecture:
    """Meta's Llama 3 8B."""
    return Architecture(
        model_type="llama",
        layers=32,
        hidden_size=4096,
        intermediate_size=14336,
        heads=32,
        kv_heads=8,
        head_dim=128,
        vocab_size=128256,
        context_length=8192,
        norm_epsilon=1e-5,
        tied=False,
        windows=(0,) * 32,
        ropes=(rope_from({}, theta=500000.0, rotary_dim=128, context=8192),) * 32,
        query_scale=128**-0.5,
    )


def gemma_2b() -> Architecture:
    """Google's first Gemma 2B."""
    return Architecture(
        model_type="gemma",
        layers=18,
        hidden_size=2048,
        intermediate_size=16384,
        heads=8,
        kv_heads=1,
        head_dim=256,
        vocab_size=256000,
        context_length=8192,
        norm_epsilon=1e-6,
        tied=True,
        windows=(0,) * 18,
        ropes=(rope_from({}, theta=10000.0, rotary_dim=256, context=8192),) * 18,
        activation="gelu_tanh",
        embedding_scale=2048**0.5,
        query_scale=256**-0.5,
    )


def tiny() -> Architecture:
    """GLM's features in a size for trying things out."""
    rope = rope_from({}, theta=10000.0, rotary_dim=16, context=8192)
    return Architecture(
        model_type="glm4v",
        layers=2,
        hidden_size=128,
        intermediate_size=384,
        heads=4,
        kv_heads=2,
        head_dim=32,
        vocab_size=512,
        context_length=8192,
        norm_epsilon=1e-5,
        tied=False,
        windows=(0, 0),
        ropes=(Rope(frequencies=rope.frequencies, sections=(2, 3, 3)),) * 2,
        post_norms=True,
        query_scale=32**-0.5,
    )


def random_checkpoint(architecture: Architecture, folder: Path, biased: Sequence[str] = ()) -> Checkpoint:
    """All tensors of an architecture, `biased` ones with a bias, over one file that is made in the folder."""
    some = Tensor(name="", path=folder / POOL_FILE, offset=0, shape=(1,), encoding="BF16")
    shapes = dict(expected_shapes(architecture, {f"layers.0.{name}.bias": some for name in biased}))
    most = max(math.prod(shape) for shape in shapes.values())
    _write_pool(folder / POOL_FILE, most, architecture.hidden_size**-0.5)
    return Checkpoint(
        kind="random",
        path=folder,
        title="random weights",
        license="none",
        encoding="BF16",
        architecture=architecture,
        tensors={name: _tensor(name, shape, folder / POOL_FILE) for name, shape in shapes.items()},
        vocabulary=Vocabulary(
            tokenizer="", bos=None, eos=(0,), bos_text="", eos_text="", has_reasoning=False, chat_template=""
        ),
    )


def write_engine(checkpoint: Checkpoint, storage: IntegerFormat, activations: Activations, folder: Path) -> Manifest:
    """The engine in ONNX Runtime's operators; its manifest stands for no installed engine and is not written."""
    arch = checkpoint.architecture
    with ModelFile(folder / "model.onnx", activations) as file:
        weights = _RandomWeights(file, storage, quantize=random_blocks)
        positions = min(arch.context_length, 8192)
        write_decoder(arch, OnnxRuntimeDialect(checkpoint, file, weights, positions), lambda done: None)
        file.save(arch.model_type)
    return Manifest(
        name=arch.model_type,
        title=checkpoint.title,
        model_type=arch.model_type,
        parameters=checkpoint.parameters,
        context_length=arch.context_length,
        vocab_size=arch.vocab_size,
        layers=arch.layers,
        kv_heads=arch.kv_heads,
        head_dim=arch.head_dim,
        hidden_size=arch.hidden_size,
        precision=Precision(
            linear="int4", block_size=storage.linear.block_size, head="int4", embedding="int4", label="random INT4"
        ),
        graph=Graph(
            stages=(Stage(file="model.onnx", layers=arch.layers),),
            standard=None,
            activations=activations,
            embeddings=arch.sees,
            mrope=arch.mrope,
        ),
        tokens=Tokens(bos=None, eos=(0,), bos_text="", eos_text="", reasoning_open=None, reasoning_close=None),
        tokenizer_file="",
        chat_template_file="",
        files={},
        source=Source(kind="random", name="random", sha256="", quantization="BF16"),
        license="none",
        quality=UNMEASURED,
        recipe="",
        edged_version="",
        built_at="",
    )


def random_format(block_size: int) -> IntegerFormat:
    """INT4 everywhere."""
    rounding = Rounding(bits=4, block_size=block_size, keep=False)
    return IntegerFormat(linear=rounding, minimum={}, head=rounding, embedding=rounding)


def random_blocks(name: str, parts: Sequence[Tensor], rounding: Rounding) -> Blocks:
    """Satisfies `Quantize`: integers that have nothing to do with the tensors, but leave what passes as large.

    No two matrices are the same: ONNX Runtime would notice and keep one, which caches like better than a real model.
    """
    rows, columns = sum(part.rows for part in parts), parts[0].columns
    blocks, values = math.ceil(columns / rounding.block_size), 2**rounding.bits
    chance = np.random.default_rng(zlib.crc32(name.encode()))
    q = chance.integers(0, values, (rows, blocks, rounding.block_size), np.uint8)
    scale = np.full((rows, blocks), math.sqrt(12 / columns) / values, np.float32)
    return Blocks(rounding.bits, scale, -(values // 2) * scale, q)


class _RandomWeights(IntegerWeights):
    """Tables are random, too."""

    def _table(self, table: Tensor, rounding: Rounding) -> tuple[str, str, tuple[int, int]]:
        name = f"{table.name}.int{rounding.bits}"
        if not self.file.has_weight(name):
            values = random_blocks(name, [table], rounding)
            self.file.weight(name, packed(values))
            self.file.number(f"{name}.scale", values.scale)
        return name, f"{name}.scale", (table.rows, table.columns // rounding.block_size)


def _tensor(name: str, shape: tuple[int, ...], pool: Path) -> Tensor:
    norm = len(shape) == 1 and name.endswith(".weight")
    return Tensor(name=name, path=pool, offset=0, shape=shape, encoding="BF16", added=1.0 if norm else 0.0)


def _write_pool(path: Path, values: int, spread: float) -> None:
    """So many BF16 numbers, repeating after four million."""
    drawn = np.random.default_rng(0).normal(0, spread, 4_194_301).astype(np.float32)
    piece = (drawn.view(np.uint32) >> 16).astype(np.uint16)
    with path.open("wb") as file:
        for start in itertools.count(0, len(piece)):
            if start >= values:
                break
            file.write(piece[: values - start].tobytes())
