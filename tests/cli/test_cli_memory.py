"""Keys, backups, archives and wiping at the command line, with no daemon running."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edged.config import load_config
from edged.daemon.database import key_source
from edged.events import FinishReason, MessageState, Text
from edged.records import OPERATOR
from edged.store import ConversationStore, KeySource
from tests.cli.conftest import Edged

WORDS = "a passphrase of several words"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guessing costs nothing here."""
    monkeypatch.setattr("edged.store.passphrase.COST", 2**10)
    monkeypatch.setenv("EDGED_STORE__KEY", "file")


@pytest.fixture
def state(home: Path) -> Path:
    return home / "state"


@pytest.fixture
def passphrase_file(home: Path) -> str:
    (home / "words").write_text(f"{WORDS}\n")
    return str(home / "words")


def source(secret: str = "") -> KeySource:
    return key_source(load_config(), secret)


def talk(state: Path, text: str, secret: str = "") -> str:
    store = ConversationStore.open(state, source(secret))
    turn = store.open_turn(
        conversation_id="", parts=(Text(text=text),), system_prompt=None, model="tiny", reader=OPERATOR
    )
    store.close_turn(
        turn.answer_message_id,
        parts=(Text(text="Yes."),),
        reasoning="",
        state=MessageState.COMPLETE,
        finish_reason=FinishReason.STOP,
        usage=None,
    )
    store.close()
    return turn.conversation_id


def titles(state: Path, secret: str = "") -> list[str]:
    store = ConversationStore.open(state, source(secret))
    found = [one.title for one in store.list(reader=OPERATOR)[0]]
    store.close()
    return found


def test_backup_and_restore(state: Path, home: Path, edged: Edged, passphrase_file: str) -> None:
    talk(state, "first")
    plain = edged("backup", str(home / "one"))
    assert (plain.exit_code, "1 conversation, 2 messages" in plain.stdout) == (0, True)
    assert "which is not in it" in plain.stdout
    made = edged("backup", str(home / "two"), "--passphrase-file", passphrase_file, "--json")
    assert json.loads(made.stdout)["key_source"] == "passphrase"
    talk(state, "second")
    refused = edged("restore", str(home / "two"), "--passphrase-file", passphrase_file)
    assert (refused.exit_code, "--replace" in refused.stderr) == (1, True)
    done = edged("restore", str(home / "two"), "--passphrase-file", passphrase_file, "--replace")
    assert (done.exit_code, "restored 1 conversation," in done.stderr) == (0, True)
    assert titles(state) == ["first"]
    assert WORDS not in done.output + refused.output + made.output


def test_nothing_is_read_from_a_terminal_that_is_not_there(state: Path, home: Path, edged: Edged) -> None:
    talk(state, "first")
    asked = edged("backup", str(home / "one"), "--passphrase", stdin=f"{WORDS}\n{WORDS}\n")
    assert (asked.exit_code, "--passphrase-file" in asked.stderr) == (1, True)
    assert not (home / "one").exists()


def test_rekey_moves_the_key_where_it_is_wanted(
    state: Path, edged: Edged, passphrase_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(state, "first")
    assert edged("rekey").exit_code == 0
    done = edged("rekey", "--key", "passphrase", "--new-passphrase-file", passphrase_file)
    assert (done.exit_code, 'set store.key = "passphrase"' in done.stderr) == (0, True)
    monkeypatch.setenv("EDGED_STORE__KEY", "passphrase")
    assert titles(state, WORDS) == ["first"]
    monkeypatch.setenv("EDGED_STORE__PASSPHRASE_FILE", passphrase_file)
    back = edged("rekey", "--key", "file")
    assert back.exit_code == 0, back.output
    monkeypatch.setenv("EDGED_STORE__KEY", "file")
    assert titles(state) == ["first"]
    assert "no database" in edged("rekey").stderr or edged("rekey").exit_code == 0


def test_rekey_of_nothing_and_wrong_use(edged: Edged, passphrase_file: str) -> None:
    assert "there is no database" in edged("rekey").stderr
    assert edged("rekey", "--new-passphrase-file", passphrase_file).exit_code == 2


def test_wiping_where_nothing_is_says_whose_key_stays(
    state: Path, home: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(state, "first")
    monkeypatch.setenv("EDGED_STATE_DIR", str(home / "elsewhere"))
    done = edged("wipe", "--yes")
    assert done.exit_code == 0 and "no database was here, so" in done.stderr
    monkeypatch.setenv("EDGED_STATE_DIR", str(state))
    assert titles(state) == ["first"]


def test_doctor_says_where_the_key_is_and_where_it_should_be(
    state: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(state, "first")
    monkeypatch.setenv("EDGED_STORE__KEY", "keyring")
    checks = json.loads(edged("doctor", "--json").stdout)["checks"]
    (said,) = [check for check in checks if check["name"] == "database key"]
    assert said["verdict"] == "warn" and "edged rekey" in said["detail"]


def test_archive_goes_out_and_in(state: Path, home: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [talk(state, "zebras"), talk(state, "elephants")]
    file = home / "archive.zip"
    out = edged("conversations", "export", "--archive", str(file))
    assert (out.exit_code, "2 conversations" in out.stderr, "not encrypted" in out.stderr) == (0, True, True)
    assert edged("conversations", "export", "--archive", str(file)).exit_code == 1
    again = edged("conversations", "import", str(file))
    assert "0 conversations stored, 2 were there already" in again.stderr
    monkeypatch.setenv("EDGED_STATE_DIR", str(home / "other"))
    stranger = edged("conversations", "import", str(file))
    assert (stranger.exit_code, "not by this daemon" in stranger.stderr) == (1, True)
    fingerprint = stranger.stderr.split()[-1]
    assert edged("conversations", "import", str(file), "--signed-by", fingerprint).exit_code == 0
    assert titles(home / "other") == ["elephants", "zebras"]
    one = home / "one.zip"
    assert "1 conversation in" in edged("conversations", "export", names[0], "--archive", str(one)).stderr
    missing = edged("conversations", "export", "nonesuch", "--archive", str(home / "none.zip"))
    assert (missing.exit_code, (home / "none.zip").exists()) == (1, False)


def test_what_is_no_archive(state: Path, home: Path, edged: Edged) -> None:
    (home / "noise").write_bytes(b"noise" * 100)
    for name in ("noise", "nonesuch"):
        result = edged("conversations", "import", str(home / name))
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert edged("conversations", "export", "--archive", str(home / "a"), "--json").exit_code == 2


def test_wipe(state: Path, home: Path, edged: Edged) -> None:
    talk(state, "first")
    edged("rekey")
    (state / "edged.log").write_text("ready")
    (state / "trust").mkdir()
    (state / "trust" / "ca.key").write_text("secret of the house")
    (state / "engines" / "mine").mkdir(parents=True)
    assert edged("wipe").exit_code == 2  # no terminal to ask on
    keys = [*(home / ".config/edged").glob("database*.key")]
    assert len(keys) == 2
    assert edged("backup", str(home / "kept")).exit_code == 0
    assert edged("wipe", "--yes").exit_code == 0
    assert not [key for key in keys if key.exists()]
    assert sorted(item.name for item in state.iterdir()) == ["edged.lock", "engines", "trust"]
    assert "no key" in edged("restore", str(home / "kept")).stderr
    assert edged("wipe", "--yes", "--everything").exit_code == 0
    assert [item.name for item in state.iterdir()] == ["edged.lock"]
    talk(state, "a new beginning")
    assert titles(state) == ["a new beginning"]
