"""The three phases of the nano's training, with a tiny model, few steps and nobody speaking."""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
import torch
from test_nano_data import DRAWN, murmuring
from test_nano_judge import tiny_nano
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from edged.errors import InvalidInput
from engines.__main__ import main
from engines.autoglm_phone import experts
from engines.nano import batches, export, hints, learning, pictures, speech, studio, train, voices
from engines.nano.batches import Batch, Drafts, Encoder, drafted
from engines.nano.export import read_checkpoint
from engines.nano.fonts import Fonts
from engines.nano.studio import Studio
from engines.qat.checkpoints import load_state
from engines.qat.fake_quant import quantize_module
from engines.qat.training import Plan
from engines.train import NAMES


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> train.Settings:
    config = tiny_nano().config
    everything = (*speech.WORDS, *speech.PAIRS, *speech.NUMBERS, *speech.COMMANDS, *speech.QUESTIONS)
    monkeypatch.setattr(learning, "nano_config", lambda: config)
    monkeypatch.setattr(speech, "spoken", lambda *_: murmuring(everything))
    monkeypatch.setattr(train, "Fonts", lambda _: Fonts((), with_default=True))
    monkeypatch.setattr(train, "BATCH_SIZES", {"cpu": 4})
    monkeypatch.setattr(train, "_DEVELOPMENT", 1)
    for name in ("TOWERS", "FLOAT", "INT4"):
        phase = getattr(train, name)
        monkeypatch.setattr(train, name, dataclasses.replace(phase, plan=Plan(steps=2, batches=1, warmup=1)))
    return train.Settings(folder=tmp_path / "training", checkpoint=tmp_path / "checkpoint", is_compiled=False)


def read(*seeds: int) -> Batch:
    """A batch of pictures with something written."""
    drawn = [pictures.reading(random.Random(seed), DRAWN) for seed in seeds]
    return Studio(murmuring(("yes",)), torch.device("cpu")).batch(drafted(Encoder(), drawn, 128, 1))


def log_of(settings: train.Settings) -> list[dict[str, object]]:
    lines = (settings.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
def test_it_goes_on_from_phase_to_phase(settings: train.Settings, tmp_path: Path) -> None:
    said: list[str] = []
    for _ in range(20):
        train.train(dataclasses.replace(settings, until=0.0), said.append)
        if settings.checkpoint.exists():
            break
    assert "stopped in between: the same command goes on from there" in said
    assert said[-1] == f"to build it: python -m engines build {settings.checkpoint}"
    assert [row["run"] for row in log_of(settings) if row["step"] == 2] == ["towers", "float", "int4"]
    assert {name for row in log_of(settings) for name in row} >= {"marks exact", "spelling exact", "read exact"}
    model = read_checkpoint(settings.checkpoint)
    assert not torch.equal(model.model.embed_tokens.weight, tiny_nano().model.embed_tokens.weight)
    assert (settings.folder / "curves.png").read_bytes().startswith(b"\x89PNG")

    further = dataclasses.replace(settings, folder=tmp_path / "again", begin_from=settings.checkpoint, until=0.0)
    train.train(further, said.append)
    begun = load_state(further.folder / "towers")
    assert begun is not None
    name = "model.embed_tokens.weight"  # which the towers' phase does not move
    assert torch.equal(begun[0][f"module|model.{name}"], model.get_parameter(name))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_that_is_not_there_is_missed_in_a_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", name, "--device", "cuda"]) == 1
    assert capsys.readouterr().err.startswith("engines: PyTorch finds no NVIDIA GPU to train on here")


def test_any_number_of_workers_draws_the_same(settings: train.Settings) -> None:
    corpus = speech.spoken(voices.TRAINING, 1, 1, None)
    batches = Drafts(corpus, DRAWN, seed=5, size=2)
    alone, together = (list(islice(train._loaded(batches, "cpu", workers), 5)) for workers in (1, 2))
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one.tokens, other.tokens) and torch.equal(one.targets, other.targets)


def test_hints_reach_the_towers_and_nothing_else(settings: train.Settings) -> None:
    learner = learning.Learner()
    batch = read(2, 2)
    loss, found = learning.SensesTask([]).loss(learner, batch)
    loss.backward()
    assert 0 <= found["marks right"] <= 1
    moved = {name for name, value in learner.named_parameters() if value.grad is not None and value.grad.any()}
    assert any(name.startswith("model.model.visual.stem") for name in moved)
    assert all(name.startswith(("model.model.visual.", "hints.seen")) for name in moved)
    assert not any("projector" in name for name in moved)


def test_one_batch_can_be_learned_by_heart(settings: train.Settings) -> None:
    torch.manual_seed(0)
    learner = learning.Learner()
    task = learning.AnswerTask([])
    batch = read(2, 2, 2)
    optimizers = train._optimizers(learner, train.FLOAT)
    losses = []
    for _ in range(100):
        loss, found = task.loss(learner, batch)
        loss.backward()
        losses.append(float(found["picture loss"]))
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    assert losses[-1] < 0.2 < losses[0], losses[::8]


def test_a_quantized_student_learns_from_its_teacher(settings: train.Settings) -> None:
    torch.manual_seed(0)
    teacher, student = learning.Learner(), learning.Learner()
    student.load_state_dict(teacher.state_dict())
    train.quantize_nano(student.model)
    batch = read(2, 2)
    _, found = learning.AnswerTask([], teacher.model).loss(student, batch)
    assert 0 < found["divergence"] < 1, "four bits are near, and not the same"
    _, found = learning.AnswerTask([], teacher.model).loss(teacher, batch)
    assert found["divergence"] == pytest.approx(0, abs=1e-6)


def test_a_missing_checkpoint_is_named_before_anything_is_done(settings: train.Settings, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nothing: no checkpoint to begin with"):
        train.train(dataclasses.replace(settings, begin_from=tmp_path / "nothing"), print)
    assert not settings.folder.exists()


@pytest.mark.parametrize("kind", ["picture", "sound", "both"])
@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
def test_no_step_on_a_gpu_waits_for_it(settings: train.Settings, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors without numbers stand for a GPU's: whoever asks for one fails, and so would recording a step."""
    corpus = speech.spoken(voices.TRAINING, 1, 1, None)
    monkeypatch.setattr(studio, "can_look_at", lambda _: False)
    batch = Studio(corpus, torch.device("cpu")).batch(
        next(iter(Drafts(corpus, DRAWN, seed=5, size=4, mixture={kind: 1.0})))
    )
    learning.AnswerTask([]).loss(learning.Learner(), batch)  # constants come to be
    monkeypatch.setattr(experts, "can_look_at", lambda _: False)
    monkeypatch.setattr(hints, "can_look_at", lambda _: False)
    monkeypatch.setattr(torch.nn.init, "trunc_normal_", lambda weight, **_: weight)
    ones = partial(quantize_module, scales=lambda weight, size: torch.ones(len(weight), weight.shape[1] // size))
    monkeypatch.setattr(export, "quantize_module", ones)  # scales are looked for before the first step
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        learner, teacher = learning.Learner(), learning.Learner()
        train.quantize_nano(learner.model)
        batch = batches._mapped(batch, mode.from_tensor)
        loss, _ = learning.AnswerTask([], teacher.model).loss(learner, batch)
        loss.backward()
        loss, _ = learning.SensesTask([]).loss(learner, batch)
        loss.backward()
    with pytest.raises(DataDependentOutputException), mode:
        loss.item()


def test_the_clock_can_end_a_phase(settings: train.Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    plan = dataclasses.replace(train.FLOAT.plan, steps=10**6)
    monkeypatch.setattr(train, "FLOAT", dataclasses.replace(train.FLOAT, plan=plan))
    train.train(dataclasses.replace(settings, within=0.02), said.append)
    assert said[-1].startswith("to build it")
    state = load_state(settings.folder / "float")
    assert state is not None and state[1]["seconds"] >= 60 * 0.02 * train.FLOAT.share
    assert 1 <= state[1]["step"] < 10**6


@pytest.mark.parametrize("uses", [1, 3])
def test_what_is_drawn_is_used_so_often_and_otherwise_each_time(uses: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "_HELD", 4)
    draft = next(iter(Drafts(murmuring(), DRAWN, seed=5, size=2, mixture={"text": 1.0})))
    drafts = [dataclasses.replace(draft, seed=seed) for seed in range(50)]
    used = [one.seed for one in train._used(iter(drafts), uses)]
    assert len(set(used)) == len(used) == (50 if uses == 1 else 50 * 3 - 4 * 2)
    if uses == 1:
        assert used == list(range(50))
    else:
        assert max(abs(a // 3 - b // 3) for a, b in itertools.pairwise(used)) > 1, "with others in between"
        assert sum(seed // 3 < 40 for seed in used) > 110


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["smollm2-135m-int4", "--within", "5"], "--within is for GPUs where smollm2-135m-int4 is trained"),
        (["smollm2-135m-int4", "--from", "here"], "--from is for autoglm-phone-nano"),
        (["autoglm-phone-nano", "--within", "0"], "argument --within: must be minutes, more than 0"),
        (["autoglm-phone-nano", "--within", "soon"], "argument --within: must be minutes, more than 0"),
        (["smollm2-135m-int4", "--tokens", "few"], "argument --tokens: must be a whole number of at least 1"),
        (["autoglm-phone-nano", "--minutes", "-3"], "argument --minutes: must be minutes, more than 0"),
    ],
)
def test_what_a_training_cannot_be_told_is_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        assert main(["train", *arguments]) == 1
    except SystemExit as refused:
        assert refused.code == 2
    assert said in capsys.readouterr().err
