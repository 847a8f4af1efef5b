"""Models that see: positions in three axes and rows instead of tokens, against transformers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_checkpoints import GLM4V_ROPE, float_session, relative_error, save_folder, session, tiny_model, tokens_of

from edged.engine.session import Sight
from engines.checkpoint import Checkpoint, open_checkpoint
from engines.graph.float_weights import FloatWeights
from engines.reference import final_states, head_logits, numpy_arrays, torch_arrays

SETTINGS: dict[str, Any] = {"num_attention_heads": 2, "num_key_value_heads": 1, "tie_word_embeddings": False}
PICTURE = slice(9, 21)
COUNT = 30


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_model("glm4v", **SETTINGS)


@pytest.fixture(scope="module")
def checkpoint(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return open_checkpoint(save_folder(model, tmp_path_factory.mktemp("sight") / "model"))


def a_picture_between_words() -> tuple[list[int], Sight]:
    """Words, a picture of 3 x 4 rows that stands at one time, words: the way positions go on after it."""
    tokens = tokens_of(COUNT)
    tokens[PICTURE] = range(-12, 0)
    start = PICTURE.start
    positions = np.tile(np.arange(COUNT), (3, 1))
    rows, columns = np.divmod(np.arange(12), 4)
    positions[:, PICTURE] = [np.full(12, start), start + rows, start + columns]
    positions[:, PICTURE.stop :] = start + 4 + np.arange(COUNT - PICTURE.stop)
    embeddings = np.zeros((COUNT, 64), np.float32)
    embeddings[PICTURE] = np.random.default_rng(3).normal(size=(12, 64))
    return tokens, Sight(positions=positions, embeddings=embeddings, types=(np.array(tokens) < 0).astype(np.int64))


def expected_logits(model: Any, tokens: list[int], sight: Sight) -> np.ndarray[Any, Any]:
    """transformers' language model on the same rows and positions."""
    language = model.model.language_model
    with torch.no_grad():
        rows = language.embed_tokens(torch.tensor(tokens).clamp(min=0))
        seen = torch.tensor(tokens)[:, None] < 0
        rows = torch.where(seen, torch.from_numpy(sight.embeddings), rows)[None]
        states = language(inputs_embeds=rows, position_ids=torch.from_numpy(sight.positions)[:, None])
        return model.lm_head(states.last_hidden_state)[0].numpy()


def test_logits_with_a_picture_equal_transformers(model: Any, checkpoint: Checkpoint, tmp_path: Path) -> None:
    tokens, sight = a_picture_between_words()
    expected = expected_logits(model, tokens, sight)
    engine = float_session(checkpoint, tmp_path / "engine")
    found = engine.prefill(engine.allocate(), 0, tokens, range(COUNT), sight)
    assert relative_error(found, expected) < 1e-3
    for arrays in (numpy_arrays(), torch_arrays()):
        (states,) = final_states(checkpoint, [tokens], lambda layers: None, sights=[sight], arrays=arrays)
        assert relative_error(head_logits(checkpoint, states, arrays), expected) < 1e-4


def test_pictures_and_places_matter(model: Any, checkpoint: Checkpoint, tmp_path: Path) -> None:
    """What the test above compares would differ without either."""
    tokens, sight = a_picture_between_words()
    flat = replace(sight, positions=np.tile(np.arange(COUNT), (3, 1)))
    blind = replace(sight, embeddings=np.zeros_like(sight.embeddings))
    expected = expected_logits(model, tokens, sight)
    engine = float_session(checkpoint, tmp_path / "engine")
    for other in (flat, blind):
        assert relative_error(engine.prefill(engine.allocate(), 0, tokens, range(COUNT), other), expected) > 0.05


def test_chunks_that_cut_a_picture_and_decode_with_a_shift(model: Any, checkpoint: Checkpoint, tmp_path: Path) -> None:
    tokens, sight = a_picture_between_words()
    expected = expected_logits(model, tokens, sight)
    engine = float_session(checkpoint, tmp_path / "engine")
    memory = engine.allocate()
    found = []
    for start, stop in ((0, 5), (5, 13), (13, 25)):
        part = Sight(
            positions=sight.positions[:, start:stop],
            embeddings=sight.embeddings[start:stop],
            types=sight.types[start:stop],
        )
        found.append(engine.prefill(memory, start, tokens[start:stop], range(stop - start), part))
    shift = int(sight.positions[0, -1]) - (COUNT - 1)
    assert shift == 4 - 12
    found += [engine.decode(memory, place, tokens[place], shift)[None].copy() for place in range(25, COUNT)]
    assert relative_error(np.concatenate(found), expected) < 1e-3


def test_text_alone_needs_no_sight(model: Any, checkpoint: Checkpoint, tmp_path: Path) -> None:
    tokens = tokens_of(COUNT)
    nothing = np.full((COUNT, 64), np.nan, np.float32)
    text = Sight(positions=np.tile(np.arange(COUNT), (3, 1)), embeddings=nothing, types=np.zeros(COUNT, np.int64))
    engine = float_session(checkpoint, tmp_path / "engine")
    said = engine.prefill(engine.allocate(), 0, tokens, range(COUNT))
    np.testing.assert_array_equal(said, engine.prefill(engine.allocate(), 0, tokens, range(COUNT), text))
    memory = engine.allocate()
    engine.prefill(memory, 0, tokens[:-1])
    assert relative_error(engine.decode(memory, COUNT - 1, tokens[-1]), said[-1]) < 1e-4


def test_positions_far_away_turn_as_in_transformers(tmp_path: Path) -> None:
    """Angles are computed in float32 from positions that half precision could not hold."""
    model = tiny_model("glm4v", **SETTINGS, rope_parameters=GLM4V_ROPE | {"rope_theta": 100.0})
    checkpoint = open_checkpoint(save_folder(model, tmp_path / "model"))
    tokens, sight = a_picture_between_words()
    far = replace(sight, positions=sight.positions + np.array([[4099], [8195], [16411]]))
    expected = expected_logits(model, tokens, far)
    for activations, tolerance in (("float32", 1e-3), ("float16", 2e-2)):
        engine = session(checkpoint, tmp_path / activations, FloatWeights, activations)
        found = engine.prefill(engine.allocate(), 0, tokens, range(COUNT), far)
        assert relative_error(found, expected) < tolerance
