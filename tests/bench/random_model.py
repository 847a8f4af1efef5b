"""Engines of full-size models with random weights: what they compute is worthless, how long it takes is not.

No checkpoint is needed: all tensors lie over one file of random numbers, as large as the largest of them. A benchmark
reads only vectors from it; matrices and tables are written as random integers, which is much faster than rounding.
"""

from __future__ import annotations

import functools
import itertools
import math
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edged.engine.manifest import UNMEASURED, Graph, Manifest, Precision, Source, Stage, Tokens
from engines.architecture import Architecture, expected_shapes
from engines.autoglm_phone.config import FULL_SIZE, PhoneConfig
from engines.checkpoint import Checkpoint, Vocabulary
from engines.checkpoint.config import read_architecture, text_config
from engines.graph.decoder import write_decoder
from engines.graph.expert_weights import Expert, integer_experts
from engines.graph.integer_weights import IntegerFormat, IntegerWeights
from engines.graph.model_file import Activations, ModelFile
from engines.graph.onnxruntime import OnnxRuntimeDialect
from engines.nano.shape import nano_config
from engines.quantize import Blocks, Rounding, packed
from engines.rope import Rope, rope_from
from engines.tensor import Bytes, Floats, Tensor

POOL_FILE = "random.bin"


def glm_9b(*, layers: int = 40) -> Architecture:
    """The text model of GLM-4.1V-9B-Thinking and of the AutoGLM-Phone-9B that is published: dense."""
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


def phone_9b() -> Architecture:
    """The text model of the article's AutoGLM-Phone-9B: 56 experts, of which a token passes 4."""
    return _text_model(FULL_SIZE)


def phone_9b_of_text() -> Architecture:
    """The same without its adapters, which add nothing to text: what they cost a token."""
    return replace(phone_9b(), adapter_ranks=())


def nano() -> Architecture:
    """The text model of autoglm-phone-nano."""
    return _text_model(nano_config())


def tiny_phone() -> Architecture:
    """The same features in a size for trying things out."""
    text = replace(
        FULL_SIZE.text,
        vocab_size=512,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        head_dim=32,
        num_experts=8,
        num_experts_per_tok=2,
        moe_intermediate_size=192,
        vision_adapter_rank=32,
        audio_adapter_rank=32,
        max_position_embeddings=8192,
    )
    return _text_model(replace(FULL_SIZE, text=text))


def wide_phone() -> Architecture:
    """A small one whose experts are wide and many enough for the kernels that a GPU keeps for single tokens."""
    text = replace(
        FULL_SIZE.text,
        vocab_size=512,
        hidden_size=1024,
        num_hidden_layers=2,
        num_attention_heads=8,
        num_experts=8,
        moe_intermediate_size=1024,
        max_position_embeddings=256,
    )
    return _text_model(replace(FULL_SIZE, text=text))


def _text_model(config: PhoneConfig) -> Architecture:
    return read_architecture(text_config(config.to_json()))


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
    """The engine in ONNX Runtime's operators, model.onnx and its data; and its manifest, which is not written."""
    arch = checkpoint.architecture
    with ModelFile(folder / "model.onnx", activations) as file:
        weights = _RandomWeights(file, storage, quantize=random_blocks)
        positions = min(arch.context_length, 8192)
        write_decoder(arch, OnnxRuntimeDialect(checkpoint, file, weights, positions), lambda done: None)
        file.save(arch.model_type)
    return manifest_of(checkpoint, storage, activations)


def manifest_of(checkpoint: Checkpoint, storage: IntegerFormat, activations: Activations) -> Manifest:
    """Of an engine that `write_engine` makes; it stands for no installed one."""
    arch = checkpoint.architecture
    return Manifest(
        name=arch.model_type,
        title=checkpoint.title,
        model_type=arch.model_type,
        parameters=checkpoint.parameters,
        active_parameters=arch.active_parameters if arch.experts else 0,
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
            adapters=arch.adapts,
            experts=arch.experts,
            experts_per_token=arch.experts_per_token,
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


def nano_format(block_size: int) -> IntegerFormat:
    """INT4, embedding and head INT8."""
    table = Rounding(bits=8, block_size=block_size, keep=False)
    return replace(random_format(block_size), head=table, embedding=table)


def random_blocks(name: str, parts: Sequence[Tensor], rounding: Rounding) -> Blocks:
    """Satisfies `Quantize`: integers that have nothing to do with the tensors, but leave what passes as large.

    No two matrices are the same: ONNX Runtime would notice and keep one, which caches like better than a real model.
    Their mean is 0: otherwise wide layers make all states the same, and a router chooses the same experts for all.
    """
    rows, columns = sum(part.rows for part in parts), parts[0].columns
    blocks, values = math.ceil(columns / rounding.block_size), 2**rounding.bits
    chance = np.random.default_rng(zlib.crc32(name.encode()))
    q = chance.integers(1, values, (rows, blocks, rounding.block_size), np.uint8)
    scale = np.full((rows, blocks), math.sqrt(12 / columns) / values, np.float32)
    return Blocks(rounding.bits, scale, -(values // 2) * scale, q)


def random_expert(name: str, expert: Expert, kind: str, rounding: Rounding) -> tuple[Bytes, Floats]:
    """Satisfies `Stored`, as `random_blocks`: pieces of one pool, for there are gigabytes to be written."""
    rows, columns = expert.down.shape if kind == "down" else (2 * expert.down.columns, expert.down.rows)
    pool, size = _random_bytes(), rows * columns * rounding.bits // 8
    start = zlib.crc32(f"{name}.{kind}".encode()) % (len(pool) - size)
    scale = math.sqrt(12 / columns) / 2**rounding.bits
    return pool[start : start + size], np.full((rows, columns // rounding.block_size), scale, np.float32)


@functools.cache
def _random_bytes() -> Bytes:
    """Two integers of 4 bits in each."""
    low, high = np.random.default_rng(0).integers(1, 16, (2, 2**24), np.uint8)
    return low | (high << 4)


class _RandomWeights(IntegerWeights):
    """Tables and experts are random, too."""

    def experts(self, name: str, x: str, scores: str, experts: Sequence[Expert], chosen: int) -> str:
        """See Weights."""
        linear = self.format.linear
        return integer_experts(self.file, name, (x, scores), experts, chosen, linear, self.accuracy, random_expert)

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
    """So many BF16 numbers, repeating after four million, if they are not there yet."""
    if path.exists() and path.stat().st_size == 2 * values:
        return
    drawn = np.random.default_rng(0).normal(0, spread, 4_194_301).astype(np.float32)
    piece = (drawn.view(np.uint32) >> 16).astype(np.uint16)
    with path.open("wb") as file:
        for start in itertools.count(0, len(piece)):
            if start >= values:
                break
            file.write(piece[: values - start].tobytes())
