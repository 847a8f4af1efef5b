"""Backups taken while others write, and put back: all or nothing, with or without the old key."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from talking import ask, files_with, picture, talk

from edged.errors import AlreadyExists, EdgedError, InvalidInput, NotFound, StoreError
from edged.records import OPERATOR
from edged.store import ConversationStore, KeySource
from edged.store.backup import back_up, restore

WORDS = "a passphrase of its own"
RESTORER = """
import pathlib, sys
from edged.store import KeySource
from edged.store.backup import restore
state, key, file = map(pathlib.Path, sys.argv[1:])
source = KeySource(kind="file", directory=key)
print("ready", flush=True)
restore(file, state / "edged.db", source, passphrase="a passphrase of its own", replace=True)
"""

KILLER = """
import os, pathlib, shutil, signal, sys
import edged.store.passphrase as passphrase
from edged.errors import StoreError
from edged.records import OPERATOR
from edged.store import ConversationStore, KeySource
from edged.store.backup import restore
passphrase.COST = 2**10
crashed, file, place = map(pathlib.Path, sys.argv[1:4])
source, state, hidden = KeySource(kind="file", directory=place / "key"), place / "state", place / "hidden"

def kill_at(step):
    left = [step]
    for name in ("hardlink_to", "rename", "replace", "unlink"):
        def change(*arguments, real=getattr(pathlib.Path, name), **named):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)
        setattr(pathlib.Path, name, change)

step, ended = 0, 1
while ended:
    step += 1
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(crashed, place)
    if sys.argv[4:]:
        source.file.rename(hidden)
    if not (child := os.fork()):
        kill_at(step)
        restore(file, state / "edged.db", source, passphrase="a passphrase of its own", replace=True)
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if hidden.exists():
        hidden.rename(source.directory / "database-hidden.key")
    store = ConversationStore.open(state, source)
    print(len(store.ids(reader=OPERATOR)), sorted(path.name for path in state.iterdir() if "old" in path.name))
    store.close()
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guessing costs nothing here."""
    monkeypatch.setattr("edged.store.passphrase.COST", 2**10)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "backup"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """The state directory of another machine."""
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


def everything(state_dir: Path, source: KeySource) -> list[object]:
    store = ConversationStore.open(state_dir, source)
    try:
        return [store.get(name, reader=OPERATOR) for name in store.ids(reader=OPERATOR)]
    finally:
        store.close()


def test_a_backup_is_complete_while_somebody_writes(store, state_dir, source, file, tmp_path, elsewhere):
    for i in range(30):
        talk(store, f"before {i}", "answer " * 100)
    stop, written = threading.Event(), []

    def write() -> None:
        while not stop.is_set():
            written.append(talk(store, f"meanwhile {len(written)}", "answer " * 100).conversation_id)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(written) < 3:
            pass
        done_before = len(written)
        made = back_up(state_dir / "edged.db", source, file)
    finally:
        stop.set()
        writer.join()
    assert 30 + done_before <= made.conversations <= 30 + len(written)
    assert file.stat().st_mode & 0o077 == 0
    assert files_with(tmp_path, b"meanwhile") == []
    restore(file, elsewhere / "edged.db", source)
    there = everything(elsewhere, source)
    store.close()
    # One moment of it: all that was there, and of what came meanwhile the first so many, the last perhaps unanswered.
    assert there[:-1] == everything(state_dir, source)[: len(there) - 1]
    assert len(there) == made.conversations
    assert not [name for name in tmp_path.iterdir() if name.name.startswith("backup.")]


def test_attachments_and_search_come_back(store, state_dir, source, file, elsewhere):
    turn = ask(store, "look at the zebra", picture(b"PNG" * 5000))
    back_up(state_dir / "edged.db", source, file)
    restore(file, elsewhere / "edged.db", source)
    back = ConversationStore.open(elsewhere, source)
    assert back.get(turn.conversation_id, reader=OPERATOR).messages[0].parts[1] == picture(b"PNG" * 5000)
    assert back.search("zebra", reader=OPERATOR)[0]
    back.close()


def test_a_backup_with_a_passphrase_needs_no_key_of_this_machine(store, state_dir, source, file, tmp_path, elsewhere):
    talk(store, "hello")
    assert back_up(state_dir / "edged.db", source, file, passphrase=WORDS).key_source == "passphrase"
    other = KeySource(kind="file", directory=tmp_path / "other-config")
    for wrong, advice in (("", "name its passphrase"), ("another passphrase", "the passphrase does not open it")):
        with pytest.raises(InvalidInput, match=advice) as caught:
            restore(file, elsewhere / "edged.db", other, passphrase=wrong)
        assert "another" not in str(caught.value)
    restore(file, elsewhere / "edged.db", other, passphrase=WORDS)
    assert len(everything(elsewhere, other)) == 1
    # Its key is the one of the new machine, not the passphrase.
    assert json.loads((elsewhere / "edged.db.key.json").read_text())["source"] == str(other.file)


def test_what_lies_beside_a_backup_is_somebody_elses(store, state_dir, source, file):
    talk(store, "hello")
    others = [file.with_name(file.name + suffix) for suffix in (".new", ".new-wal", ".new-journal")]
    for other in others:
        other.write_text("mine")
    back_up(state_dir / "edged.db", source, file)
    assert all(other.read_text() == "mine" for other in others)
    assert sorted(file.parent.glob(f".{file.name}*")) == []


def test_what_is_wrong_with_the_database_is_said_of_the_database(store, state_dir, source, file, tmp_path):
    talk(store, "hello")
    store.close()
    database = state_dir / "edged.db"
    damaged = bytearray(database.read_bytes())
    damaged[100:3000] = bytes(2900)
    database.write_bytes(damaged)
    with pytest.raises(StoreError, match=re.escape(str(database))):
        back_up(database, source, file)
    ConversationStore(tmp_path / "plain" / "edged.db", None).close()
    with pytest.raises(StoreError, match="not encrypted yet"):
        back_up(tmp_path / "plain" / "edged.db", source, file)
    assert not file.exists() and not list(file.parent.glob(f".{file.name}*"))


def test_a_backup_needs_the_key_that_it_was_made_under(store, state_dir, source, file, tmp_path, elsewhere):
    talk(store, "hello")
    back_up(state_dir / "edged.db", source, file)
    assert source.file.read_bytes().strip() not in file.read_bytes()
    other = KeySource(kind="file", directory=tmp_path / "other-config")
    with pytest.raises(InvalidInput, match="no key in"):
        restore(file, elsewhere / "edged.db", other)
    other.directory.mkdir(exist_ok=True)
    shutil.copy(source.file, other.directory / "database-old.key")
    restore(file, elsewhere / "edged.db", other)
    assert len(everything(elsewhere, other)) == 1


def test_what_is_there_is_only_replaced_if_that_is_said(store, state_dir, source, file):
    talk(store, "first")
    back_up(state_dir / "edged.db", source, file)
    talk(store, "second")
    store.close()
    with pytest.raises(AlreadyExists, match="--replace"):
        restore(file, state_dir / "edged.db", source)
    assert len(everything(state_dir, source)) == 2
    restore(file, state_dir / "edged.db", source, replace=True)
    assert len(everything(state_dir, source)) == 1


def test_a_damaged_database_whose_key_is_lost_can_be_replaced(store, state_dir, source, file):
    talk(store, "first")
    back_up(state_dir / "edged.db", source, file, passphrase=WORDS)
    store.close()
    (state_dir / "edged.db").write_bytes(os.urandom(8192))
    (state_dir / "edged.db-wal").write_bytes(os.urandom(8192))
    source.file.unlink()
    restore(file, state_dir / "edged.db", source, passphrase=WORDS, replace=True)
    assert len(everything(state_dir, source)) == 1


def test_no_file_is_overwritten_and_nothing_is_no_backup(store, state_dir, source, file, tmp_path):
    file.write_text("mine")
    with pytest.raises(AlreadyExists):
        back_up(state_dir / "edged.db", source, file)
    assert file.read_text() == "mine"
    with pytest.raises(NotFound):
        back_up(tmp_path / "nowhere" / "edged.db", source, tmp_path / "b2")
    with pytest.raises(StoreError, match="missing"):
        back_up(state_dir / "edged.db", source, tmp_path / "missing" / "b2")


def test_hostile_files_are_refused_and_what_is_there_stays(store, state_dir, source, file, tmp_path):
    talk(store, "hello")
    back_up(state_dir / "edged.db", source, file)
    good = file.read_bytes()
    with sqlite3.connect(tmp_path / "plain") as plain:
        plain.execute("CREATE TABLE conversations (id)")
    plain.close()
    candidates = {
        "empty": b"",
        "short": good[:100],
        "noise": os.urandom(20_000),
        "text": b"hello " * 1000,
        "cut": good[: len(good) // 2],
        "flipped": good[:6000] + bytes([good[6000] ^ 1]) + good[6001:],
        "plain": (tmp_path / "plain").read_bytes(),
    }
    for name, data in candidates.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(EdgedError) as caught:
            restore(tmp_path / name, state_dir / "edged.db", source, replace=True)
        assert "\n" not in caught.value.message, name
    with pytest.raises(InvalidInput, match="not a file"):
        restore(tmp_path, state_dir / "edged.db", source, replace=True)
    store.close()
    assert len(everything(state_dir, source)) == 1


def test_killed_at_any_moment_of_a_restore_the_old_or_the_new_is_there(store, state_dir, source, file):
    for i in range(10):
        talk(store, f"old {i}")
    store.close()
    with_backup = ConversationStore.open(state_dir.parent / "b", source)
    for i in range(15):
        talk(with_backup, f"new {i}")
    back_up(state_dir.parent / "b" / "edged.db", source, file, passphrase=WORDS)
    with_backup.close()
    shutil.copytree(state_dir, state_dir.parent / "before")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    script = "import edged.store.passphrase as p; p.COST = 2**10\n" + RESTORER
    seen = set()
    for step in range(8):
        shutil.rmtree(state_dir)
        shutil.copytree(state_dir.parent / "before", state_dir)
        command = [sys.executable, "-c", script, str(state_dir), str(source.directory), str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            try:
                process.wait(0.01 + 0.015 * step)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        seen.add(len(everything(state_dir, source)))
    assert seen <= {10, 15}


@pytest.mark.parametrize("has_key", [True, False], ids=["with the old key", "while the old key is elsewhere"])
def test_killed_in_a_restore_what_a_crash_left_in_the_log_is_there(store, state_dir, source, file, tmp_path, has_key):
    """At each change of names in turn, over a database whose last conversations are in its write-ahead log alone."""
    other = ConversationStore.open(tmp_path / "b", source)
    for i in range(3):
        talk(other, f"new {i}")
    back_up(tmp_path / "b" / "edged.db", source, file, passphrase=WORDS)
    other.close()
    for i in range(5):
        talk(store, f"old {i}")
    crashed = tmp_path / "crashed"
    shutil.copytree(state_dir, crashed / "state")
    shutil.copytree(source.directory, crashed / "key")
    assert (crashed / "state" / "edged.db-wal").stat().st_size > 0
    command = [sys.executable, "-c", KILLER, str(crashed), str(file), str(tmp_path / "place")]
    done = subprocess.run(
        command if has_key else [*command, "hidden"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    found = done.stdout.splitlines()
    assert found[0] == "5 []" and found[-1] == "3 []" and set(found) == {"5 []", "3 []"}, found
    assert found == sorted(found, reverse=True) and len(found) > 3


def test_a_backup_of_a_newer_version_is_refused(store, state_dir, source, file):
    talk(store, "hello")
    with store._writing() as db:
        db.execute("INSERT INTO migrations VALUES (999, 'from the future', '2099', '99.0')")
    with pytest.raises(StoreError, match=r"99\.0"):
        back_up(state_dir / "edged.db", source, file)
