"""A tiny engine with eyes and ears of autoglm_phone's kind: a token stands for 32 x 32 pixels or 80 ms of sound."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edged.engine.manifest import describe_files
from edged.engine.senses import PIXELS, Audio, Vision
from tests.tiny_artefact import HIDDEN, Entering, manifest_of, save_model, tiny_tokenizer

SPECIALS = (
    "<|endoftext|>",
    "<|user|>",
    "<|assistant|>",
    "<|begin_of_image|>",
    "<|image|>",
    "<|end_of_image|>",
    "<|begin_of_audio|>",
    "<|audio|>",
    "<|end_of_audio|>",
    "<think>",
    "</think>",
    "<|im_end|>",
)
TEMPLATE = (
    "{% for message in messages if message.role != 'system' %}{{ '<|' + message.role + '|>' }}"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'text' %}{{ part.text }}"
    "{% else %}{{ '<|begin_of_' + part.type + '|><|' + part.type + '|><|end_of_' + part.type + '|>' }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if message.role == 'assistant' %}{{ '<|endoftext|>' }}{% endif %}{% endfor %}{{ '<|assistant|>' }}"
)
SIDE, STRIDE = 14, 16
MAX_SECONDS = 3


def sensing_artefact(
    folder: Path,
    name: str = "sensing",
    *,
    context_length: int = 512,
    entering: Entering = "types",
    ears: bool = True,
    slow_ms: float = 0.0,
) -> Path:
    """Build the engine `name` in the engines directory `folder`; returns its own folder.

    slow_ms: about what the audio tower works at least, for tests that cancel.
    """
    artefact = folder / name
    artefact.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny_tokenizer(SPECIALS)
    save_model(artefact, tokenizer, context_length=context_length, entering=entering)
    (artefact / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    onnx.save_model(_vision(), artefact / "vision.onnx")
    onnx.save_model(_audio(slow_ms), artefact / "audio.onnx")
    manifest = manifest_of(artefact, name, tokenizer, context_length)
    image, audio = tokenizer.token_to_id("<|image|>"), tokenizer.token_to_id("<|audio|>")
    graph = replace(manifest.graph, embeddings=True, adapters=entering == "types")
    ends = replace(manifest.tokens, eos=(tokenizer.token_to_id("<|endoftext|>"),), eos_text="<|endoftext|>")
    replace(
        manifest,
        graph=graph,
        tokens=ends,
        vision=_eyes(image),
        audio=_ears(audio) if ears else None,
        files=describe_files(artefact),
    ).write(artefact)
    return artefact


def _eyes(token: int) -> Vision:
    return Vision(
        file="vision.onnx",
        standard="vision.onnx",
        kind=PIXELS,
        precision="float32",
        patch_size=STRIDE,
        temporal_patch_size=1,
        merge_size=2,
        position_side=SIDE,
        min_pixels=32 * 32,
        max_pixels=50_176,
        rescale_factor=1 / 255,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        image_token=token,
        image_text="<|image|>",
        cosine_similarity=1.0,
    )


def _ears(token: int) -> Audio:
    return Audio(
        file="audio.onnx",
        standard="audio.onnx",
        precision="float32",
        sample_rate=16_000,
        mel_bins=80,
        window=400,
        hop=160,
        frames_per_token=8,
        max_seconds=MAX_SECONDS,
        audio_token=token,
        audio_text="<|audio|>",
        cosine_similarity=1.0,
    )


def _weights(name: str, seed: int, *shape: int) -> onnx.TensorProto:
    values: NDArray[np.float32] = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    return numpy_helper.from_array(values / np.float32(np.sqrt(np.prod(shape[1:]) / 4)), name)


def _vision() -> onnx.ModelProto:
    """States of 16 x 16 pixels and their positions, then squares of four to a token."""
    weights = [
        _weights("cut", 0, 8, 3, STRIDE, STRIDE),
        _weights("places", 1, 8, SIDE, SIDE),
        _weights("merge", 2, HIDDEN, 8, 2, 2),
        numpy_helper.from_array(np.array([HIDDEN, -1]), "flat"),
    ]
    nodes = [
        helper.make_node("Conv", ["pixels", "cut"], ["states"], strides=[STRIDE, STRIDE]),
        helper.make_node("Transpose", ["column_weights"], ["columns"], perm=[1, 0]),
        helper.make_node("MatMul", ["places", "columns"], ["along"]),
        helper.make_node("MatMul", ["row_weights", "along"], ["positions"]),
        helper.make_node("Add", ["states", "positions"], ["placed"]),
        helper.make_node("Tanh", ["placed"], ["bent"]),
        helper.make_node("Conv", ["bent", "merge"], ["merged"], strides=[2, 2]),
        helper.make_node("Reshape", ["merged", "flat"], ["rows"]),
        helper.make_node("Transpose", ["rows"], ["embeddings"], perm=[1, 0]),
    ]
    inputs = {"pixels": [1, 3, "height", "width"], "row_weights": ["rows", SIDE], "column_weights": ["columns", SIDE]}
    return _tower(nodes, inputs, weights)


def _audio(slow_ms: float) -> onnx.ModelProto:
    """Eight frames to a token."""
    weights = [_weights("merge", 3, HIDDEN, 80, 8), numpy_helper.from_array(np.array([HIDDEN, -1]), "flat")]
    nodes = [
        helper.make_node("Conv", ["mel", "merge"], ["merged"], strides=[8]),
        helper.make_node("Tanh", ["merged"], ["bent"]),
        helper.make_node("Reshape", ["bent", "flat"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["rows" if slow_ms else "embeddings"], perm=[1, 0]),
    ]
    if slow_ms:
        nodes += _burning(slow_ms)
        weights += [
            numpy_helper.from_array(np.float32(0), "zero"),
            numpy_helper.from_array(np.array([512, 512]), "square"),
        ]
    return _tower(nodes, {"mel": [1, 80, "frames"]}, weights)


def _burning(slow_ms: float) -> list[onnx.NodeProto]:
    """The rows unchanged, after work that no optimiser can remove."""
    count = max(1, round(slow_ms / 3))
    names = [f"square.{index}" for index in range(count + 1)]
    return [
        helper.make_node("ReduceMean", ["rows"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Expand", ["nothing", "square"], [names[0]]),
        *(helper.make_node("MatMul", [one, one], [two]) for one, two in itertools.pairwise(names)),
        helper.make_node("ReduceMean", [names[-1]], ["burnt"], keepdims=0),
        helper.make_node("Add", ["rows", "burnt"], ["embeddings"]),
    ]


def _tower(
    nodes: list[onnx.NodeProto], inputs: dict[str, list[int | str]], weights: list[onnx.TensorProto]
) -> onnx.ModelProto:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    output = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["tokens", HIDDEN])
    graph = helper.make_graph(nodes, "tower", values, [output], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
