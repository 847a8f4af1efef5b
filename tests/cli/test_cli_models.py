from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Edged
from tests.sensing_artefact import sensing_artefact
from tests.tiny_artefact import tiny_artefact


@pytest.fixture
def engines(home: Path) -> Path:
    """The folder of EDGED_ENGINES_DIR, holding the engine tiny."""
    tiny_artefact(home / "engines", "tiny")
    return home / "engines"


def test_list(engines: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGED_ENGINE__DEFAULT", "tiny")
    found = {item["name"]: item for item in json.loads(edged("models", "list", "--json").stdout)}
    assert found["tiny"]["is_default"] and found["tiny"]["folder"] == str(engines / "tiny")
    lines = edged("models", "list").stdout.splitlines()
    assert lines[0].split()[0] == "NAME" and any(line.startswith("tiny * ") for line in lines[1:])


def test_list_says_how_much_of_a_mixture_is_active(engines: Path, edged: Edged) -> None:
    def active() -> int:
        (found,) = [one for one in json.loads(edged("models", "list", "--json").stdout) if one["name"] == "tiny"]
        return int(found["active_parameters"])

    file = engines / "tiny" / "manifest.json"
    document = json.loads(file.read_text())
    assert active() == document["parameters"]
    file.write_text(json.dumps(document | {"parameters": 9_008_072_752, "active_parameters": 1_156_335_664}))
    assert "9.01B, 1.16B active" in edged("models", "list").stdout
    assert active() == 1_156_335_664


def test_list_says_what_each_reads(engines: Path, edged: Edged) -> None:
    sensing_artefact(engines)
    found = {item["name"]: item["reads"] for item in json.loads(edged("models", "list", "--json").stdout)}
    assert (found["tiny"], found["sensing"]) == (["text"], ["text", "images", "audio"])
    lines = {line.split()[0]: line for line in edged("models", "list").stdout.splitlines()}
    assert "READS" in lines["NAME"] and "text, images, audio" in lines["sensing"]


def test_engine_travels_as_one_file(engines: Path, home: Path, edged: Edged, tmp_path: Path) -> None:
    tar = tmp_path / "tiny.tar"
    assert edged("models", "export", "tiny", str(tar)).exit_code == 0
    done = edged("models", "import", str(tar))
    assert done.stdout.startswith("Imported tiny.") and (home / "state/engines/tiny/manifest.json").is_file()
    again = edged("models", "import", str(tar))
    assert again.exit_code == 1 and "installed already" in again.stderr
    assert edged("models", "rm", "tiny", "--yes").stdout == "Removed tiny.\n"
    assert not (home / "state/engines/tiny").exists()


def test_rm_needs_yes_where_nobody_can_be_asked(engines: Path, edged: Edged) -> None:
    edged("models", "import", str(engines / "tiny"))
    done = edged("models", "rm", "tiny")
    assert done.exit_code == 2 and "--yes" in done.stderr
    assert edged("models", "rm", "tiny", "--yes").exit_code == 0


def test_verify_names_the_damaged_file(engines: Path, edged: Edged) -> None:
    assert edged("models", "verify", "tiny").stdout == "tiny is intact.\n"
    file = engines / "tiny/chat_template.jinja"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    done = edged("models", "verify")
    assert done.exit_code == 1 and str(file) in done.stderr
    wrong = {item["name"]: item for item in json.loads(edged("models", "verify", "--json").stdout)}
    assert not wrong["tiny"]["intact"] and str(file) in wrong["tiny"]["reason"]


def test_verify_finds_torn_engines_that_list_leaves_out(engines: Path, edged: Edged) -> None:
    (engines / "tiny/tokenizer.json").unlink()
    assert not [item for item in json.loads(edged("models", "list", "--json").stdout) if item["name"] == "tiny"]
    done = edged("models", "verify")
    assert done.exit_code == 1 and "tokenizer.json" in done.stderr
    assert "left out tiny: it is damaged" in edged("models", "list").stderr


def test_no_engines(home: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.config.paths._checkout_engines", list)
    assert "`edged models import FOLDER_OR_TAR` brings one" in edged("models", "list").stdout
    done = edged("models", "verify")
    assert done.exit_code == 1 and "no engines to verify" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["models", "verify", "tinny"], 'did you mean "tiny"'),
        (["models", "export", "nosuch", "x.tar"], "no engine 'nosuch'"),
        (["models", "import", "/no/such"], "/no/such does not exist"),
        (["models", "import", "my.gguf"], "my.gguf is a checkpoint, not an engine: `python -m engines build my.gguf`"),
        (["models", "rm", "nosuch", "--yes"], "no engine 'nosuch'"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, engines: Path, edged: Edged) -> None:
    done = edged(*arguments)
    assert done.exit_code == 1 and message in done.stderr and done.stderr.count("\n") == 1


def test_bench_measures_the_engine(engines: Path, edged: Edged) -> None:
    done = edged("bench", "--model", "tiny", "--sets", "1", "--json")
    figures = json.loads(done.stdout)
    assert figures["model"] == "tiny" and all(value for value in figures.values())
    assert "of the memory-bandwidth limit" in edged("bench", "--model", "tiny", "--sets", "1").stdout
