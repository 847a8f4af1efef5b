"""The quality gate: what it reads, that its figures are what transformers' model gives, and what it refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_checkpoints import SPECIALS, integer_session, manifest_of, save_folder, tiny_model
from tokenizers import Tokenizer, processors

from edged.engine.manifest import UNMEASURED
from edged.errors import QualityGateFailed
from engines import gate
from engines.checkpoint import Checkpoint, open_checkpoint
from engines.graph.integer_weights import INT8_INPUTS, IntegerFormat
from engines.quantize import Rounding


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return open_checkpoint(save_folder(tiny_model("qwen2"), tmp_path_factory.mktemp("gate") / "model"))


def tokenizer_with_a_start(checkpoint: Checkpoint) -> str:
    tokenizer = Tokenizer.from_str(checkpoint.vocabulary.tokenizer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{SPECIALS[0]} $A", special_tokens=[(SPECIALS[0], 0)]
    )
    return str(tokenizer.to_str())


@pytest.mark.parametrize("most", [50, 99, 100, 101, 3072])
def test_of_a_text_only_so_much_is_read(most: int, checkpoint: Checkpoint) -> None:
    tokenizer = tokenizer_with_a_start(checkpoint)
    text = gate.read_text("harbour", tokenizer, 51, most)
    whole = Tokenizer.from_str(tokenizer).encode(
        (gate.TEXTS / "harbour.txt").read_text(encoding="utf-8"), add_special_tokens=False
    )
    assert all(segment[0] == 0 and len(segment) <= 51 for segment in text.segments)
    assert [token for segment in text.segments for token in segment[1:]] == whole.ids[:most]
    assert text.predictions == most


def test_the_texts_have_no_line_in_common() -> None:
    """What is calibrated on must not be what is measured."""
    lines = [
        {line for line in (gate.TEXTS / f"{name}.txt").read_text(encoding="utf-8").splitlines() if len(line) > 20}
        for name in gate.text_names()
    ]
    assert len(lines) > 1 and all(lines) and not set.intersection(*lines)


def test_its_figures_are_those_of_the_whole_distributions(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """Against transformers in float64, a segment at once."""
    rounding = Rounding(bits=4, block_size=32)
    table = Rounding(bits=8, block_size=32)
    format_ = IntegerFormat(linear=rounding, minimum={}, embedding=table, head=table)
    session = integer_session(checkpoint, tmp_path, format_, INT8_INPUTS)
    text = gate.read_text("harbour", checkpoint.vocabulary.tokenizer, 256, 700)
    found = gate.measure(checkpoint, tmp_path, manifest_of(checkpoint), text, 0.1, lambda n: None)

    model, surprises, losses, divergence, agree = tiny_model("qwen2"), [], [], [], []
    for segment in text.segments:
        tokens = list(segment)
        with torch.no_grad():
            expected = torch.log_softmax(model(torch.tensor([tokens])).logits[0].double(), -1).numpy()
        logits = session.prefill(session.allocate(), 0, tokens, range(len(tokens)))
        engine = torch.log_softmax(torch.from_numpy(logits).double(), -1).numpy()
        places = np.arange(len(tokens) - 1)
        surprises += list(-expected[places, tokens[1:]])
        losses += list(-engine[places, tokens[1:]])
        divergence += list((np.exp(expected) * (expected - engine)).sum(-1))
        agree += list(expected.argmax(-1) == engine.argmax(-1))
    assert (found.text, found.tokens, found.max_perplexity_loss) == ("harbour", len(surprises), 0.1)
    assert found.float_perplexity == pytest.approx(np.exp(np.mean(surprises)), rel=1e-4)
    # Chunks of 128 and the whole segment round their inputs alike, but add up in another order.
    assert found.perplexity == pytest.approx(np.exp(np.mean(losses)), rel=1e-2)
    assert found.kl_divergence == pytest.approx(np.mean(divergence), rel=1e-2)
    assert found.top1_agreement == pytest.approx(np.mean(agree), abs=0.01)
    assert found.perplexity_loss == pytest.approx(found.perplexity / found.float_perplexity - 1)
    assert gate.engine_perplexity(tmp_path, manifest_of(checkpoint), text) == pytest.approx(found.perplexity, rel=1e-6)


def test_weights_that_compute_no_numbers_are_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """The file's values are finite, what they compute is not."""
    model = tiny_model("qwen2")
    model.model.layers[1].mlp.down_proj.weight.data *= 1e38
    broken = open_checkpoint(save_folder(model, tmp_path / "model"))
    rounding = Rounding(bits=8, block_size=32)
    format_ = IntegerFormat(linear=rounding, minimum={}, embedding=rounding, head=rounding)
    integer_session(checkpoint, tmp_path / "engine", format_)
    text = gate.read_text("harbour", checkpoint.vocabulary.tokenizer, 256, 300)
    with pytest.raises(QualityGateFailed, match="no finite numbers"), np.errstate(all="ignore"):
        gate.measure(broken, tmp_path / "engine", manifest_of(broken), text, 0.1, lambda n: None)


@pytest.mark.parametrize("loss", [0.2, float("nan"), float("inf")])
def test_more_than_is_allowed_is_refused(loss: float) -> None:
    quality = dataclasses.replace(UNMEASURED, perplexity_loss=loss, max_perplexity_loss=0.1)
    with pytest.raises(QualityGateFailed, match="tiny: perplexity rose by"):
        gate.require(quality, "tiny")
    gate.require(dataclasses.replace(quality, perplexity_loss=0.1), "tiny")
