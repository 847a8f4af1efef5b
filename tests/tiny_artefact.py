"""A complete engine of a few kilobytes, built in a moment with a fixed seed, for every test that needs one.

Llama's shape (RMS norm, grouped-query attention with rotary positions, SwiGLU) with random weights: what it
says means nothing, is always the same at temperature 0, and never ends by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from edged.engine.manifest import (
    UNMEASURED,
    Graph,
    Manifest,
    Precision,
    Source,
    Stage,
    Tokens,
    describe_files,
)
from edged.engine.senses import Vision

LAYERS, HEADS, KV_HEADS, HEAD_DIM, FFN = 2, 4, 2, 16, 128
HIDDEN = HEADS * HEAD_DIM
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
MERGES = (
    ("t", "h"),
    ("th", "e"),
    ("i", "n"),
    ("e", "r"),
    ("l", "l"),
    ("h", "e"),
    ("he", "ll"),
    ("Ġ", "a"),
    ("Ġ", "the"),
)
CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

EYES = Vision(
    file="model.onnx",
    standard="model.onnx",
    precision="",
    patch_size=14,
    temporal_patch_size=2,
    merge_size=2,
    position_side=4,
    min_pixels=1,
    max_pixels=10**6,
    rescale_factor=1 / 255,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    image_token=3,
    image_text="<|image|>",
    cosine_similarity=1.0,
)
"""What a manifest says of a model that sees; there is no tower behind it."""


Entering = Literal["tokens", "embeddings", "types"]
"""What the graph takes: tokens alone, embeddings in place of some, and what each token is part of as well."""


def tiny_artefact(
    folder: Path, name: str = "tiny", *, seed: int = 0, slow_ms: float = 0.0, context_length: int = 2048
) -> Path:
    """Build the engine `name` in the engines directory `folder`; returns its own folder.

    Another seed is another model. slow_ms adds about that much work to every step, for tests that cancel.
    """
    artefact = folder / name
    artefact.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny_tokenizer()
    save_model(artefact, tokenizer, seed=seed, slow_ms=slow_ms, context_length=context_length)
    (artefact / "chat_template.jinja").write_text(CHATML, encoding="utf-8")
    manifest_of(artefact, name, tokenizer, context_length).write(artefact)
    return artefact


def save_model(
    artefact: Path,
    tokenizer: Tokenizer,
    *,
    seed: int = 0,
    slow_ms: float = 0.0,
    context_length: int = 2048,
    entering: Entering = "tokens",
) -> None:
    """Write the tokenizer and the graph of the text model."""
    tokenizer.save(str(artefact / "tokenizer.json"))
    onnx.save_model(
        _model(tokenizer, seed=seed, slow_ms=slow_ms, context_length=context_length, entering=entering),
        artefact / "model.onnx",
        save_as_external_data=True,
        location="model.onnx.data",
        size_threshold=1024,
    )


def tiny_tokenizer(specials: Sequence[str] = SPECIALS) -> Tokenizer:
    """Byte-level BPE over all 256 bytes with a handful of merges and control tokens, by default ChatML's."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: index for index, token in enumerate(alphabet)}
    for left, right in MERGES:
        vocab[left + right] = len(vocab)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=list(MERGES)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in specials])
    return tokenizer


def manifest_of(artefact: Path, name: str, tokenizer: Tokenizer, context_length: int) -> Manifest:
    """What the run time has to know of the files that are there."""
    return Manifest(
        name=name,
        title="Tiny random model",
        model_type="llama",
        parameters=100_000,
        context_length=context_length,
        vocab_size=tokenizer.get_vocab_size(),
        layers=LAYERS,
        kv_heads=KV_HEADS,
        head_dim=HEAD_DIM,
        precision=Precision(linear="float32", block_size=32, head="float32", embedding="float32", label="float32"),
        hidden_size=HIDDEN,
        graph=Graph(stages=(Stage(file="model.onnx", layers=LAYERS),), standard=None, activations="float32"),
        tokens=Tokens(
            bos=None,
            eos=(tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")),
            bos_text="",
            eos_text="<|im_end|>",
            reasoning_open="<think>",
            reasoning_close="</think>",
        ),
        tokenizer_file="tokenizer.json",
        chat_template_file="chat_template.jinja",
        files=describe_files(artefact),
        source=Source(kind="safetensors", name="random", sha256="0" * 64, quantization="F32"),
        license="Apache-2.0",
        quality=UNMEASURED,
        recipe="tiny",
        edged_version="0",
        built_at="2026-01-01T00:00:00Z",
    )


class _GraphBuilder:
    """Collects nodes and weights of the graph."""

    def __init__(self, seed: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(seed)

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def op(self, kind: str, *inputs: str, domain: str = "", outputs: int = 1, **attributes: Any) -> str:
        """Add a node; returns the name of its first output, the others end in .1, .2 ..."""
        name = f"{kind}_{len(self.nodes)}"
        names = [name, *(f"{name}.{index}" for index in range(1, outputs))]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=name, domain=domain, **attributes))
        return name

    def linear(self, hidden: str, rows: int, columns: int) -> str:
        weight = self._random.standard_normal((rows, columns), dtype=np.float32) * np.float32(1.5 / rows**0.5)
        return self.op("MatMul", hidden, self.constant(f"w{len(self.weights)}", weight))

    def norm(self, hidden: str) -> str:
        scale = self.constant(f"norm{len(self.weights)}", np.ones(HIDDEN, dtype=np.float32))
        return self.op("SimplifiedLayerNormalization", hidden, scale, axis=-1, epsilon=1e-5)

    def attention(self, hidden: str, layer: int) -> str:
        query = self.linear(hidden, HIDDEN, HEADS * HEAD_DIM)
        key = self.linear(hidden, HIDDEN, KV_HEADS * HEAD_DIM)
        value = self.linear(hidden, HIDDEN, KV_HEADS * HEAD_DIM)
        name = f"attention.{layer}"
        past, present = f"past_key_values.{layer}", f"present.{layer}"
        self.nodes.append(
            helper.make_node(
                "GroupQueryAttention",
                [query, key, value, f"{past}.key", f"{past}.value", "seqlens_k", "total_sequence_length", "cos", "sin"],
                [name, f"{present}.key", f"{present}.value"],
                name=name,
                domain="com.microsoft",
                num_heads=HEADS,
                kv_num_heads=KV_HEADS,
                do_rotary=1,
            )
        )
        return self.linear(name, HIDDEN, HIDDEN)

    def feed_forward(self, hidden: str) -> str:
        gate = self.linear(hidden, HIDDEN, FFN)
        silu = self.op("Mul", gate, self.op("Sigmoid", gate))
        return self.linear(self.op("Mul", silu, self.linear(hidden, HIDDEN, FFN)), FFN, HIDDEN)

    def entered(self, table: str, entering: Entering) -> str:
        """Rows of the tokens, and of `embeddings` where those are below 0; a row of its own is added to each type's."""
        if entering == "tokens":
            return self.op("Gather", table, "input_ids", axis=0)
        zero = self.constant("no_token", np.zeros(1, np.int64))
        rows = self.op("Gather", table, self.op("Max", "input_ids", zero), axis=0)
        seen = self.op("Unsqueeze", self.op("Less", "input_ids", zero), self.constant("last", np.array([-1])))
        mixed = self.op("Where", seen, "embeddings", rows)
        if entering == "embeddings":
            return mixed
        types = self._random.standard_normal((3, HIDDEN), dtype=np.float32)
        return self.op("Add", mixed, self.op("Gather", self.constant("types", types), "token_types", axis=0))

    def burn(self, hidden: str, slow_ms: float) -> str:
        """The hidden state unchanged, after work that no optimiser can remove."""
        zero = self.op("Mul", self.op("ReduceMean", hidden, keepdims=1), self.constant("zero", np.float32(0.0)))
        flat = self.op("Reshape", zero, self.constant("scalar", np.array([1, 1], dtype=np.int64)))
        square = self.op("Expand", flat, self.constant("square", np.array([512, 512], dtype=np.int64)))
        for _ in range(max(1, round(slow_ms / 3))):
            square = self.op("MatMul", square, square)
        return self.op("Add", hidden, self.op("ReduceMean", square, keepdims=0))


def _model(
    tokenizer: Tokenizer, *, seed: int, slow_ms: float, context_length: int, entering: Entering
) -> onnx.ModelProto:
    graph = _GraphBuilder(seed)
    vocab = tokenizer.get_vocab_size()
    angles = np.outer(np.arange(context_length), 10000.0 ** -(np.arange(HEAD_DIM // 2) / (HEAD_DIM // 2)))
    graph.constant("cos", np.cos(angles).astype(np.float32))
    graph.constant("sin", np.sin(angles).astype(np.float32))
    table = np.random.default_rng(seed + 1).standard_normal((vocab, HIDDEN), dtype=np.float32)
    hidden = graph.entered(graph.constant("embedding", table), entering)
    for layer in range(LAYERS):
        hidden = graph.op("Add", hidden, graph.attention(graph.norm(hidden), layer))
        hidden = graph.op("Add", hidden, graph.feed_forward(graph.norm(hidden)))
    if slow_ms:
        hidden = graph.burn(hidden, slow_ms)
    last = graph.op("Gather", graph.norm(hidden), "logits_index", axis=1)
    graph.nodes.append(
        helper.make_node(
            "Add", [graph.linear(last, HIDDEN, vocab), graph.constant("bias", _speakable(tokenizer))], ["logits"]
        )
    )
    inputs, outputs = _signature(vocab, entering)
    made = helper.make_graph(graph.nodes, "tiny", inputs, outputs, graph.weights)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=10)


def _speakable(tokenizer: Tokenizer) -> NDArray[np.float32]:
    """Logit bias that leaves printable ASCII: no control token, so an answer never ends by itself."""
    bias = np.full(tokenizer.get_vocab_size(), -1000.0, dtype=np.float32)
    for token, index in tokenizer.get_vocab(with_added_tokens=False).items():
        if token.replace("Ġ", "x").isascii():
            bias[index] = 0.0
    return bias


def _signature(vocab: int, entering: Entering) -> tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]:
    value = helper.make_tensor_value_info
    inputs = [
        value("input_ids", TensorProto.INT64, [1, "tokens"]),
        value("seqlens_k", TensorProto.INT32, [1]),
        value("total_sequence_length", TensorProto.INT32, [1]),
        value("logits_index", TensorProto.INT64, ["scored"]),
    ]
    if entering != "tokens":
        inputs.append(value("embeddings", TensorProto.FLOAT, [1, "tokens", HIDDEN]))
    if entering == "types":
        inputs.append(value("token_types", TensorProto.INT64, [1, "tokens"]))
    outputs = [value("logits", TensorProto.FLOAT, [1, "scored", vocab])]
    cache = [1, KV_HEADS, "capacity", HEAD_DIM]
    for layer in range(LAYERS):
        for part in ("key", "value"):
            inputs.append(value(f"past_key_values.{layer}.{part}", TensorProto.FLOAT, cache))
            outputs.append(value(f"present.{layer}.{part}", TensorProto.FLOAT, cache))
    return inputs, outputs
