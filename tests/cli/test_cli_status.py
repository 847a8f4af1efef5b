from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edged.cli import connection, lan_checks
from edged.config import load_config
from edged.engine.gpu import Gpu, Gpus
from edged.engine.manifest import read_manifest
from edged.events import Text
from edged.records import OPERATOR
from edged.store import ConversationStore
from edged.store.key_places import KeySource
from tests.cli.conftest import Edged, ScriptedDaemon
from tests.sensing_artefact import sensing_artefact
from tests.tiny_artefact import EYES, tiny_artefact


@pytest.fixture(scope="module", autouse=True)
def hashed_once() -> Iterator[None]:
    """Files that nobody writes to between two looks, such as this machine's weights, are hashed at the first."""
    known: dict[tuple[object, ...], Any] = {}
    of_file = hashlib.file_digest

    def remembered(file: Any, name: Any) -> Any:
        seen = os.fstat(file.fileno())
        key = (name, seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
        if key not in known:
            known[key] = of_file(file, name)
        return known[key].copy()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(hashlib, "file_digest", remembered)
        yield


def test_status_tells_what_runs(daemon: ScriptedDaemon, edged: Edged) -> None:
    done = edged("status")
    assert done.exit_code == 0
    for part in ("serving", f"listening on unix:{daemon.socket}", "tiny on script", "NOT encrypted", "demo-size"):
        assert part in done.stdout
    report = json.loads(edged("status", "--json").stdout)
    assert report["running"] and report["state"] == "serving" and report["engine"]["model"] == "tiny"


def test_status_tells_how_experts_are_used(
    daemon: ScriptedDaemon, edged: Edged, monkeypatch: pytest.MonkeyPatch
) -> None:
    dense = daemon.model.status()
    monkeypatch.setattr(daemon.model, "status", lambda: replace(dense, expert_load=((0.25, 0.75), (0.5, 0.5))))
    said = edged("status").stdout
    assert "load of 2 experts, % of each layer's choices (even: 50.0)" in said
    assert "layer 0: 25.0 75.0" in said and "layer 1: 50.0 50.0" in said
    assert json.loads(edged("status", "--json").stdout)["engine"]["expert_load"] == [[0.25, 0.75], [0.5, 0.5]]


@pytest.mark.parametrize("stale", [False, True], ids=["no socket", "socket of a dead daemon"])
def test_status_without_a_daemon(stale: bool, home: Path, edged: Edged) -> None:
    if stale:
        (home / "socket").touch()
    done = edged("status")
    assert (done.exit_code, done.stdout) == (1, "") and done.stderr.count("\n") == 1
    report = edged("status", "--json")
    assert report.exit_code == 1 and json.loads(report.stdout)["running"] is False


def test_without_a_daemon_of_ones_own_the_services_is_told_of(
    home: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SERVICE_FOLDER", home)
    done = edged("status")
    assert done.exit_code == 1 and done.stderr.endswith(
        "`sudo -u edged EDGED_STATE_DIR=/var/lib/edged EDGED_DAEMON__SOCKET=/run/edged/edged.sock edged status`\n"
    )


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


def test_doctor_says_what_is_switched_off(healthy: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks(edged, 0)["privacy"]["verdict"] == "ok"
    monkeypatch.setenv("EDGED_PRIVACY__SANDBOX", "false")
    monkeypatch.setenv("EDGED_LOGGING__CONTENT", "true")
    found = checks(edged, 0)["privacy"]
    assert found["verdict"] == "warn"
    assert "privacy.sandbox = false" in found["detail"] and "written to the log" in found["detail"]


def test_doctor_looks_for_the_file_of_a_wake_word(healthy: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGED_VOICE__WAKE_WORDS", str(healthy / "mine.json"))
    found = checks(edged, 0)["speech"]
    assert found["verdict"] == "warn" and "mine.json: cannot be read" in found["detail"]


def test_doctor_knows_a_plain_database(healthy: Path, edged: Edged, tmp_path: Path) -> None:
    state = load_config().paths.state
    state.mkdir(parents=True, exist_ok=True)
    ConversationStore(state / "edged.db", None).close()
    found = checks(edged, 0)["database"]
    assert found["verdict"] == "warn" and "is not encrypted: the next start" in found["detail"]


def test_doctor_reaches_the_daemon(healthy: Path, daemon: ScriptedDaemon, edged: Edged) -> None:
    assert "answers at" in checks(edged, 0)["daemon"]["detail"]


def test_doctor_names_the_damaged_engine(healthy: Path, edged: Edged) -> None:
    file = healthy / "engines/tiny/tokenizer.json"
    file.write_bytes(file.read_bytes()[:-1] + b" ")
    found = checks(edged, 1)["engines"]
    assert found["verdict"] == "fail" and str(file) in found["detail"]


def test_doctor_knows_what_eyes_need(healthy: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks(edged, 0)["engines"]["verdict"] == "ok"
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert not names_the_blind(checks(edged, 0)["engines"]["detail"]), "it reads text; the checkout's own may see"
    manifest = read_manifest(healthy / "engines/tiny")
    seeing = replace(manifest, vision=EYES, graph=replace(manifest.graph, embeddings=True))
    seeing.write(healthy / "engines/tiny")
    found = checks(edged, 0)["engines"]
    assert found["verdict"] == "warn"
    assert names_the_blind(found["detail"])
    assert found["detail"].endswith("cannot see without: `make setup EXTRAS=media` or pip install 'edged[media]'")


def names_the_blind(detail: str) -> bool:
    """Whether tiny is among those that cannot see."""
    return "tiny" in detail.partition("/engines: ")[2].partition(" cannot see")[0]


@pytest.mark.parametrize("module", ["soundfile", "soxr"])
def test_doctor_knows_what_ears_need(module: str, healthy: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    sensing_artefact(healthy / "engines")
    assert checks(edged, 0)["engines"]["verdict"] == "ok"
    monkeypatch.setitem(sys.modules, module, None)
    found = checks(edged, 0)["engines"]
    assert found["verdict"] == "warn"
    assert found["detail"].endswith(
        "sensing cannot hear without: `make setup EXTRAS=media` or pip install 'edged[media]'"
    )


def test_doctor_says_where_phones_find_the_daemon(healthy: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    def row() -> str:
        return next(line for line in edged("doctor").stdout.splitlines() if " lan: " in f" {line}")

    assert "off" in row() and row().startswith("ok")
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setenv("EDGED_LAN__ENABLED", "true")
        monkeypatch.setenv("EDGED_LAN__HOST", "127.0.0.1")
        monkeypatch.setenv("EDGED_LAN__WEB_PORT", str(other.getsockname()[1]))
        assert row().startswith("fail") and "lan.web_port" in row()
    assert row().startswith("warn") and "no network" in row()
    monkeypatch.setenv("EDGED_LAN__HOST", "192.168.7.7")
    assert row().startswith("ok") and "https://192.168.7.7:" in row()
    monkeypatch.setattr(lan_checks, "find_spec", lambda module: None)
    assert row().startswith("fail") and "edged[web]" in row()


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
    store.open_turn(conversation_id="", parts=(Text(text="secret"),), system_prompt=None, model="tiny", reader=OPERATOR)
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


RTX = Gpu(name="NVIDIA GeForce RTX 4090", capability="sm89", memory_bytes=24 * 2**30)


def devices(edged: Edged, exit_code: int, gpus: Gpus, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, str]]:
    """Verdict and detail of each row about devices, on a machine with these GPUs."""
    monkeypatch.setattr("edged.engine.gpu.find_gpus", lambda: gpus)
    found = checks(edged, exit_code)
    rows = {name.removeprefix("device "): check for name, check in found.items() if name.startswith("device ")}
    return {name: (check["verdict"], check["detail"]) for name, check in rows.items()}


def test_doctor_says_what_computes_where_there_is_no_gpu(
    healthy: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = devices(edged, 0, Gpus(obstacle="no driver here"), monkeypatch)
    assert rows["tensorrt"] == rows["cuda"] == ("ok", "not used: no driver here")
    assert rows["cpu"] == ("ok", "used: onnxruntime on the CPU (engine.device is auto)")


@pytest.mark.parametrize(
    ("gpus", "sentence"),
    [
        (Gpus(found=(RTX,), has_driver=True), "GPUs need float16: build it with a recipe"),
        (Gpus(obstacle="the driver hangs", has_driver=True), "the driver hangs: install the NVIDIA driver"),
    ],
)
def test_doctor_warns_where_a_gpu_is_not_used(
    gpus: Gpus, sentence: str, healthy: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = devices(edged, 0, gpus, monkeypatch)
    assert rows["cuda"][0] == rows["tensorrt"][0] == "warn" and sentence in rows["cuda"][1]
    assert rows["cpu"][0] == "ok" and rows["cpu"][1].startswith("used: ")


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_doctor_fails_where_the_device_asked_for_cannot_be_used(
    device: str, healthy: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGED_ENGINE__DEVICE", device)
    rows = devices(edged, 1, Gpus(found=(RTX,), has_driver=True), monkeypatch)
    assert rows[device][0] == "fail" and rows[device][1].startswith(f"engine.device is {device}: ")
    assert rows["cpu"] == ("ok", f"could be used: onnxruntime on the CPU (engine.device is {device})")


def test_doctor_finds_two_runtimes_in_one_place(
    healthy: Path, edged: Edged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "onnxruntime_gpu-1.31.1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.31.1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = checks(edged, 0)["packages"]
    assert found["verdict"] == "warn" and "onnxruntime-gpu 1.31.1" in found["detail"]
    assert found["detail"].endswith("pip install --force-reinstall --no-deps onnxruntime-gpu")


def test_doctor_with_a_broken_configuration(healthy: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGED_ENGINE__THREADZ", "2")
    detail = checks(edged, 1)["configuration"]["detail"]
    assert "threads" in detail and detail.endswith("the rest was not checked")


def test_doctor_with_a_state_directory_in_the_way(healthy: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    (healthy / "file").touch()
    monkeypatch.setenv("EDGED_STATE_DIR", str(healthy / "file/state"))
    assert "EDGED_STATE_DIR" in checks(edged, 1)["state directory"]["detail"]
