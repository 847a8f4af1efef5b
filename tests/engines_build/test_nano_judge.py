"""The judge of engines against PyTorch, on a tiny nano with random weights: towers, experts, cache and all."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from test_nano_data import PLAIN, murmuring

from edged.errors import ArtefactError
from engines.__main__ import main
from engines.autoglm_phone.config import AudioConfig, PhoneConfig, TextConfig, VisionConfig
from engines.autoglm_phone.model import AutoGLMPhone
from engines.nano import dialogues, export, judge, menus, pictures, speech
from engines.nano.batches import Encoder, collate, normalised
from engines.nano.evaluate import accuracy
from engines.nano.export import quantize_nano, read_checkpoint, write_checkpoint
from engines.nano.heldout import Question, questions
from engines.nano.judge import Engine, engine_accuracy
from engines.nano.samples import Sample, Turn
from engines.nano.scores import table
from engines.nano.shape import nano_config
from engines.qat.checkpoints import save_state
from tests.tiny_artefact import tiny_artefact


def tiny_nano() -> AutoGLMPhone:
    """All of its parts, and every weight random."""
    real = nano_config()
    text = TextConfig(
        vocab_size=real.text.vocab_size,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=64,
        vision_adapter_rank=64,
        audio_adapter_rank=64,
        max_position_embeddings=512,
    )
    tower = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    torch.manual_seed(1)
    return AutoGLMPhone(
        PhoneConfig(
            text=text,
            vision=VisionConfig(**tower, stem_channels=(8, 16), stem_residuals=1, min_pixels=40960),
            audio=AudioConfig(**tower),
            image_token_id=real.image_token_id,
            audio_token_id=real.audio_token_id,
        )
    )


def asked() -> list[Question]:
    """A few of each kind, interleaved media included."""
    rng, corpus = random.Random(4), murmuring()
    samples = [
        pictures.reading(rng, PLAIN),
        pictures.several(rng, PLAIN),
        menus.ordering(rng, PLAIN),
        speech.listening(rng, corpus, PLAIN, "command", 3.2),
        speech.asking(rng, corpus, PLAIN, 2.4),
        dialogues.talking(rng),
    ]
    return [question for sample in samples for question in questions(sample)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nano")
    model = tiny_nano()
    quantize_nano(model)
    write_checkpoint(folder / "checkpoint", model)
    recipe = "[gate]\nmax_perplexity_loss = 1\n[linear]\nblock_size = 64\ninputs = 'float'\n"
    (folder / "exact.toml").write_text(recipe + "[vision]\nbits = 4\n[audio]\nbits = 4\n", encoding="utf-8")
    command = ["build", str(folder / "checkpoint"), "--out", str(folder / "engine")]
    assert main([*command, "--recipe", str(folder / "exact.toml")]) == 0
    return folder


def test_the_checkpoint_is_what_training_computed_with(folder: Path) -> None:
    model = tiny_nano()
    quantize_nano(model)
    read = read_checkpoint(folder / "checkpoint")
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear) and not name.endswith("router"):
            assert torch.equal(layer.weight, read.get_submodule(name).weight), name


@torch.no_grad()
def test_the_engine_answers_as_pytorch_does(folder: Path) -> None:
    engine, model, encoder = Engine(folder / "engine"), read_checkpoint(folder / "checkpoint"), Encoder()
    for question in asked():
        found = engine.answer(question)[:6]
        written = Sample(task=question.task, turns=(Turn(parts=question.parts, answer=""),))
        batch = collate(encoder, [written])
        length = int(batch.used.sum()) - 1  # without the end of the empty answer
        tokens, types = batch.tokens[:, :length], batch.types[:, :length]
        pixels = None if batch.pixels is None else normalised(batch.pixels)
        for token in found:
            logits = model.logits(model(tokens, types, pixels, batch.mels)[:, -1])[0]
            best = logits.topk(2)
            assert token == best.indices[0] or logits[token] > best.values[0] - 1e-2 * logits.abs().max()
            tokens = torch.cat((tokens, torch.tensor([[token]])), dim=1)
            types = torch.cat((types, torch.zeros(1, 1, dtype=torch.long)), dim=1)


def test_answers_are_counted_by_task(folder: Path) -> None:
    engine, model = Engine(folder / "engine"), read_checkpoint(folder / "checkpoint")
    ours, theirs = engine_accuracy(engine, asked()), accuracy(model, asked())
    assert ours == theirs, "random weights know no answer"
    assert all(score.right == 0 for score in ours.values())
    lines = table([("engine", ours), ("PyTorch", theirs)]).splitlines()
    assert lines[0] == "| task | questions | engine | PyTorch |" and len(lines) == 2 + len(ours)


def test_float_weights_and_rounded_ones_are_asked_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "heldout", lambda count: asked()[:count])
    monkeypatch.setattr(export, "nano_config", lambda: tiny_nano().config)
    assert judge.examined(folder / "engine", 2, tmp_path).splitlines()[0] == "| task | questions | INT4 engine |"
    weights = {f"module|model.{name}": value.bfloat16() for name, value in tiny_nano().state_dict().items()}
    save_state(tmp_path / "float-portable", weights, {"step": 1})
    lines = judge.examined(folder / "engine", 2, tmp_path).splitlines()
    assert lines[0] == "| task | questions | float | rounded to INT4 | INT4 engine |"
    assert [line.count("0.0%") for line in lines[2:]] == [3] * (len(lines) - 2)


def test_other_engines_are_not_asked(tmp_path: Path) -> None:
    tiny_artefact(tmp_path, "tiny")
    with pytest.raises(ArtefactError, match="these questions are for autoglm-phone-nano"):
        Engine(tmp_path / "tiny")
