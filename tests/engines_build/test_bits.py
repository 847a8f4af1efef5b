"""Bits chosen for each matrix by name: what the recipe says, what the graph computes, what the manifest tells."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from tiny_checkpoints import (
    gentle,
    integer_session,
    reference_logits,
    relative_error,
    save_folder,
    save_gguf,
    tiny_model,
    tokens_of,
)

from edged.engine.manifest import read_manifest
from edged.errors import InvalidInput
from engines.build import Order, build
from engines.checkpoint import open_checkpoint
from engines.graph.integer_weights import IntegerFormat, require_matches
from engines.quantize import Rounding, quantized
from engines.recipe import load_recipe

PARTS = {
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "o": ("self_attn.o_proj",),
    "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "down": ("mlp.down_proj",),
}
OURS = {"qkv": ("q", "k", "v"), "o": ("o",), "gate_up": ("gate", "up"), "down": ("down",)}


def format_of(*bits: tuple[str, Any], **linear: Any) -> IntegerFormat:
    table = Rounding(bits=8, block_size=32)
    rounding = Rounding(bits=4, **{"block_size": 32, **linear})
    return IntegerFormat(linear=rounding, minimum={}, embedding=table, head=table, bits=bits)


def replace_by_integers(model: Any, checkpoint: Any, format_: IntegerFormat) -> None:
    """Weights of transformers' model by what the format makes of them."""
    state = model.state_dict()
    for layer in range(checkpoint.architecture.layers):
        for kind, names in PARTS.items():
            rounding = format_.rounding(f"layers.{layer}.{kind}")
            for part, name in zip(OURS[kind], names, strict=True):
                tensor = checkpoint.tensors[f"layers.{layer}.{part}.weight"]
                if rounding is not None:
                    dense = quantized([tensor], rounding).dense()[:, : tensor.columns]
                    state[f"model.layers.{layer}.{name}.weight"].copy_(torch.from_numpy(dense))
    for name, ours in (("model.embed_tokens", "embedding"), ("lm_head", "head")):
        rounding = format_.rounding(ours)
        if rounding is not None:
            values = quantized([checkpoint.tensors[f"{ours}.weight"]], rounding).dense()
            state[f"{name}.weight"].copy_(torch.from_numpy(values))


@pytest.mark.parametrize(
    "format_",
    [
        format_of(("layers.0.*", 8), ("*.o", 16), block_size=64),
        format_of(("*.down", 8), ("head", 16), ("embedding", 4), symmetric=False),
        format_of(("embedding", 16), ("layers.1.qkv", 16), block_size=128, symmetric=False),
        format_of(("*", 16)),
    ],
    ids=lambda format_: str(format_.bits),
)
@pytest.mark.parametrize(
    ("model_type", "overrides"),
    [("qwen2", {}), ("llama", {"mlp_bias": True, "hidden_size": 96, "intermediate_size": 160})],
)
def test_the_graph_computes_what_transformers_does_on_the_same_weights(
    model_type: str, overrides: dict[str, Any], format_: IntegerFormat, tmp_path: Path
) -> None:
    model = tiny_model(model_type, tie_word_embeddings=False, **overrides)
    checkpoint = open_checkpoint(save_folder(model, tmp_path / "model"))
    session = integer_session(checkpoint, tmp_path / "engine", format_)
    tokens = tokens_of(24)
    found = session.prefill(session.allocate(), 0, tokens, range(len(tokens)))
    replace_by_integers(model, checkpoint, format_)
    assert relative_error(found, reference_logits(model, tokens)) < 1e-3
    assert stored_bits(tmp_path / "engine" / "model.onnx") == {
        f"layers.{layer}.{kind}": getattr(format_.rounding(f"layers.{layer}.{kind}"), "bits", 16)
        for layer in range(2)
        for kind in PARTS
    }


def stored_bits(path: Path) -> dict[str, int]:
    """Of each matrix of a layer, as the graph on the disk has it."""
    graph = onnx.load(path, load_external_data=False).graph
    bits = {}
    for node in graph.node:
        if node.op_type == "MatMulNBits" and node.name.endswith(".out") and node.name.startswith("layers."):
            bits[node.name.removesuffix(".out")] = next(item.i for item in node.attribute if item.name == "bits")
    for weight in graph.initializer:
        if weight.name.startswith("layers.") and weight.name.endswith(".weight") and len(weight.dims) == 2:
            bits[weight.name.removesuffix(".weight")] = 16
    return bits


def test_a_tied_table_may_be_both() -> None:
    format_ = format_of(("head", 16), ("h*", 4), ("emb*", 4))
    assert format_.rounding("head") is None, "the first that matches counts"
    assert format_.rounding("embedding") == dataclasses.replace(format_.embedding, bits=4)
    assert format_.rounding("layers.0.o") == format_.linear


@pytest.mark.parametrize("pattern", ["layers.2.*", "*.v", "lm_head", "layers.0", ""])
def test_a_pattern_that_matches_nothing_is_named(pattern: str) -> None:
    with pytest.raises(InvalidInput, match=r"matches nothing; there are .* with N from 0 to 1") as caught:
        require_matches(format_of(("*.o", 8), (pattern, 8)), 2)
    assert repr(pattern) in caught.value.message


@pytest.mark.parametrize(
    ("bits", "method", "label"),
    [
        ((("*.o", 8), ("head", 16)), "round", "INT4 in blocks of 32, INT8 o, float head, INT8 embedding"),
        ((("layers.1.*", 8),), "gptq", "INT4 in blocks of 32 by GPTQ, INT8 layer 1, INT8 head and embedding"),
        (
            (("layers.0.*", 16),),
            "awq+gptq",
            "INT4 in blocks of 32 by AWQ+GPTQ, float layer 0, INT8 head and embedding",
        ),
        (
            (("layers.0.qkv", 16),),
            "awq",
            "INT4 in blocks of 32 by AWQ, float in 1 of 8 matrices, INT8 head and embedding",
        ),
        ((("*", 16),), "round", "float, float head and embedding"),
    ],
)
def test_the_label_says_what_is_true(bits: Any, method: Any, label: str, tmp_path: Path) -> None:
    recipe = load_recipe("cpu")
    recipe = dataclasses.replace(
        recipe,
        format=dataclasses.replace(recipe.format, bits=bits),
        calibration=dataclasses.replace(recipe.calibration, method=method, tokens=512),
        max_perplexity_loss=10.0,
    )
    source = save_folder(gentle(tiny_model("qwen2")), tmp_path / "model")
    build(Order(recipe=recipe, source=source, destination=tmp_path / "tiny"), lambda line: None)
    assert read_manifest(tmp_path / "tiny").precision.label == label


def test_q4_1_with_its_minimum_in_int8_is_not_called_int4(tmp_path: Path) -> None:
    recipe = dataclasses.replace(load_recipe("smollm2-135m"), source=None, max_perplexity_loss=10.0)
    source = save_gguf(tiny_model("llama", hidden_size=64), tmp_path / "tiny.gguf", "Q4_1")
    template = tmp_path / "template.jinja"
    template.write_text("{{ messages }}", encoding="utf-8")
    order = Order(recipe=recipe, source=source, destination=tmp_path / "tiny", chat_template=template)
    manifest = build(order, lambda line: None)
    assert manifest.precision.label == "INT4 (Q4_1 blocks kept), INT8 o, INT8 head and embedding"
    assert manifest.precision.linear == "q4_1"
