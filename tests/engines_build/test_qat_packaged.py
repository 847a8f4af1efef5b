"""A checkpoint trained anew at four bits: where it begins, what it learns, the folder and engine that come of it."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_checkpoints import VOCAB_SIZE, gentle, save_folder, tiny_model

from edged.errors import InvalidInput, NotFound
from engines import recipe_source
from engines.build import Order, build
from engines.calibrate import prepared
from engines.checkpoint import Checkpoint, open_checkpoint
from engines.checkpoint.int4 import Int4Tensor
from engines.gate import read_text
from engines.qat import train as qat
from engines.qat.checkpoints import load_state, save_state
from engines.qat.course import Sizes
from engines.qat.curve import draw_curve
from engines.qat.decoder import Decoder
from engines.qat.fake_quant import exported
from engines.qat.folder import write_checkpoint
from engines.qat.prose import _docstrings, passages
from engines.qat.sampling import LENGTH
from engines.qat.start import calibration_of, student
from engines.qat.texts import Texts
from engines.recipe import load_recipe

BLOCK = 32
SHORT = 128


def _checkpoint(folder: Path, **overrides: object) -> Checkpoint:
    model = tiny_model("llama", hidden_size=64, max_position_embeddings=LENGTH, **overrides)
    return open_checkpoint(save_folder(model, folder))


@pytest.fixture(scope="module")
def float_weights(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return _checkpoint(tmp_path_factory.mktemp("float") / "model")


def test_it_begins_with_the_integers_of_gptq(float_weights: Checkpoint) -> None:
    calibration = dataclasses.replace(calibration_of("awq+gptq"), tokens=512)
    model = student(float_weights, LENGTH, BLOCK, calibration, lambda count: None)

    format_ = load_recipe("smollm2-135m-int4").format
    format_ = dataclasses.replace(format_, linear=dataclasses.replace(format_.linear, keep=False))
    scaled, quantize = prepared(float_weights, format_, calibration, lambda count: None)
    found = exported(model)
    for number in range(2):
        for kind, parts in scaled.architecture.matrices.items():
            tensors = [scaled.tensors[f"layers.{number}.{part}.weight"] for part in parts]
            blocks = quantize(f"layers.{number}.{kind}", tensors, format_.linear)
            q = np.concatenate([found[f"layers.{number}.{part}.weight"][0] for part in parts])
            assert np.array_equal(q, blocks.q.reshape(q.shape).astype(np.int8) - 8), (number, kind)
    assert np.array_equal(model.norm.weight.detach().numpy(), scaled.tensors["norm.weight"].read())


@pytest.mark.parametrize("tied", [True, False])
def test_the_folder_reads_as_what_was_trained(tied: bool, tmp_path: Path) -> None:
    checkpoint = _checkpoint(tmp_path / "float", tie_word_embeddings=tied)
    model = student(checkpoint, LENGTH, BLOCK, calibration_of("round"), lambda count: None)
    write_checkpoint(tmp_path / "trained", model, checkpoint, BLOCK)
    write_checkpoint(tmp_path / "trained", model, checkpoint, BLOCK)  # again, as whenever it has become better

    found = open_checkpoint(tmp_path / "trained")

    assert dataclasses.replace(found.architecture, ropes=()) == dataclasses.replace(checkpoint.architecture, ropes=())
    assert np.allclose(found.architecture.ropes[0].frequencies, checkpoint.architecture.ropes[0].frequencies)
    assert found.vocabulary == checkpoint.vocabulary
    assert found.tensors.keys() == checkpoint.tensors.keys()
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear):
            tensor = found.tensors[f"{name}.weight"]
            assert isinstance(tensor, Int4Tensor)
            assert np.array_equal(tensor.read(), layer.weight.detach().numpy())
    assert np.array_equal(found.tensors["embedding.weight"].read(), checkpoint.tensors["embedding.weight"].read())


def test_scaled_rotary_positions_are_refused(tmp_path: Path) -> None:
    scaling = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
    checkpoint = _checkpoint(tmp_path / "float", rope_parameters=scaling)

    with pytest.raises(InvalidInput, match="scaled rotary positions cannot be trained"):
        write_checkpoint(tmp_path / "trained", Decoder(checkpoint, LENGTH), checkpoint, BLOCK)


def _settings(folder: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> qat.Settings:
    """Texts that take a tiny model little time; of the one that only the log speaks of, the beginning."""
    for module in ("sampling", "texts", "train"):
        monkeypatch.setattr(f"engines.qat.{module}.LENGTH", SHORT)
    monkeypatch.setattr(qat, "read_text", partial(read_text, most=4 * SHORT))
    texts = folder / "texts"
    texts.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(1)
    np.save(texts / "prose.npy", generator.integers(0, VOCAB_SIZE, (64, SHORT), dtype=np.uint32))
    return qat.Settings(
        recipe=load_recipe("smollm2-135m-int4"),
        folder=folder,
        checkpoint=folder / "checkpoint",
        source=source,
        tokens=24 * SHORT,
        method="round",
        rate=6e-4,
    )


def test_a_student_comes_nearer_to_its_teacher_and_is_built(
    float_weights: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe_source, "TRAINED", tmp_path)
    settings = _settings(tmp_path / "smollm2-135m-int4", float_weights.path, monkeypatch)
    said: list[str] = []

    qat.train(dataclasses.replace(settings, minutes=0), said.append)
    qat.train(settings, said.append)

    assert said[2] == "stopped in between: the same command goes on from there"
    assert said[-2] == "going on from what was reached" and "python -m engines build smollm2-135m-int4" in said[-1]
    lines = [json.loads(line) for line in (settings.folder / "log.jsonl").read_text().splitlines()]
    figures = [line for line in lines if "kl" in line]
    assert [line["step"] for line in figures] == list(range(0, 13, 2))
    assert figures[-1]["held out kl"] < figures[0]["held out kl"]
    best = json.loads((settings.folder / "best.json").read_text())
    assert best["held out kl"] == min(line["held out kl"] for line in figures)
    assert (settings.folder / "curve.md").read_text().count("\n") == 9

    recipe = dataclasses.replace(settings.recipe, against="", max_perplexity_loss=1e9)
    assert recipe.source is not None
    order = Order(recipe=recipe, source=recipe.source.find(), destination=tmp_path / "engines" / "tiny")
    manifest = build(order, said.append)
    assert manifest.precision.label == "INT4 (INT4 blocks kept), INT8 head and embedding"


def test_a_cpu_and_a_gpu_begin_with_what_the_other_reached(
    float_weights: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = dataclasses.replace(_settings(tmp_path, float_weights.path, monkeypatch), tokens=4 * SHORT, rate=1e-6)
    sizes = Sizes(batch=2, drawn=10, written=2, room=24)
    states = []

    def course() -> None:
        qat.take_course(
            dataclasses.replace(settings, minutes=0), float_weights, torch.float32, sizes, lambda line: None
        )
        states.append(load_state(tmp_path / "course"))

    def on_cpu() -> None:
        qat.train(settings, lambda line: None)
        states.append(load_state(tmp_path / "state"))

    course()
    assert states[0] is not None
    states[0][0]["module|norm.weight"] += 0.01  # as if it had learned
    save_state(tmp_path / "course", *states[0])
    on_cpu()
    course()

    assert not (tmp_path / "state").exists()  # the course's is later
    first, middle, last = (state for state in states if state is not None)
    assert first[1]["step"] > 2 == middle[1]["step"] < last[1]["step"]
    norm = "module|norm.weight"
    assert all(torch.allclose(first[0][norm], later[0][norm], atol=1e-4) for later in (middle, last))
    judged = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in judged if line["run"] == "state" and "kl" in line] == [0, 1, 2]


def test_an_engine_is_measured_against_the_weights_it_was_trained_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_folder(gentle(tiny_model("llama")), tmp_path / "model")
    other = save_folder(tiny_model("llama", seed=1), tmp_path / "checkpoints" / "other")
    (tmp_path / "other.toml").write_text('[source]\ncheckpoint = "other"\n[gate]\nmax_perplexity_loss = 1\n')
    (tmp_path / "mine.toml").write_text('[gate]\nagainst = "other"\nmax_perplexity_loss = 1e9\n')
    monkeypatch.setattr("engines.recipe.FOLDER", tmp_path)
    monkeypatch.setattr(recipe_source, "CHECKPOINTS", other.parent)

    orders = [
        Order(recipe=load_recipe(name), source=source, destination=tmp_path / name)
        for name, source in (("mine", folder), ("other", other))
    ]
    mine, theirs = (build(order, lambda line: None).quality for order in orders)

    assert mine.float_perplexity == theirs.float_perplexity
    assert mine.kl_divergence > 2 * theirs.kl_divergence


def test_weights_that_nobody_has_trained_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe_source, "TRAINED", tmp_path)
    source = load_recipe("smollm2-135m-int4").source

    with pytest.raises(NotFound, match="python -m engines train smollm2-135m-int4 makes one"):
        assert source is not None
        source.find()


def test_batches_go_through_all_texts_and_begin_anywhere() -> None:
    texts = Texts(training=np.arange(10 * 4, dtype=np.uint32).reshape(10, 4), held_out=np.zeros((1, 4), np.uint32))
    batches = texts.batches(2, 0)
    first = [next(batches) for _ in range(7)]
    later = texts.batches(2, 5)

    assert sorted(batch[row, 0].item() // 4 for batch in first[:5] for row in range(2)) == list(range(10))
    assert all(torch.equal(next(later), batch) for batch in first[5:])


def test_passages_are_prose_without_licences(tmp_path: Path) -> None:
    words = "It says at length what becomes of the values that are given to it, and why that is so. " * 4
    source = f'"""{words}"""\n\ndef f():\n    """Short."""\n\nclass A:\n    """{words}"""\n\nclass B:\n'
    source += f'    """{words} WITHOUT WARRANTIES"""\n'
    (tmp_path / "a.py").write_text(source)
    (tmp_path / "broken.py").write_text("def")

    assert [text.strip() for text in _docstrings(sorted(tmp_path.glob("*.py")))] == [words.strip()]
    assert all(len(text) >= 200 for text, _ in zip(passages(), range(50), strict=False))


def test_the_curve_is_drawn_of_what_was_evaluated(tmp_path: Path) -> None:
    figures = {"perplexity": 11.0, "loss of perplexity": 0.1, "kl": 0.2, "top-1": 0.7, "held out kl": 0.3}
    better = figures | {"step": 4, "loss of perplexity": 0.05}
    lines = [{"step": 0, **figures}, {"step": 2, "loss": 1.5}, better]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))

    assert draw_curve(log) == "perplexity +10.0% -> +5.0% of the float model's"
    assert (tmp_path / "curve.md").read_text().splitlines()[-1] == "| 4 | 11.00 | +5.0% | 0.2000 | 70.0% | 0.3000 |"
    if find_spec("matplotlib") is not None:
        assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    log.write_text("")
    assert draw_curve(log) == "nothing evaluated yet"
