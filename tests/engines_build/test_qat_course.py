"""What trains on a GPU, on the CPU: the forward pass, drawing, gradients, and a course from end to end."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_checkpoints import VOCAB_SIZE, save_folder, tiny_model
from torch import Tensor
from torch.nn import functional

from edged.errors import CheckpointError, InvalidInput
from engines.checkpoint import Checkpoint, open_checkpoint
from engines.checkpoint.int4 import Int4Tensor
from engines.gate import read_text
from engines.qat import course as module_of_course
from engines.qat.author import Author, beginnings
from engines.qat.checkpoints import load_state, save_state
from engines.qat.course import Course, Sizes
from engines.qat.decoder import Decoder
from engines.qat.divergence import divergence
from engines.qat.fake_quant import exported
from engines.qat.flat import FlatStudent
from engines.qat.forward import forward, weights_of
from engines.qat.lessons import Lessons
from engines.qat.sampling import LENGTH
from engines.qat.start import calibration_of, student
from engines.qat.train import Settings, take_course
from engines.recipe import load_recipe

BLOCK = 32
SHORT = 32
SIZES = Sizes(batch=2, drawn=18, written=2, room=32, rates=(1e-3, 1e-2), trial=10, trial_share=0.2, seconds_between=0.2)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts that take a tiny model no time; of the one that only the log speaks of, the beginning."""
    for module in ("train", "texts"):
        monkeypatch.setattr(f"engines.qat.{module}.LENGTH", SHORT)
    monkeypatch.setattr("engines.qat.train.read_text", partial(read_text, most=4 * SHORT))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    model = tiny_model("llama", hidden_size=64, max_position_embeddings=LENGTH)
    return open_checkpoint(save_folder(model, tmp_path_factory.mktemp("float") / "model"))


def tokens(*shape: int) -> Tensor:
    return torch.randint(VOCAB_SIZE, shape, generator=torch.Generator().manual_seed(2))


def test_the_forward_pass_is_the_decoders(checkpoint: Checkpoint) -> None:
    model = Decoder(checkpoint, 64)
    with torch.no_grad():
        expected, found = model(tokens(3, 40)), forward(weights_of(model, torch.float32), tokens(3, 40))
        halved = forward(weights_of(model, torch.bfloat16), tokens(3, 40))

    assert torch.allclose(found, expected, atol=1e-5)
    assert halved.dtype is torch.bfloat16 and (halved - expected).norm() < 0.03 * expected.norm()


def test_models_with_more_than_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="this qwen3 is trained on a CPU only: it has norms of heads"):
        weights_of(Decoder(open_checkpoint(save_folder(tiny_model("qwen3"), tmp_path / "model")), 8), torch.float32)


def test_what_is_drawn_comes_with_the_states_that_reading_it_gives(checkpoint: Checkpoint) -> None:
    weights = weights_of(Decoder(checkpoint, 160).requires_grad_(False), torch.float32)
    author = Author(weights, 6, 160)

    author.draw(beginnings(6, 160, VOCAB_SIZE, [5, 6, 7], torch.Generator().manual_seed(0)))
    first = author.tokens.clone()
    author.draw(beginnings(6, 160, VOCAB_SIZE, [5, 6, 7], torch.Generator().manual_seed(1)))

    assert author.tokens[2:4, :3].tolist() == [[5, 6, 7], [5, 6, 7]]
    assert not torch.equal(first[:, 3:], author.tokens[:, 3:])
    assert torch.allclose(author.states, forward(weights, author.tokens), atol=1e-4)


def test_tokens_are_drawn_by_their_probability_and_not_below_the_least(checkpoint: Checkpoint) -> None:
    author = Author(weights_of(Decoder(checkpoint, 8), torch.float32), 20_000, 1)
    probabilities = torch.tensor([0.6, 0.3, 0.08, 0.02])

    drawn = author._drawn(probabilities.log().expand(20_000, 4))

    freely, above = (torch.bincount(drawn[start::2], minlength=4) / 10_000 for start in (0, 1))
    assert torch.allclose(freely, probabilities, atol=0.02)
    assert torch.allclose(above, torch.tensor([0.6, 0.3, 0.08, 0.0]) / 0.98, atol=0.02) and above[3] == 0


def test_its_gradients_are_those_of_the_module(checkpoint: Checkpoint) -> None:
    teacher = Decoder(checkpoint, 32).requires_grad_(False)
    module = student(checkpoint, 32, BLOCK, calibration_of("round"), lambda count: None)
    flat = FlatStudent(module, torch.float32)
    expected = teacher(tokens(2, 32)).flatten(0, 1)

    states = module(tokens(2, 32)).flatten(0, 1)
    truth, ours = (module.logits(each).log_softmax(-1) for each in (expected, states))
    loss = functional.kl_div(ours, truth, reduction="sum", log_target=True) / len(states)
    loss.backward()  # type: ignore[no-untyped-call]  # torch's own
    found = forward(flat.computing, tokens(2, 32)).flatten(0, 1)
    distance, slope = divergence(found.detach(), expected, flat.computing.head, slope=True)
    flat.gather(torch.autograd.grad(found, flat.leaves, slope))

    assert distance.item() == pytest.approx(loss.item(), rel=1e-5)
    scales = torch.cat([fake.scale.grad.flatten() for _, fake in flat._matrices() if fake.scale.grad is not None])
    weights = torch.cat(
        [original.grad.view(-1, BLOCK) for original, _ in flat._matrices() if original.grad is not None]
    )
    assert _is_same(flat.scales.grad, scales * flat._base)
    assert _is_same(flat.weights.grad, weights * flat._base[:, None])
    assert _is_same(
        flat.norms.grad, torch.cat([norm.grad for norm in flat._norms() if norm.grad is not None]) * flat._first
    )


def _is_same(found: Tensor | None, expected: Tensor) -> bool:
    return found is not None and bool((found - expected).abs().max() < 1e-5 * expected.abs().max())


def test_what_it_stores_is_what_it_computes_with(checkpoint: Checkpoint) -> None:
    module = student(checkpoint, 32, BLOCK, calibration_of("round"), lambda count: None)
    flat = FlatStudent(module, torch.float32)
    before = {name: q.copy() for name, (q, _) in exported(module).items()}
    with torch.no_grad():
        flat.weights.add_(torch.randn(flat.weights.shape, generator=torch.Generator().manual_seed(0)))
        flat.scales.mul_(1.01)
        flat.norms.mul_(1.1)
    flat.spread()

    with torch.no_grad():
        states, found = flat.store()(tokens(2, 32)), forward(flat.computing, tokens(2, 32))

    after = exported(module)
    assert torch.allclose(found, states, atol=1e-4)
    assert all((after[name][0] != q).any() for name, q in before.items())


def test_new_lessons_come_once_and_old_ones_again() -> None:
    texts = torch.arange(12)[:, None]
    lessons = Lessons(8, texts[:1], texts[:1, :, None].float())
    generator = torch.Generator().manual_seed(0)

    def learned(new: Tensor, size: int) -> list[int]:
        lessons.add(new, new[..., None].float())
        batches = list(lessons.round(size, 0.5, generator))
        assert all(torch.equal(tokens.float(), states[..., 0]) for tokens, states in batches)
        return sorted(int(text) for tokens, _ in batches for text in tokens)

    assert learned(texts[:4], 2) == [0, 1, 2, 3]
    second = learned(texts[4:8], 2)
    assert set(second) >= {4, 5, 6, 7} and len(second) == 6 and set(second) <= set(range(8))
    third = learned(texts[8:], 2)  # in the places of the first four
    assert set(third) >= {8, 9, 10, 11} and set(third) <= set(range(4, 12)) and len(third) == 6


@pytest.mark.usefixtures("short")
def test_a_course_ends_and_goes_on(checkpoint: Checkpoint, tmp_path: Path) -> None:
    settings = _settings(tmp_path, checkpoint, steps=50)
    said: list[str] = []

    take_course(settings, checkpoint, torch.float32, SIZES, said.append)
    state = load_state(tmp_path / "course")
    take_course(settings, checkpoint, torch.float32, SIZES, said.append)

    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    judged = [line for line in lines if "kl" in line]
    best = json.loads((tmp_path / "best.json").read_text())
    assert state is not None and state[1]["step"] == 50
    assert (judged[0]["step"], judged[-1]["step"]) == (0, 100)
    assert best["held out kl"] == min(line["held out kl"] for line in judged) < judged[0]["held out kl"]
    assert any("steps at 0.01: divergence" in line for line in said) and "going on from what was reached" in said
    trained = open_checkpoint(settings.checkpoint)
    assert isinstance(trained.tensors["layers.0.q.weight"], Int4Tensor)


@pytest.mark.usefixtures("short")
def test_who_is_led_astray_comes_back(checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_of_course, "_WORSE", 0.5)
    said: list[str] = []

    sizes = replace(SIZES, seconds_between=0)
    take_course(_settings(tmp_path, checkpoint, steps=30), checkpoint, torch.float32, sizes, said.append)

    assert any("led astray" in line and "half the rate" in line for line in said)


@pytest.mark.usefixtures("short")
def test_the_best_is_what_is_saved(checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, sizes = _settings(tmp_path, checkpoint, steps=20), replace(SIZES, seconds_between=1e9)
    take_course(replace(settings, minutes=0), checkpoint, torch.float32, sizes, lambda line: None)
    first = _weights(tmp_path / "course")
    judge, calls = Course._judge, []

    def spoiled(course: Course) -> bool:
        calls.append(course)
        if len(calls) == 2:  # the last one
            with torch.no_grad():
                course._student.weights.mul_(3)
        return judge(course)

    monkeypatch.setattr(Course, "_judge", spoiled)
    take_course(settings, checkpoint, torch.float32, sizes, lambda line: None)

    saved = _weights(tmp_path / "course")
    assert len(calls) == 2
    assert all(torch.allclose(value, first[name], atol=1e-5) for name, value in saved.items())


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, None])
def test_a_course_that_is_cut_short_is_saved(
    ending: signal.Signals | None, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, judge, best = Course._one, Course._judge, []

    def cut(course: Course, optimizer: torch.optim.Optimizer, rate: float) -> None:
        one(course, optimizer, rate)
        if course._step == 30 and ending is None:
            raise RuntimeError("of the device")
        if course._step == 30 and ending is not None:
            os.kill(os.getpid(), ending)

    def judged(course: Course) -> bool:
        is_near = judge(course)
        best.append(course._best[1])
        return is_near

    monkeypatch.setattr(Course, "_one", cut)
    monkeypatch.setattr(Course, "_judge", judged)
    settings, sizes = _settings(tmp_path, checkpoint, steps=10**6), replace(SIZES, seconds_between=0)
    if ending is None:
        with pytest.raises(RuntimeError, match="of the device"):
            take_course(settings, checkpoint, torch.float32, sizes, lambda line: None)
    else:
        take_course(settings, checkpoint, torch.float32, sizes, lambda line: None)

    found = load_state(tmp_path / "course")
    assert found is not None and found[1]["step"] == 30
    model = student(checkpoint, SHORT, BLOCK, calibration_of("round"), lambda count: None)
    flat = FlatStudent(model, torch.float32)
    model.load_state_dict(_weights(tmp_path / "course"))
    saved = torch.cat([original.view(-1, BLOCK) for original, _ in flat._matrices()]) / flat._base[:, None]
    assert torch.allclose(saved, best[-1][0], atol=1e-4)


@pytest.mark.usefixtures("short")
def test_the_log_has_the_rate_that_was_used(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, used = Course._one, {}

    def noted(course: Course, optimizer: torch.optim.Optimizer, rate: float) -> None:
        one(course, optimizer, rate)
        used[course._step] = round(rate, 7)

    monkeypatch.setattr(Course, "_one", noted)
    sizes = replace(SIZES, seconds_between=1e9)
    take_course(_settings(tmp_path, checkpoint, steps=120), checkpoint, torch.float32, sizes, lambda line: None)

    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    logged = {line["step"]: line["rate"] for line in lines if "rate" in line}
    assert len(logged) >= 4 and logged == {step: used[step] for step in logged}


@pytest.mark.usefixtures("short")
def test_the_best_is_saved_on_the_way(checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_of_course, "_SAVE_SECONDS", 0.0)
    saved: list[int] = []
    keep = Course._keep

    def kept(course: Course) -> None:
        keep(course)
        saved.append(course._step)

    monkeypatch.setattr(Course, "_keep", kept)
    sizes = replace(SIZES, seconds_between=0)
    take_course(_settings(tmp_path, checkpoint, steps=40), checkpoint, torch.float32, sizes, lambda line: None)

    assert len(saved) > 1 and saved[0] < saved[-1] == 40


@pytest.mark.usefixtures("short")
def test_what_is_not_finite_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    settings = _settings(tmp_path, checkpoint, steps=1, minutes=0)
    take_course(settings, checkpoint, torch.float32, SIZES, lambda line: None)
    broken = {f"module|{name}": value * torch.nan for name, value in _weights(tmp_path / "course").items()}
    save_state(tmp_path / "course", broken, {"step": 5, "read": 0})

    with pytest.raises(CheckpointError, match="not finite; delete it to begin again"):
        take_course(settings, checkpoint, torch.float32, SIZES, lambda line: None)


@pytest.mark.usefixtures("short")
def test_who_goes_on_learns_from_other_texts(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[list[bytes]] = []
    add = Lessons.add

    def seen(lessons: Lessons, tokens: Tensor, states: Tensor) -> None:
        added[-1].extend(text.tobytes() for text in tokens.numpy())
        add(lessons, tokens, states)

    monkeypatch.setattr(Lessons, "add", seen)
    settings = _settings(tmp_path, checkpoint, steps=16)
    for _ in range(2):
        added.append([])
        take_course(settings, checkpoint, torch.float32, SIZES, lambda line: None)

    held_out = {text.tobytes() for text in np.load(tmp_path / "texts" / "held-out.npy").astype(np.int64)}
    assert not set(added[0]) & set(added[1]) and not held_out & {*added[0], *added[1]}
    people = np.load(tmp_path / "texts" / "prose.npy")
    np.save(tmp_path / "texts" / "novels.npy", np.zeros((16, SHORT), np.uint32))  # so that all have other places
    added.append([])
    take_course(replace(settings, tokens=10 * settings.tokens), checkpoint, torch.float32, SIZES, lambda line: None)
    assert {text.tobytes() for text in people[8:].astype(np.int64)} & set(added[2]) and not held_out & set(added[2])


@pytest.mark.usefixtures("short")
def test_the_state_of_another_model_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    take_course(
        _settings(tmp_path, checkpoint, steps=10**9, minutes=0), checkpoint, torch.float32, SIZES, lambda line: None
    )
    other = open_checkpoint(
        save_folder(tiny_model("llama", hidden_size=96, max_position_embeddings=LENGTH), tmp_path / "other")
    )

    with pytest.raises(CheckpointError, match="the state of another model"):
        take_course(_settings(tmp_path, other, steps=10**9, minutes=0), other, torch.float32, SIZES, lambda line: None)


def _weights(folder: Path) -> dict[str, Tensor]:
    found = load_state(folder)
    assert found is not None
    return {name.removeprefix("module|"): value for name, value in found[0].items()}


def _settings(folder: Path, checkpoint: Checkpoint, *, steps: int, minutes: float = 9) -> Settings:
    (folder / "texts").mkdir(exist_ok=True)
    texts = np.random.default_rng(1).integers(0, VOCAB_SIZE, (24, SHORT), dtype=np.uint32)
    np.save(folder / "texts" / "prose.npy", texts)
    return Settings(
        recipe=load_recipe("smollm2-135m-int4"),
        folder=folder,
        checkpoint=folder / "checkpoint",
        source=checkpoint.path,
        tokens=steps * SIZES.batch * SHORT,
        minutes=minutes,
        method="round",
    )
