"""Another key, or the first one: all is there afterwards, whenever the process is killed."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from talking import ask as ask_only
from talking import files_with, picture, recording, talk

from edged.errors import InvalidInput, NotFound, StoreError
from edged.records import OPERATOR
from edged.store import ConversationStore, KeySource
from edged.store.key import find_key
from edged.store.rekey import rekey

SECRET = b"Xylophonzauberei"
REKEYER = """
import os, pathlib, random, signal, sys, time
from edged.store import ConversationStore, KeySource
from edged.store.rekey import rekey
from edged.records import OPERATOR

state, key = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
rounds, what, seed = int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
source = KeySource(kind="file", directory=key)
database = state / "edged.db"
plain = database.read_bytes() if what == "encrypt" else b""
chance = random.Random(seed)
keys = set()

def work():
    if what == "encrypt":
        ConversationStore.open(state, source).close()
    else:
        rekey(database, source, source)

def in_child(seconds=float("inf")):
    # Whether it was killed, after so long, and how long it worked.
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    begun = time.monotonic()
    while not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if time.monotonic() - begun >= seconds:
            os.kill(child, signal.SIGKILL)
            break
        time.sleep(0.0005)
    took = time.monotonic() - begun
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, took

_, whole = in_child()
broken_off = 0
for _ in range(rounds):
    if what == "encrypt":
        for file in state.iterdir():
            file.unlink()
        database.write_bytes(plain)
    killed, took = in_child(chance.uniform(0, 1.5 * whole))
    broken_off += killed
    if not killed:
        whole = took  # as fast as the machine is now
    store = ConversationStore.open(state, source)
    with store._reading() as db:
        assert db.execute("PRAGMA cipher_integrity_check").fetchall() == []
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert store.search("Xylophonzauberei", reader=OPERATOR)[0]
    assert store.status().messages == 40
    keys.add(store._key.hex)
    store.close()
    left = sorted(file.name for file in state.iterdir() if not file.name.startswith(".edged.db.key.json."))
    assert left == ["edged.db", "edged.db.key.json"], list(state.iterdir())
    assert b"Xylophonzauberei" not in database.read_bytes()
print(broken_off, len(keys))
"""


def filled(store: ConversationStore) -> ConversationStore:
    """Twenty conversations, quickly: the disk is not waited for."""
    with store._reading() as db:
        db.execute("PRAGMA synchronous = OFF")
    for i in range(20):
        talk(store, f"Xylophonzauberei {i} " * 20, f"answer {i} " * 200)
    with store._reading() as db:
        db.execute("PRAGMA synchronous = FULL")
    return store


@pytest.fixture
def database(state_dir, source) -> Path:
    filled(ConversationStore.open(state_dir, source)).close()
    return state_dir / "edged.db"


@pytest.fixture
def plain_database(state_dir) -> Path:
    filled(ConversationStore(state_dir / "edged.db", None)).close()
    return state_dir / "edged.db"


def survivors(state_dir: Path, source: KeySource, what: str, rounds: int, seed: int = 0) -> tuple[int, int]:
    command = [sys.executable, "-c", REKEYER, str(state_dir), str(source.directory), str(rounds), what, str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    broken_off, keys = map(int, done.stdout.split())
    return broken_off, keys


def test_another_key_opens_what_the_old_one_did_and_the_old_one_does_not(database, state_dir, source):
    old, new = rekey(database, source, source)
    assert old.hex != new.hex
    assert old.source == str(source.file)  # kept: backups may need it
    assert Path(new.source).name == f"database-{new.fingerprint}.key"
    assert Path(new.source).stat().st_mode & 0o077 == 0
    store = ConversationStore.open(state_dir, source)
    assert store.status().key_source == new.source
    assert len(store.ids(reader=OPERATOR)) == 20
    talk(store, "it goes on")
    store.close()
    with pytest.raises(StoreError, match="made with another key"):
        ConversationStore(database, old)


def test_everything_encrypted_comes_along(state_dir, source):
    store = filled(ConversationStore.open(state_dir, source))
    turn = ask_only(store, "look", picture(b"PNG" * 9999), recording(b"RIFF" * 9999))
    before = [store.get(name, reader=OPERATOR) for name in store.ids(reader=OPERATOR) if name != turn.conversation_id]
    store.close()
    rekey(state_dir / "edged.db", source, source)
    store = ConversationStore.open(state_dir, source)
    parts = store.get(turn.conversation_id, reader=OPERATOR).messages[0].parts
    assert parts[1:] == (picture(b"PNG" * 9999), recording(b"RIFF" * 9999))
    assert before == [store.get(one.conversation.id, reader=OPERATOR) for one in before]
    assert len(store.search("zauberei 7", reader=OPERATOR)[0]) == 2
    for name in store.ids(reader=OPERATOR):
        store.delete(name, reader=OPERATOR)
    assert store.status().database_bytes < 200_000  # it still gives space back
    store.close()


def test_the_note_may_be_lost_after_a_rekey(database, state_dir, source):
    rekey(database, source, source)
    (state_dir / "edged.db.key.json").unlink()
    ConversationStore.open(state_dir, source).close()


def test_other_databases_of_the_account_keep_their_key(database, source, tmp_path):
    filled(ConversationStore.open(tmp_path / "other", source)).close()
    rekey(database, source, source)
    ConversationStore.open(tmp_path / "other", source).close()


def test_a_draft_of_a_killed_process_goes_and_one_that_is_being_written_stays(database, state_dir, source):
    old, fresh = (state_dir / f".edged.db.key.json.{name}" for name in ("old", "fresh"))
    for draft in (old, fresh):
        draft.touch()
    os.utime(old, (0, 0))
    ConversationStore.open(state_dir, source).close()
    assert not old.exists() and fresh.exists()


def test_killed_at_any_moment_of_a_rekey_it_opens_and_all_is_there(database, state_dir, source):
    broken_off, keys = survivors(state_dir, source, "rekey", 30)
    assert broken_off > 5
    assert keys > 1  # some were killed after the step, some before


def test_killed_at_any_moment_a_plain_database_is_plain_or_encrypted_and_whole(plain_database, state_dir, source):
    broken_off, _ = survivors(state_dir, source, "encrypt", 20)
    assert broken_off > 3


@pytest.mark.soak
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("what", ["rekey", "encrypt"])
def test_killed_hundreds_of_times(tmp_path, source, what):
    for seed in range(10):
        state = tmp_path / str(seed)
        opened = (
            ConversationStore.open(state, source) if what == "rekey" else ConversationStore(state / "edged.db", None)
        )
        filled(opened).close()
        survivors(state, source, what, 50, seed)


def test_a_plain_database_is_encrypted_where_it_lies(plain_database, state_dir, source, caplog):
    assert files_with(state_dir, SECRET)
    store = ConversationStore.open(state_dir, source)
    assert store.status().encrypted
    assert len(store.ids(reader=OPERATOR)) == 20
    assert files_with(state_dir, SECRET) == []
    store.close()
    assert files_with(state_dir, SECRET) == []
    assert "was not encrypted" in caplog.text


def test_a_plain_database_with_a_log_that_a_killed_process_left_comes_whole(tmp_path, source):
    store = filled(ConversationStore(tmp_path / "a" / "edged.db", None))
    (tmp_path / "b").mkdir()
    for name in ("edged.db", "edged.db-wal"):
        shutil.copy(tmp_path / "a" / name, tmp_path / "b")
    store.close()
    store = ConversationStore.open(tmp_path / "b", source)
    assert len(store.ids(reader=OPERATOR)) == 20
    assert files_with(tmp_path / "b", SECRET) == []
    store.close()


def test_a_database_of_another_program_is_left_alone(state_dir, source):
    state_dir.mkdir()
    with sqlite3.connect(state_dir / "edged.db") as other:
        other.execute("CREATE TABLE bookmarks (url)")
    other.close()
    before = (state_dir / "edged.db").read_bytes()
    with pytest.raises(StoreError, match="not one of edged"):
        ConversationStore.open(state_dir, source)
    assert (state_dir / "edged.db").read_bytes() == before


def test_nothing_to_rekey(state_dir, source):
    with pytest.raises(NotFound):
        rekey(state_dir / "edged.db", source, source)


def test_a_rekey_waits_for_nobody_who_reads(database, source):
    reader = ConversationStore(database, find_key(source, database))
    reader._db.execute("BEGIN")
    reader._db.execute("SELECT count(*) FROM messages").fetchone()
    with pytest.raises(StoreError, match="held by another process"):
        rekey(database, source, source)
    reader._db.execute("COMMIT")
    assert len(reader.ids(reader=OPERATOR)) == 20
    reader.close()
    rekey(database, source, source)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guessing costs nothing here."""
    monkeypatch.setattr("edged.store.passphrase.COST", 2**10)


def by_passphrase(source: KeySource, text: str) -> KeySource:
    return replace(source, kind="passphrase", secret=text)


@pytest.mark.usefixtures("quick")
def test_a_passphrase_opens_the_file_alone(tmp_path, source):
    asked = by_passphrase(source, "correct horse battery staple")
    store = filled(ConversationStore.open(tmp_path / "state", asked))
    assert store.status().key_source == "passphrase"
    store.close()
    assert not source.directory.exists()  # nothing but the file and what somebody knows
    assert b"correct" not in b"".join(file.read_bytes() for file in (tmp_path / "state").iterdir())
    (tmp_path / "copy").mkdir()
    shutil.copy(tmp_path / "state" / "edged.db", tmp_path / "copy")
    ConversationStore.open(tmp_path / "copy", asked).close()
    with pytest.raises(StoreError, match="the passphrase is not the one"):
        ConversationStore.open(tmp_path / "state", by_passphrase(source, "wrong horse battery staple"))
    with pytest.raises(StoreError, match="run `edged serve` in a terminal"):
        ConversationStore.open(tmp_path / "state", by_passphrase(source, ""))
    with pytest.raises(StoreError, match=r'set store\.key = "passphrase"'):
        ConversationStore.open(tmp_path / "state", source)


@pytest.mark.usefixtures("quick")
def test_from_file_to_passphrase_to_another_passphrase(database, state_dir, source):
    first, second = by_passphrase(source, "first passphrase"), by_passphrase(source, "second passphrase")
    rekey(database, source, first)
    assert json.loads((state_dir / "edged.db.key.json").read_text())["source"] == "passphrase"
    rekey(database, first, second)
    with pytest.raises(StoreError, match="not the one"):
        ConversationStore.open(state_dir, first)
    store = ConversationStore.open(state_dir, second)
    assert len(store.ids(reader=OPERATOR)) == 20
    store.close()
    with pytest.raises(InvalidInput, match="shorter than 8") as caught:
        rekey(database, second, by_passphrase(source, "sesame"))
    assert "sesame" not in str(caught.value)


def test_a_credential_opens_what_it_made_and_nothing_else(state_dir, source):
    given = replace(source, kind="credential", secret="ab" * 32 + "\n")
    filled(ConversationStore.open(state_dir, given)).close()
    store = ConversationStore.open(state_dir, given)
    assert store.status().key_source == "credential"
    store.close()
    assert not source.directory.exists()
    with pytest.raises(StoreError, match="credential"):
        ConversationStore.open(state_dir, replace(given, secret=""))
    with pytest.raises(StoreError, match="not the one"):
        ConversationStore.open(state_dir, replace(given, secret="cd" * 32))
    with pytest.raises(StoreError, match="64 hexadecimal digits"):
        ConversationStore.open(state_dir, replace(given, secret="hello"))


def test_whoever_forgets_to_name_the_credential_is_told_to(state_dir, source):
    filled(ConversationStore.open(state_dir, replace(source, kind="credential", secret="ab" * 32))).close()
    source.directory.mkdir(parents=True, mode=0o700)
    source.file.write_text("cd" * 32 + "\n")
    source.file.chmod(0o600)
    with pytest.raises(StoreError, match=r'set store\.key = "credential"'):
        ConversationStore.open(state_dir, source)


def test_a_key_file_may_move_into_a_credential(database, state_dir, source):
    digits = source.file.read_text()
    source.file.unlink()
    store = ConversationStore.open(state_dir, replace(source, kind="credential", secret=digits))
    assert store.status().key_source == "credential"
    store.close()


def test_no_secret_shows_in_a_repr(source):
    assert "horse" not in repr(by_passphrase(source, "horse staple"))
    assert os.fspath(source.directory) in repr(source)
