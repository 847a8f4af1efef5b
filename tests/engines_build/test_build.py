"""A whole build: what is installed, kept, refused, and what an accident leaves behind."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tiny_checkpoints import TEMPLATE, reference_logits, relative_error, save_folder, save_gguf, tiny_model, tokens_of

from edged.engine.manifest import Manifest, read_manifest, verify_files
from edged.engine.onnx_session import OnnxSession
from edged.errors import ArtefactError, CheckpointError, InvalidInput, QualityGateFailed
from engines.__main__ import main
from engines.build import Order, build
from engines.recipe import Recipe, load_recipe
from engines.verify import verify


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_folder(tiny_model("qwen2"), tmp_path_factory.mktemp("build") / "model")


def recipe(max_perplexity_loss: float = 10.0) -> Recipe:
    """Random weights answer to rounding with wild changes of perplexity; tests of other things do not mind."""
    cpu = load_recipe("cpu")
    quick = dataclasses.replace(cpu.calibration, tokens=512)
    return dataclasses.replace(cpu, calibration=quick, max_perplexity_loss=max_perplexity_loss)


def order(source: Path, destination: Path, **changes: object) -> Order:
    return dataclasses.replace(Order(recipe=recipe(), source=source, destination=destination), **changes)


def quiet(line: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def built(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "tiny"
    build(order(checkpoint, folder), quiet)
    return folder


@pytest.fixture
def engine(built: Path, tmp_path: Path) -> Manifest:
    """As if built at tmp_path / "tiny"."""
    return read_manifest(Path(shutil.copytree(built, tmp_path / "tiny")))


def test_the_artefact_is_whole_and_runs(checkpoint: Path, tmp_path: Path) -> None:
    said: list[str] = []
    manifest = build(order(checkpoint, tmp_path / "tiny"), said.append)
    assert read_manifest(tmp_path / "tiny") == manifest
    verify_files(tmp_path / "tiny", manifest)
    assert set(manifest.files) == {
        "model.onnx",
        "model.onnx.data",
        "standard.onnx",
        "tokenizer.json",
        "chat_template.jinja",
    }
    assert (manifest.name, manifest.model_type, manifest.tokens.eos) == ("tiny", "qwen2", (2,))
    assert (manifest.tokens.reasoning_open, manifest.source.kind) == ("<think>", "safetensors")
    assert manifest.precision.label == "INT4 in blocks of 32 by AWQ+GPTQ, INT8 head and embedding"
    assert manifest.quality.tokens > 2000 and manifest.quality.kl_divergence > 0
    assert (tmp_path / "tiny" / "chat_template.jinja").read_text(encoding="utf-8") == TEMPLATE
    assert len(said) == 1 and said[0].startswith("tiny: INT4")
    assert _others(tmp_path, "tiny") == []

    session = OnnxSession(tmp_path / "tiny", manifest, max_seq_len=64, threads=1)
    tokens = tokens_of(20)
    logits = session.prefill(session.allocate(), 0, tokens, range(20))
    assert relative_error(logits, reference_logits(tiny_model("qwen2"), tokens)) < 1


def test_what_a_checkpoint_says_of_itself_cannot_command_a_terminal(tmp_path: Path) -> None:
    named = save_gguf(tiny_model("qwen2"), tmp_path / "tiny\n\x1b[31m.gguf", general__name="Tiny\x07\nmodel")
    build(order(named, tmp_path / "tiny"), quiet)
    manifest = read_manifest(tmp_path / "tiny")
    assert (manifest.title, manifest.source.name) == ("Tiny model", "tiny [31m.gguf")


def test_what_the_run_time_would_refuse_is_not_installed(checkpoint: Path, tmp_path: Path) -> None:
    source = tmp_path / "odd"
    shutil.copytree(checkpoint, source)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (source / name).read_text(encoding="utf-8").replace("<|im_end|>", "<|im_\\u2028|>")
        (source / name).write_text(text, encoding="utf-8")
    with pytest.raises(ArtefactError, match="printable"):
        build(order(source, tmp_path / "out" / "odd"), quiet)
    assert _others(tmp_path / "out") == []


def test_building_again_keeps_it(engine: Manifest, checkpoint: Path, tmp_path: Path) -> None:
    said: list[str] = []
    assert build(order(checkpoint, tmp_path / "tiny"), said.append) == engine
    assert said == [f"tiny: up to date ({tmp_path / 'tiny'})"]


@pytest.mark.parametrize("damage", ["model.onnx.data", "manifest.json", "tokenizer.json"])
def test_a_damaged_artefact_is_built_again(damage: str, engine: Manifest, checkpoint: Path, tmp_path: Path) -> None:
    data = bytearray((tmp_path / "tiny" / damage).read_bytes())
    data[len(data) // 2] ^= 255
    (tmp_path / "tiny" / damage).write_bytes(data)
    again = build(order(checkpoint, tmp_path / "tiny"), quiet)
    verify_files(tmp_path / "tiny", again)
    assert again.files == engine.files, "a build gives the same bytes each time"


def test_another_recipe_or_checkpoint_is_built_again(engine: Manifest, checkpoint: Path, tmp_path: Path) -> None:
    second = build(order(checkpoint, tmp_path / "tiny", recipe=recipe(9.0)), quiet)
    other = save_gguf(tiny_model("qwen2", seed=1), tmp_path / "other.gguf")
    third = build(order(other, tmp_path / "tiny", recipe=recipe(9.0)), quiet)
    assert len({engine.recipe, second.recipe}) == 2 and second.source != third.source


@pytest.mark.usefixtures("engine")
def test_another_template_is_built_again_and_the_same_is_kept(checkpoint: Path, tmp_path: Path) -> None:
    target, mine = tmp_path / "tiny", tmp_path / "mine.jinja"
    mine.write_text("{{ messages }}", encoding="utf-8")
    for template, expected in ((mine, "{{ messages }}"), (None, TEMPLATE), (mine, "{{ messages }}")):
        first = build(order(checkpoint, target, chat_template=template), quiet)
        assert (target / "chat_template.jinja").read_text(encoding="utf-8") == expected
    assert build(order(checkpoint, target, chat_template=mine), quiet) == first, "built once"
    mine.write_text("{{ messages[0] }}", encoding="utf-8")
    assert build(order(checkpoint, target, chat_template=mine), quiet) != first


def test_a_failed_gate_installs_nothing(built: Path, checkpoint: Path, tmp_path: Path) -> None:
    strict = order(checkpoint, tmp_path / "tiny", recipe=recipe(-0.9))
    with pytest.raises(QualityGateFailed, match=r"tiny: perplexity rose by .* not installed"):
        build(strict, quiet)
    assert _others(tmp_path) == []
    shutil.copytree(built, tmp_path / "tiny")
    with pytest.raises(QualityGateFailed):
        build(strict, quiet)
    assert read_manifest(tmp_path / "tiny") == read_manifest(built), "what was installed stays"


def test_what_a_build_killed_while_installing_had_moved_away_comes_back(
    engine: Manifest, checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "tiny").rename(tmp_path / ".tiny.building-killed-old")
    with pytest.raises(QualityGateFailed):
        build(order(checkpoint, tmp_path / "tiny", recipe=recipe(-0.9)), quiet)
    assert read_manifest(tmp_path / "tiny") == engine and _others(tmp_path, "tiny") == []


def test_a_checkpoint_without_a_template_wants_one(checkpoint: Path, tmp_path: Path) -> None:
    source = save_folder(tiny_model("llama"), tmp_path / "bare")
    (source / "tokenizer_config.json").write_text('{"eos_token": "<|im_end|>"}', encoding="utf-8")
    with pytest.raises(CheckpointError, match="engines build takes one with --chat-template FILE, a folder"):
        build(order(source, tmp_path / "out" / "bare"), quiet)
    assert _others(tmp_path / "out") == []
    (tmp_path / "mine.jinja").write_text("{{ messages }}", encoding="utf-8")
    build(order(source, tmp_path / "out" / "bare", chat_template=tmp_path / "mine.jinja"), quiet)
    assert (tmp_path / "out" / "bare" / "chat_template.jinja").read_text(encoding="utf-8") == "{{ messages }}"


def test_a_folder_of_somebody_else_is_left_alone(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(InvalidInput, match="exists and is not an engine"):
        build(order(checkpoint, tmp_path / "photos"), quiet)


def test_damage_of_many_kinds_is_one_clear_line(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "noise.gguf").write_bytes(os.urandom(5000))
    hostile = tmp_path / "hostile"
    shutil.copytree(checkpoint, hostile)
    safetensors.torch.save_file({"a\x1b[31m\nb": torch.zeros(1)}, hostile / "more.safetensors")
    (hostile / "model.safetensors").rename(hostile / "all.safetensors")
    cases: list[tuple[list[str], str]] = [
        (["build", str(tmp_path / "noise.gguf")], "not a valid GGUF file"),
        (["build", str(tmp_path / "nowhere.gguf")], "no such file"),
        (["build", "smolm2-135m"], 'did you mean "smollm2-135m"'),
        (["build", "cpu"], "names no weights"),
        (["build", os.devnull], "no such file"),
        (["build", str(hostile)], "have no place in a qwen2: a [31m b"),
        (["verify", str(tmp_path)], "manifest.json: cannot be read"),
    ]
    for arguments, expected in cases:
        out = ["--out", str(tmp_path / "out")] if arguments[0] == "build" else []
        assert main([*arguments, *out]) == 1
        error = capsys.readouterr().err
        assert expected in error and error.count("\n") == 1 and error.startswith("engines: ")
    assert not (tmp_path / "out").exists()


def test_without_the_build_extra_it_is_named() -> None:
    program = "import runpy, sys; sys.modules['gguf'] = None; runpy.run_module('engines', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "engines: gguf is not installed: pip install 'edged[build]'\n")


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_build_leaves_no_half_artefact(sign: signal.Signals, checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "tiny"
    command = [sys.executable, "-m", "engines", "build", str(checkpoint), "--out", str(target)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    try:
        _wait_for(lambda: any(tmp_path.glob(".tiny.building-*/model.onnx.data")))
        process.send_signal(sign)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    if process.returncode == 0:
        pytest.fail("the build was over before the signal")
    assert not target.exists()
    if sign != signal.SIGKILL:
        assert b"interrupted, nothing was installed" in error and _others(tmp_path) == []
    build(order(checkpoint, target), quiet)
    assert _others(tmp_path, "tiny") == [], "what a killed build left is cleared away"


def test_a_disk_that_cannot_hold_it_is_one_line_and_nothing_is_left(checkpoint: Path, tmp_path: Path) -> None:
    program = f'ulimit -f 60; exec "{sys.executable}" -m engines build "$0" --out "$1"'
    command = ["sh", "-c", program, str(checkpoint), str(tmp_path / "tiny")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("File too large\n") and "Traceback" not in done.stderr
    assert _others(tmp_path) == []


def test_verify_reads_files_and_computes(engine: Manifest, tmp_path: Path) -> None:
    table = verify(tmp_path / "tiny")
    assert f"{engine.quality.perplexity:.3f}" in table

    path = tmp_path / "tiny" / "manifest.json"
    document = json.loads(path.read_bytes())
    document["quality"]["perplexity"] *= 1.1
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ArtefactError, match="does not compute what it did"):
        verify(tmp_path / "tiny")

    path.write_text(json.dumps(document | {"quality": document["quality"] | {"text": "../x"}}), encoding="utf-8")
    with pytest.raises(ArtefactError, match="of no text that this edged could measure"):
        verify(tmp_path / "tiny")

    with (tmp_path / "tiny" / "model.onnx.data").open("r+b") as file:
        file.seek(5000)
        file.write(b"tampered")
    with pytest.raises(ArtefactError, match=r"model\.onnx\.data: SHA-256 differs"):
        verify(tmp_path / "tiny")


def _others(folder: Path, *known: str) -> list[str]:
    """What else lies in a folder."""
    names = (path.name for path in folder.iterdir()) if folder.exists() else iter(())
    return sorted(name for name in names if name not in known)


def _wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)
