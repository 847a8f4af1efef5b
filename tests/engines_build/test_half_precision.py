"""Graphs whose activations are in half precision, as GPU artefacts have them, on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_checkpoints import (
    integer_session,
    reference_logits,
    relative_error,
    save_folder,
    session,
    tiny_model,
    tokens_of,
)
from variants import INT4, INT8, ONE_OF_EACH, VARIANTS

from engines.checkpoint import open_checkpoint
from engines.graph.float_weights import FloatWeights
from engines.graph.integer_weights import FLOAT_INPUTS, IntegerWeights
from engines.graph.model_file import ModelFile
from engines.reference import final_states, head_logits


@pytest.mark.parametrize("variant", ONE_OF_EACH)
def test_half_precision_activations(variant: str, tmp_path: Path) -> None:
    """Floats, and integers with scales in half precision."""
    model_type, overrides = VARIANTS[variant]
    model = tiny_model(model_type, **overrides)
    checkpoint = open_checkpoint(save_folder(model, tmp_path / "model"))
    tokens = tokens_of(24)
    halves = session(checkpoint, tmp_path / "engine", FloatWeights, "float16")
    memory = halves.allocate()
    found = [halves.prefill(memory, 0, tokens[:20], range(20))]
    found += [halves.decode(memory, position, tokens[position])[None].copy() for position in range(20, 24)]
    assert relative_error(np.concatenate(found), reference_logits(model, tokens)) < 2e-2

    def integers(file: ModelFile) -> IntegerWeights:
        return IntegerWeights(file, INT4, FLOAT_INPUTS)

    halves = session(checkpoint, tmp_path / "integers", integers, "float16")
    found = halves.prefill(halves.allocate(), 0, tokens, range(24))
    expected = integer_session(checkpoint, tmp_path / "expected", INT4)
    assert relative_error(found, expected.prefill(expected.allocate(), 0, tokens, range(24))) < 2e-2


@pytest.mark.parametrize("variant", ["gemma2", "gemma3", "glm4v"])
@pytest.mark.parametrize("integers", [False, True])
def test_half_precision_holds_numbers_beyond_its_end(variant: str, integers: bool, tmp_path: Path) -> None:
    """Published models of these kinds have hidden states (Gemma) and products (GLM) above 65,504."""
    model_type, overrides = VARIANTS[variant]
    model = tiny_model(model_type, **overrides)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("o_proj.weight", "mlp.down_proj.weight")) and "visual" not in name:
                parameter.mul_(60_000)
            if model_type != "glm4v" and name.endswith(
                ("post_attention_layernorm.weight", "post_feedforward_layernorm.weight")
            ):
                parameter.mul_(400_000)
    checkpoint = open_checkpoint(save_folder(model, tmp_path / "model"))
    tokens = tokens_of(24)
    (states,) = final_states(checkpoint, [tokens], lambda layers: None)
    expected = head_logits(checkpoint, states)
    largest: list[float] = []
    hooks = {
        "glm4v": "mlp.down_proj",
        "gemma2": "pre_feedforward_layernorm",
        "gemma3_text": "pre_feedforward_layernorm",
    }
    for name, module in model.named_modules():
        if name.endswith(hooks[model_type]) and "visual" not in name:
            module.register_forward_hook(
                lambda _, inputs, output: largest.extend(float(value.abs().max()) for value in (inputs[0], output))
            )
    reference_logits(model, tokens)
    assert max(largest) > 65_504

    def weights(file: ModelFile) -> Any:
        return IntegerWeights(file, INT8, FLOAT_INPUTS) if integers else FloatWeights(file)

    halves = session(checkpoint, tmp_path / "engine", weights, "float16")
    found = halves.prefill(halves.allocate(), 0, tokens, range(24))
    assert relative_error(found, expected) < (0.2 if integers else 2e-2)
