from __future__ import annotations

import json
from pathlib import Path

import pytest

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
    assert "edged models list" in checks(edged, 1)["engines"]["detail"]


def test_doctor_with_a_broken_configuration(healthy: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGED_ENGINE__THREADZ", "2")
    assert "threads" in checks(edged, 1)["configuration"]["detail"]


def test_doctor_with_a_state_directory_in_the_way(healthy: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    (healthy / "file").touch()
    monkeypatch.setenv("EDGED_STATE_DIR", str(healthy / "file/state"))
    assert "EDGED_STATE_DIR" in checks(edged, 1)["state directory"]["detail"]
