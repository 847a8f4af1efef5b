from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest

from edged.events import Text
from edged.store import ConversationStore
from edged.store.key import KeySource
from tests.cli.conftest import Edged, ScriptedDaemon
from tests.tiny_artefact import tiny_artefact


def test_status_tells_what_runs(daemon: ScriptedDaemon, edged: Edged) -> None:
    done = edged("status")
    assert done.exit_code == 0
    for part in ("serving", f"listening on unix:{daemon.socket}", "tiny on script", "NOT encrypted", "demo-size"):
        assert part in done.stdout
    report = json.loads(edged("status", "--json").stdout)
    assert report["running"] and report["state"] == "serving" and report["engine"]["model"] == "tiny"


@pytest.mark.parametrize("stale", [False, True], ids=["no socket", "socket of a dead daemon"])
def test_status_without_a_daemon(stale: bool, home: Path, edged: Edged) -> None:
    if stale:
        (home / "socket").touch()
    done = edged("status")
    assert (done.exit_code, done.stdout) == (1, "") and done.stderr.count("\n") == 1
    report = edged("status", "--json")
    assert report.exit_code == 1 and json.loads(report.stdout)["running"] is False


def checks(edged: Edged, exit_code: int) -> dict[str, dict[str, str]]:
    done = edged("doctor", "--json")
    assert done.exit_code == exit_code, done.output
    report = json.loads(done.stdout)
    assert report["healthy"] == (exit_code == 0)
    return {check["name"]: check for check in report["checks"]}


@pytest.fixture
def healthy(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny_artefact(home / "engines", "tiny")
    monkeypatch.setenv("EDGED_ENGINE__DEFAULT", "tiny")
    return home


def test_doctor_where_all_is_well(healthy: Path, edged: Edged) -> None:
    assert {name for name, check in checks(edged, 0).items() if check["verdict"] == "fail"} == set()
    lines = edged("doctor").stdout.splitlines()
    assert all(line[:5].strip() in ("ok", "warn") for line in lines)


def test_doctor_reaches_the_daemon(healthy: Path, daemon: ScriptedDaemon, edged: Edged) -> None:
    assert "answers at" in checks(edged, 0)["daemon"]["detail"]


def test_doctor_names_the_damaged_engine(healthy: Path, edged: Edged) -> None:
    file = healthy / "engines/tiny/tokenizer.json"
    file.write_bytes(file.read_bytes()[:-1] + b" ")
    found = checks(edged, 1)["engines"]
    assert found["verdict"] == "fail" and str(file) in found["detail"]


def test_doctor_wants_the_key_for_this_user_only(healthy: Path, edged: Edged) -> None:
    key = healthy / ".config/edged/database.key"
    key.parent.mkdir(parents=True)
    key.write_text("0" * 64)
    key.chmod(0o644)
    assert f"chmod 600 {key}" in checks(edged, 1)["database key"]["detail"]
    key.chmod(0o600)
    assert checks(edged, 0)["database key"]["verdict"] == "ok"


def test_doctor_without_the_default_engine(home: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGED_ENGINE__DEFAULT", "nosuch")
    found = checks(edged, 1)
    assert "`make setup`" in found["engines"]["detail"] and "edged models import" in found["engines"]["detail"]
    assert [name for name, check in found.items() if check["verdict"] == "fail"] == ["engines"]


def test_doctor_expects_nothing_of_an_installation_whose_daemon_answers(
    daemon: ScriptedDaemon, edged: Edged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGED_ENGINE__DEFAULT", "nosuch")
    monkeypatch.setattr(sys.modules["edged.cli.doctor"], "MODULES", ["nosuch"])  # the package has a command of the name
    found = checks(edged, 0)
    assert found["engines"]["verdict"] == found["packages"]["verdict"] == "warn"


def test_doctor_takes_the_socket_of_a_dead_daemon_for_what_it_is(healthy: Path, edged: Edged) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(healthy / "socket"))
    assert "dead one" in checks(edged, 0)["daemon"]["detail"]


@pytest.fixture
def database(healthy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with a conversation, its key in a file."""
    monkeypatch.setenv("EDGED_STORE__KEY", "file")
    store = ConversationStore.open(healthy / "state", KeySource(kind="file", directory=healthy / ".config/edged"))
    store.open_turn(conversation_id="", parts=(Text(text="secret"),), system_prompt=None, model="tiny")
    store.close()
    return healthy / "state/edged.db"


def test_doctor_reads_the_database_and_writes_nothing(database: Path, edged: Edged) -> None:
    before = {file: file.read_bytes() for file in database.parent.iterdir()}
    assert checks(edged, 0)["database"]["detail"].endswith("intact")
    assert {file: file.read_bytes() for file in database.parent.iterdir()} == before


@pytest.mark.parametrize(
    ("content", "sentence"), [(None, "is not in"), ("0" * 64, "is not the one"), ("short", "is damaged")]
)
def test_doctor_misses_the_key_of_the_database(
    content: str | None, sentence: str, healthy: Path, database: Path, edged: Edged
) -> None:
    key = healthy / ".config/edged/database.key"
    key.write_text(content) if content else key.unlink()
    found = checks(edged, 1)
    assert sentence in found["database key"]["detail"] and found["database"]["verdict"] == "warn"
    assert key.exists() == bool(content)


@pytest.mark.parametrize("place", [100, 20_000], ids=["first page", "later page"])
def test_doctor_finds_a_damaged_database(place: int, database: Path, edged: Edged) -> None:
    content = bytearray(database.read_bytes())
    content[place] ^= 0xFF
    database.write_bytes(content)
    assert "is damaged" in checks(edged, 1)["database"]["detail"]


def test_doctor_with_a_broken_configuration(healthy: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGED_ENGINE__THREADZ", "2")
    detail = checks(edged, 1)["configuration"]["detail"]
    assert "threads" in detail and detail.endswith("the rest was not checked")


def test_doctor_with_a_state_directory_in_the_way(healthy: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    (healthy / "file").touch()
    monkeypatch.setenv("EDGED_STATE_DIR", str(healthy / "file/state"))
    assert "EDGED_STATE_DIR" in checks(edged, 1)["state directory"]["detail"]
