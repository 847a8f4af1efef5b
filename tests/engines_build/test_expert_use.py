"""`python -m engines verify ARTEFACT --plots`: what the routers choose, counted and drawn."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from tiny_phone import torch_logits
from tiny_sensing_phone import save_sensing_phone, sensing_phone

from edged.engine.manifest import Manifest, read_manifest
from edged.engine.session import Sight
from engines import gate
from engines.__main__ import main
from engines.audio.artefact import recording_inputs
from engines.encoder.measure import run_graph
from engines.expert_use import described, expert_use
from engines.vision.artefact import picture_inputs
from tests.tiny_artefact import tiny_artefact


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("experts")
    text = "[gate]\nmax_perplexity_loss = 1\n[linear]\ninputs = 'float'\n"
    (folder / "exact.toml").write_text(text, encoding="utf-8")
    checkpoint = save_sensing_phone(sensing_phone(), folder / "checkpoint", int4=True)
    command = ["build", str(checkpoint), "--out", str(folder / "phone"), "--recipe", str(folder / "exact.toml")]
    assert main(command) == 0
    return folder / "phone"


def text_of(engine: Path, manifest: Manifest) -> gate.Text:
    tokenizer = (engine / manifest.tokenizer_file).read_text(encoding="utf-8")
    return gate.read_text("harbour", tokenizer, manifest.context_length)


def test_experts_are_those_that_the_pytorch_model_chooses(engine: Path, tmp_path: Path) -> None:
    model, manifest = sensing_phone(), read_manifest(engine)
    save_sensing_phone(model, tmp_path / "model", int4=True)
    found = expert_use(engine, manifest, text_of(engine, manifest))
    assert list(found) == ["text", "picture", "recording"]
    assert manifest.vision is not None and manifest.audio is not None
    towers = {"picture": (manifest.vision.file, picture_inputs(manifest.vision))}
    towers["recording"] = manifest.audio.file, recording_inputs(manifest.audio)
    for kind, (name, (file, inputs)) in enumerate(towers.items(), 1):
        rows = run_graph(engine / file, inputs)
        count = len(rows)
        sight = Sight(
            positions=np.tile(np.arange(count), (3, 1)), embeddings=rows, types=np.full(count, kind, np.int64)
        )
        _, routers = torch_logits(model, range(-count, 0), sight)
        counts = [np.bincount(np.argsort(-layer)[:, :2].ravel(), minlength=8) for layer in routers]
        np.testing.assert_allclose(found[name], np.stack(counts) / count, atol=2.5 / count, err_msg=name)
    for shares in found.values():
        np.testing.assert_allclose(shares.sum(axis=1), 2)


def test_what_is_uneven_is_called_so() -> None:
    even, uneven = np.full((2, 4), 0.5), np.array([[1.0, 1.0, 0.0, 0.0]] * 2)
    (_, first), (_, second) = described({"text": even, "picture": uneven})
    assert first == "100% even; 0 of 8 idle; at most 50% of a layer's tokens in one (expert 0)"
    assert second == "50% even; 4 of 8 idle; at most 100% of a layer's tokens in one (expert 0)"


def test_verify_draws_what_it_says(engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(engine), "--plots", str(tmp_path / "new" / "charts")]) == 0
    out = capsys.readouterr().out
    for kind in ("text", "picture", "recording"):
        assert f"experts, {kind}" in out
    chart = tmp_path / "new" / "charts" / "phone-experts.png"
    assert out.splitlines()[-1].split() == ["chart", str(chart)]
    with Pillow.open(chart) as picture:
        assert picture.format == "PNG" and min(picture.size) > 300


def test_plots_lie_where_the_command_is_given(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["verify", str(engine), "--plots"]) == 0
    assert (tmp_path / "phone-experts.png").is_file()
    assert not list(engine.glob("*.png")), "an artefact has the files of its manifest and no others"


def test_what_cannot_be_drawn_is_said_before_anything_is_computed(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dense = tiny_artefact(tmp_path / "engines")
    assert main(["verify", str(dense), "--plots", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "engines: tiny has no experts: every token passes all of its weights, nothing to plot\n"
    )
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    broken = Path(shutil.copytree(engine, tmp_path / "phone"))
    (broken / "vision.onnx").write_bytes(b"x" * (broken / "vision.onnx").stat().st_size)
    assert main(["verify", str(broken), "--plots", str(tmp_path)]) == 1
    message = "engines: plots need an extra: `make setup EXTRAS=plots` or pip install 'edged[plots]'\n"
    assert capsys.readouterr().err == message
