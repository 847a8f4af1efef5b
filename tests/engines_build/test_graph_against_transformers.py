"""Differential tests: the graph and the reference against transformers, on random tiny models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_checkpoints import float_session, reference_logits, relative_error, save_folder, tiny_model, tokens_of
from variants import ONE_OF_EACH, VARIANTS, configurations

from engines.checkpoint import open_checkpoint
from engines.reference import final_states, head_logits


@pytest.mark.parametrize("variant", VARIANTS)
def test_float_graph_and_reference_equal_transformers(variant: str, tmp_path: Path) -> None:
    model_type, overrides = VARIANTS[variant]
    model = tiny_model(model_type, **overrides)
    checkpoint = open_checkpoint(save_folder(model, tmp_path / "model"))
    tokens = tokens_of(40)
    expected = reference_logits(model, tokens)

    engine = float_session(checkpoint, tmp_path / "engine")
    whole = engine.prefill(engine.allocate(), 0, tokens, range(len(tokens)))
    assert relative_error(whole, expected) < 1e-3

    (states,) = final_states(checkpoint, [tokens], lambda layers: None)
    assert relative_error(head_logits(checkpoint, states), expected) < 1e-4


@pytest.mark.parametrize("variant", ONE_OF_EACH)
def test_cached_decode_equals_full_forward(variant: str, tmp_path: Path) -> None:
    model_type, overrides = VARIANTS[variant]
    checkpoint = open_checkpoint(save_folder(tiny_model(model_type, **overrides), tmp_path / "model"))
    engine = float_session(checkpoint, tmp_path / "engine")
    tokens = tokens_of(30)
    whole = engine.prefill(engine.allocate(), 0, tokens, range(len(tokens)))

    memory = engine.allocate()
    chunked = [engine.prefill(memory, 0, tokens[:13], range(13)), engine.prefill(memory, 13, tokens[13:20], range(7))]
    decoded = [engine.decode(memory, position, tokens[position]).copy() for position in range(20, 30)]
    assert relative_error(np.concatenate([*chunked, np.stack(decoded)]), whole) < 1e-4


@pytest.mark.parametrize("variant", ONE_OF_EACH)
def test_greedy_tokens_equal_transformers(variant: str, tmp_path: Path) -> None:
    """Three turns, each the prompt so far and some new tokens, as a conversation grows."""
    model_type, overrides = VARIANTS[variant]
    model = tiny_model(model_type, **overrides)
    engine = float_session(open_checkpoint(save_folder(model, tmp_path / "model")), tmp_path / "engine")
    memory = engine.allocate()
    tokens: list[int] = []
    done = 0
    for turn, length in enumerate((1, 17, 6)):
        tokens += tokens_of(length, seed=turn)
        answer = model.generate(torch.tensor([tokens]), max_new_tokens=8, do_sample=False, eos_token_id=None)[0]
        scores = engine.prefill(memory, done, tokens[done:])[0]
        for _ in range(8):
            tokens.append(int(scores.argmax()))
            scores = engine.decode(memory, len(tokens) - 1, tokens[-1])
        assert tokens == answer.tolist()
        done = len(tokens)


@settings(max_examples=60, deadline=None)
@given(configuration=configurations(), seed=st.integers(0, 1000))
def test_random_configurations(
    tmp_path_factory: pytest.TempPathFactory, configuration: tuple[str, dict[str, Any]], seed: int
) -> None:
    """The reference in one pass, and the graph in chunks and steps."""
    folder = tmp_path_factory.mktemp("random")
    model_type, overrides = configuration
    model = tiny_model(model_type, seed, **overrides)
    checkpoint = open_checkpoint(save_folder(model, folder / "model"))
    tokens = tokens_of(20, seed)
    expected = reference_logits(model, tokens)

    (states,) = final_states(checkpoint, [tokens], lambda layers: None)
    assert relative_error(head_logits(checkpoint, states), expected) < 1e-4

    engine = float_session(checkpoint, folder / "engine")
    memory = engine.allocate()
    found = [engine.prefill(memory, 0, tokens[:11], range(11)), engine.prefill(memory, 11, tokens[11:17], range(6))]
    found += [engine.decode(memory, position, tokens[position])[None].copy() for position in range(17, 20)]
    assert relative_error(np.concatenate(found), expected) < 1e-3
