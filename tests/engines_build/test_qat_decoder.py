"""The decoder that is trained, against transformers; and the texts it draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_checkpoints import VOCAB_SIZE, save_folder, tiny_model

from edged.errors import InvalidInput
from engines.checkpoint import open_checkpoint
from engines.qat.decoder import Decoder
from engines.qat.sampling import LENGTH, drawn, nucleus, sampled, user_turn


@pytest.mark.parametrize(
    ("model_type", "overrides"),
    [("llama", {}), ("llama", {"tie_word_embeddings": False}), ("qwen2", {}), ("qwen3", {})],
)
def test_it_computes_what_transformers_computes(model_type: str, overrides: dict[str, bool], tmp_path: Path) -> None:
    theirs = tiny_model(model_type, **overrides)
    checkpoint = open_checkpoint(save_folder(theirs, tmp_path / "model"))
    ours = Decoder(checkpoint, positions=64).eval()
    tokens = torch.randint(VOCAB_SIZE, (2, 40), generator=torch.Generator().manual_seed(1))

    with torch.inference_mode():
        expected, found = theirs(tokens).logits, ours.logits(ours(tokens))
        caches = ours.caches(2, 40)
        first = ours(tokens[:, :37], caches)
        rest = [ours(tokens[:, place : place + 1], caches) for place in range(37, 40)]

    assert torch.allclose(found, expected, atol=2e-4)
    assert torch.allclose(ours.logits(torch.cat([first, *rest], dim=1)), found, atol=2e-4)


def test_models_with_what_it_does_not_know_are_refused(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save_folder(tiny_model("gemma2"), tmp_path / "model"))

    with pytest.raises(InvalidInput, match=r"a gemma2 cannot be trained here: it has .*soft caps"):
        Decoder(checkpoint, positions=8)


def test_the_table_is_no_parameter(tmp_path: Path) -> None:
    model = Decoder(open_checkpoint(save_folder(tiny_model(), tmp_path / "model")), positions=8)

    assert {name for name in model.state_dict() if not name.startswith("layers.")} == {"norm.weight"}


def test_tokens_outside_the_nucleus_are_never_drawn() -> None:
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])
    logits = probabilities.log().expand(20_000, 4)
    counts = torch.bincount(nucleus(logits, 0.9, torch.Generator().manual_seed(0)), minlength=4) / 20_000

    assert counts[3] == 0
    assert torch.allclose(counts[:3], probabilities[:3] / 0.95, atol=0.02)


def test_texts_are_drawn_once(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save_folder(tiny_model(max_position_embeddings=LENGTH), tmp_path / "model"))
    model = Decoder(checkpoint, positions=LENGTH).eval()
    prefix = user_turn(checkpoint)

    first = sampled(model, prefix, 5, 2, tmp_path / "texts", lambda count: None)
    (tmp_path / "texts" / f"2x{LENGTH}-00001.npy").unlink()
    second = sampled(model, prefix, 6, 2, tmp_path / "texts", lambda count: None)

    assert first.shape == (5, LENGTH) and np.array_equal(first, second[:5])
    assert first[2:4, : len(prefix)].tolist() == [prefix, prefix]
    assert first.max() < VOCAB_SIZE


def test_what_is_drawn_follows_what_it_begins_with(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save_folder(tiny_model(), tmp_path / "model"))
    model = Decoder(checkpoint, positions=32).eval()
    model.head = torch.zeros_like(model.head)
    model.head[7] = 1e4 * model.norm.weight.detach()  # one token has all the probability, up to its sign

    found = drawn(model, torch.tensor([[3, 4], [5, 6]]), 6, torch.Generator().manual_seed(0))

    assert found[:, :2].tolist() == [[3, 4], [5, 6]] and found.shape == (2, 6)
