"""The reference on numpy arrays and on PyTorch tensors: everything else is measured against it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_checkpoints import reference_logits, relative_error, save_folder, tiny_model, tokens_of

from engines.checkpoint import open_checkpoint
from engines.reference import Arrays, fastest_arrays, final_states, head_logits, numpy_arrays, torch_arrays
from engines.reference.arrays import to_numpy

MODELS: dict[str, dict[str, Any]] = {
    "llama": {"attention_bias": True, "mlp_bias": True},
    "mistral": {"sliding_window": 9},
    "qwen2": {},
    "qwen3": {},
    "gemma": {},
    "gemma2": {"sliding_window": 9, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0},
    "gemma3_text": {"sliding_window": 7, "num_hidden_layers": 7},
    "glm4v": {"num_attention_heads": 2, "tie_word_embeddings": False},
}
BOTH = pytest.mark.parametrize("arrays", [numpy_arrays(), torch_arrays()], ids=["numpy", "torch"])


@BOTH
@pytest.mark.parametrize("model_type", MODELS)
def test_it_equals_transformers(model_type: str, arrays: Arrays, tmp_path: Path) -> None:
    model = tiny_model(model_type, **MODELS[model_type])
    checkpoint = open_checkpoint(save_folder(model, tmp_path / "model"))
    texts = [tokens_of(40), tokens_of(1), tokens_of(23, seed=1)]
    layers: list[int] = []
    for tokens, states in zip(texts, final_states(checkpoint, texts, layers.append, arrays=arrays), strict=True):
        assert isinstance(states, torch.Tensor if arrays.device else np.ndarray)
        expected = reference_logits(model, tokens)
        found = head_logits(checkpoint, states, arrays)
        assert found.dtype == np.float32 and relative_error(found, expected) < 1e-4
    assert layers == [1] * checkpoint.architecture.layers


@BOTH
def test_who_watches_sees_what_goes_into_each_product(arrays: Arrays, tmp_path: Path) -> None:
    model = tiny_model("gemma2", **MODELS["gemma2"])
    checkpoint = open_checkpoint(save_folder(model, tmp_path / "model"))
    theirs: dict[str, Any] = {}
    modules = {"self_attn.q_proj": "qkv", "self_attn.o_proj": "o", "mlp.up_proj": "gate_up", "mlp.down_proj": "down"}
    for number, layer in enumerate(model.model.layers):
        for name, ours in modules.items():
            key = f"layers.{number}.{ours}"
            layer.get_submodule(name).register_forward_pre_hook(
                lambda module, inputs, key=key: theirs.update({key: inputs[0][0].numpy()})
            )
    tokens = tokens_of(20)
    reference_logits(model, tokens)
    seen: dict[str, Any] = {}
    final_states(
        checkpoint, [tokens], lambda layers: None, arrays=arrays, watch=lambda name, x: seen.update({name: to_numpy(x)})
    )
    assert seen.keys() == theirs.keys()
    for name, values in theirs.items():
        assert relative_error(seen[name], values) < 1e-4


def test_without_a_gpu_nothing_waits_for_pytorch() -> None:
    code = (
        "import sys, engines.reference.arrays as a; a._has_driver = lambda: False; "
        "assert a.fastest_arrays() == a.numpy_arrays() and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("model_type", MODELS)
def test_on_a_gpu_it_computes_the_same(model_type: str, tmp_path: Path) -> None:
    model = tiny_model(model_type, **MODELS[model_type])
    checkpoint = open_checkpoint(save_folder(model, tmp_path / "model"))
    tokens = tokens_of(40)
    arrays = fastest_arrays()
    assert arrays == torch_arrays("cuda")
    (states,) = final_states(checkpoint, [tokens], lambda layers: None, arrays=arrays)
    assert relative_error(head_logits(checkpoint, states, arrays), reference_logits(model, tokens)) < 1e-4
