"""From a model's name or path to an engine: pulled once, built once, and the network left alone otherwise."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import Hub
from pulling import names

from edged.engine.manifest import read_manifest
from edged.errors import CheckpointError
from engines import prepare as prepare_module
from engines.__main__ import main
from engines.catalog import CATALOG, CatalogEntry
from engines.prepare import prepare
from engines.pulled import read_pulled


@pytest.fixture
def named(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog of two, and build folders of this test."""
    shape = CATALOG["qwen3-8b"].shape
    common = {"license": "MIT", "parameters": 1, "download_gb": 0.1, "languages": "", "remarks": "", "shape": shape}
    entries = [
        CatalogEntry(name="tiny", repository="tiny/folder", **common),
        CatalogEntry(name="tiny-q8", repository="tiny/gguf", file="q8/tiny-q8_0.gguf", **common),
    ]
    for module in ("prepare", "__main__"):
        monkeypatch.setattr(f"engines.{module}.CATALOG", {entry.name: entry for entry in entries})
    monkeypatch.setattr(prepare_module, "MODELS", tmp_path / "models")
    monkeypatch.setattr("engines.build.DESTINATION", tmp_path / "engines")


def test_a_name_is_pulled_built_and_then_ready_without_the_hub(
    named: None, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", "tiny"]) == 1
    assert capsys.readouterr().err == "engines: tiny is not here: python -m engines pull tiny (0.1 GB)\n"
    assert main(["prepare", "tiny"]) == 0
    told = capsys.readouterr()
    assert told.out == "tiny\n", "what a shell takes as the engine's name"
    assert "pull alone uses the network" in told.err and "perplexity" in told.err
    assert read_manifest(tmp_path / "engines" / "tiny").name == "tiny"
    hub.seen.clear()
    assert main(["prepare", "tiny"]) == 0 and main(["build", "tiny"]) == 0
    assert capsys.readouterr().out.startswith("tiny\ntiny: up to date")
    shutil.rmtree(tmp_path / "models")
    assert main(["prepare", "tiny"]) == 0
    assert "its download is no longer here and not needed" in capsys.readouterr().err
    assert hub.seen == []
    (tmp_path / "engines/tiny/manifest.json").write_text('{"format": 1}')
    assert main(["prepare", "tiny"]) == 0, "what an older edged built is not needed either"
    assert read_manifest(tmp_path / "engines" / "tiny").name == "tiny" and hub.seen


def test_an_engine_that_was_built_for_a_gpu_stays_that(
    named: None, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pull", "tiny"]) == 0 and main(["build", "tiny", "--recipe", "h100"]) == 0
    built = read_manifest(tmp_path / "engines" / "tiny")
    assert built.graph.activations == "float16"
    assert main(["prepare", "tiny"]) == 0
    assert read_manifest(tmp_path / "engines" / "tiny") == built
    assert main(["build", "tiny"]) == 0, "said plainly, it is built for CPUs"
    assert read_manifest(tmp_path / "engines" / "tiny").graph.activations == "float32"


def test_an_engine_with_a_template_of_the_users_keeps_it(
    named: None, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.jinja").write_text("{{ messages }}", encoding="utf-8")
    assert main(["pull", "tiny"]) == 0
    assert main(["build", "tiny", "--chat-template", str(tmp_path / "mine.jinja")]) == 0
    (tmp_path / "mine.jinja").unlink()
    built = read_manifest(tmp_path / "engines" / "tiny")
    assert main(["prepare", "tiny"]) == 0
    assert read_manifest(tmp_path / "engines" / "tiny") == built
    assert main(["build", "tiny"]) == 0, "said plainly, it has its own"
    assert "im_start" in (tmp_path / "engines/tiny/chat_template.jinja").read_text(encoding="utf-8")


def test_a_gguf_of_the_catalog_is_built_where_it_was_carried_to(named: None, hub: Hub, tmp_path: Path) -> None:
    assert main(["pull", "tiny-q8"]) == 0
    assert names(tmp_path / "models" / "tiny-q8") == {"tiny-q8_0.gguf", "README.md", "pulled.json"}
    stick = tmp_path / "usb stick"
    (tmp_path / "models" / "tiny-q8").rename(stick)
    hub.seen.clear()
    assert prepare(str(stick / "tiny-q8_0.gguf"), lambda line: None) == "tiny-q8_0"
    assert hub.seen == [] and read_manifest(tmp_path / "engines" / "tiny-q8_0").source.name.startswith("tiny/gguf@")


def test_an_engine_is_verified_by_its_name(named: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "tiny"]) == 0
    assert main(["verify", "tiny"]) == 0 and main(["verify", str(tmp_path / "engines/tiny")]) == 0
    capsys.readouterr()
    for wrong in ("tinny", f"{tmp_path}/engines/tinny"):
        for arguments in (["verify", wrong], ["compile", wrong, "--target", "sm89"]):
            assert main(arguments) == 1
            error = f'engines: {wrong!r}: no such engine or folder (did you mean "tiny"?)\n'
            assert capsys.readouterr().err == error


def test_an_unknown_model_is_answered_with_the_nearest(named: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "tini-q8"]) == 1
    error = capsys.readouterr().err
    assert "no recipe, model of the catalog, file or folder 'tini-q8' (did you mean \"tiny-q8\"?)" in error
    assert main(["prepare", "nowhere/x.gguf"]) == 1
    assert capsys.readouterr().err == "engines: nowhere/x.gguf: no such file or folder\n"
    assert main(["prepare", "Qwen/Qwen3-0.6B"]) == 1, "what is no name of the catalog is never pulled by itself"
    hint = "no such file or folder; from the hub: python -m engines pull Qwen/Qwen3-0.6B"
    assert capsys.readouterr().err == f"engines: Qwen/Qwen3-0.6B: {hint}\n"


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        '{"repository": "a/b", "revision": "main", "commit": "0", "license": "MIT", "files": {"../x": {}}}',
        '{"repository": "a\\u0007", "revision": "main", "commit": "0", "license": "MIT", "files": {}}',
    ],
)
def test_a_pulled_json_of_somebody_else_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "pulled.json").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"pulled\.json: (not as `pull` writes it: pull again|must hold)"):
        read_pulled(tmp_path)


def test_nothing_of_the_hub_is_loaded_before_it_is_asked() -> None:
    program = (
        "import sys, engines.__main__, engines.prepare, engines.build, edged.daemon, edged.server, edged.engine; "
        "print(*[name for name in sys.modules if name.split('.')[0] in ('huggingface_hub', 'httpx2', 'requests')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_without_the_library_it_is_named(tmp_path: Path) -> None:
    program = (
        "import runpy, sys; sys.modules['huggingface_hub'] = None; "
        f"sys.argv = ['engines', 'pull', 'a/b', '--out', {str(tmp_path / 'x')!r}]; "
        "runpy.run_module('engines', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "engines: huggingface_hub is not installed: pip install 'edged[build]'\n",
    )
