"""config.json of published models as `Architecture`; transformers says what each model is, at its full size."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published_configs import GLM_VISION, PUBLISHED
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.models.auto.configuration_auto import AutoConfig

from engines.architecture import Architecture, check_sizes, check_tensors
from engines.checkpoint.config import read_architecture, text_config
from engines.checkpoint.safetensors import _canonical
from engines.tensor import Tensor
from engines.vision.tower import read_tower

ACTIVATIONS = {"SiLUActivation": "silu", "GELUTanh": "gelu_tanh", "GELUActivation": "gelu_tanh"}
"""The last: the first releases of Gemma say gelu and mean its approximation, whatever transformers makes of it now."""


def judged(name: str) -> Any:
    """The model of transformers, whose weights are shapes without memory.

    Its configuration no longer moves flat keys of GLM where they belong; its checkpoints' loader does.
    """
    published = copy.deepcopy(PUBLISHED[name.replace("flat", "nested")])
    config = AutoConfig.for_model(published.pop("model_type"), **published)
    kind = AutoModelForImageTextToText if "vision_config" in published else AutoModelForCausalLM
    with torch.device("meta"):
        return kind.from_config(config, attn_implementation="eager")


def rotary_of(text: Any) -> dict[str, tuple[np.ndarray[Any, Any], float]]:
    """Frequencies and magnitude by kind of layer; "" where all layers have the same."""
    rotary = type(text.rotary_emb)(text.config)
    kinds = ("full_attention_", "sliding_attention_") if text.config.model_type == "gemma3_text" else ("",)
    return {
        kind: (getattr(rotary, f"{kind}inv_freq").numpy(), getattr(rotary, f"{kind}attention_scaling"))
        for kind in kinds
    }


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_model_is_what_transformers_makes_of_it(name: str) -> None:
    arch = read_architecture(text_config(PUBLISHED[name]))
    check_sizes(arch)
    model = judged(name)
    tensors = {key: stand_in(key, value) for key, value in model.state_dict().items()}
    text_tensors, vision_tensors, _ = _canonical(tensors, arch)
    check_tensors(arch, text_tensors)
    text = getattr(model.model, "language_model", model.model)
    assert (arch.hidden_size, arch.layers) == (text.config.hidden_size, len(text.layers))
    assert arch.context_length == text.config.max_position_embeddings
    assert arch.tied == model.config.tie_word_embeddings
    check_layers(arch, text)
    assert arch.logit_softcap == (getattr(text.config, "final_logit_softcapping", None) or 0)
    if arch.sees:
        read_tower(PUBLISHED[name], vision_tensors, arch.hidden_size)
        assert PUBLISHED[name]["vision_config"] is GLM_VISION


def stand_in(name: str, value: torch.Tensor) -> Tensor:
    return Tensor(name=name, path=Path("model.safetensors"), offset=0, shape=tuple(value.shape), encoding="BF16")


def check_layers(arch: Architecture, text: Any) -> None:
    rotary = rotary_of(text)
    for layer, theirs in enumerate(text.layers):
        attention = theirs.self_attn
        window = getattr(attention, "sliding_window", None)
        if text.config.model_type == "mistral":
            window = text.config.sliding_window
        assert arch.windows[layer] == (window or 0)
        assert arch.query_scale == pytest.approx(attention.scaling)
        assert arch.attention_softcap == (getattr(attention, "attn_logit_softcapping", None) or 0)
        kind = "" if "" in rotary else "sliding_attention_" if window else "full_attention_"
        frequencies, magnitude = rotary[kind]
        np.testing.assert_allclose(arch.ropes[layer].frequencies, frequencies, rtol=2e-6)
        assert arch.ropes[layer].magnitude == pytest.approx(magnitude)
        norm = theirs.input_layernorm
        assert arch.norm_epsilon == getattr(norm, "eps", getattr(norm, "variance_epsilon", None))
        activation = getattr(theirs.mlp, "act_fn", None) or theirs.mlp.activation_fn
        assert arch.activation == ACTIVATIONS[type(activation).__name__]
