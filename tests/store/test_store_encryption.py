"""Wrong keys, damaged files and permissions: one clear line each, and nothing made worse."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest
from talking import talk

from edged.errors import StoreError
from edged.records import OPERATOR
from edged.store import ConversationStore, KeySource


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def database(state_dir, source) -> Path:
    """A closed database with a few megabytes in it."""
    store = ConversationStore.open(state_dir, source)
    for i in range(20):
        talk(store, f"question {i}", os.urandom(30_000).hex())
    store.close()
    return state_dir / "edged.db"


def refused(state_dir: Path, source: KeySource) -> str:
    before = (state_dir / "edged.db").read_bytes()
    with pytest.raises(StoreError) as caught:
        ConversationStore.open(state_dir, source)
    assert (state_dir / "edged.db").read_bytes() == before
    assert "\n" not in caught.value.message
    return caught.value.message


def test_only_the_owner_may_read(store, state_dir, source):
    talk(store, "hello")
    old_umask = os.umask(0)
    try:
        store.close()
        reopened = ConversationStore.open(state_dir, source)
        talk(reopened, "hello")
        assert {file.name: mode(file) for file in state_dir.iterdir()} == {
            "edged.db": 0o600,
            "edged.db-wal": 0o600,
            "edged.db-shm": 0o600,
            "edged.db.key.json": 0o600,
        }
        reopened.close()
    finally:
        os.umask(old_umask)
    assert (mode(state_dir), mode(source.directory), mode(source.file)) == (0o700, 0o700, 0o600)


def test_an_open_directory_and_database_are_closed_to_others(state_dir, source, caplog):
    state_dir.mkdir(mode=0o755)
    ConversationStore.open(state_dir, source).close()
    assert mode(state_dir) == 0o700
    state_dir.chmod(0o755)
    (state_dir / "edged.db").chmod(0o644)
    ConversationStore.open(state_dir, source).close()
    assert (mode(state_dir), mode(state_dir / "edged.db")) == (0o700, 0o600)
    assert "open to other accounts" in caplog.text


def test_a_shared_directory_keeps_its_mode(state_dir, source):
    state_dir.mkdir()
    state_dir.chmod(0o1777)
    ConversationStore.open(state_dir, source).close()
    assert mode(state_dir) == 0o1777


def test_a_wrong_key_is_named_before_the_database_is_touched(database, state_dir, source):
    source.file.write_text("ab" * 32)
    assert f"the key in {source.file} is not the one" in refused(state_dir, source)


def test_a_wrong_key_without_a_note_is_told_by_the_database(database, state_dir, source, capfd):
    source.file.write_text("ab" * 32)
    (state_dir / "edged.db.key.json").unlink()
    assert "another key" in refused(state_dir, source)
    assert not (state_dir / "edged.db.key.json").exists()  # nothing noted about a key that opened nothing
    assert capfd.readouterr() == ("", "")


def test_a_log_without_its_database_is_not_mixed_into_a_new_one(store, state_dir, source, tmp_path):
    talk(store, "hello")
    (tmp_path / "left").mkdir()
    shutil.copy(state_dir / "edged.db-wal", tmp_path / "left")
    with pytest.raises(StoreError, match=r"edged\.db is missing"):
        ConversationStore.open(tmp_path / "left", source)
    assert not (tmp_path / "left" / "edged.db").exists()


def test_something_that_is_no_database(state_dir, source, capfd):
    ConversationStore.open(state_dir, source).close()
    (state_dir / "edged.db").write_bytes(b"hello" * 2000)
    assert "damaged" in refused(state_dir, source)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("share", [0.001, 0.3, 0.99])
def test_a_truncated_file_is_noticed_at_once(database, state_dir, source, share):
    os.truncate(database, int(database.stat().st_size * share))
    assert "edged.db is" in refused(state_dir, source)


def test_a_tampered_page_is_never_read_as_if_it_were_whole(database, state_dir, source, capfd):
    content = bytearray(database.read_bytes())
    for page in range(len(content) // 4096 // 2, len(content) // 4096):
        content[page * 4096 + 100] ^= 1
    database.write_bytes(content)
    store = ConversationStore.open(state_dir, source)
    with pytest.raises(StoreError, match="damaged") as caught:
        for conversation in store.list(page_size=200, reader=OPERATOR)[0]:
            store.get(conversation.id, reader=OPERATOR)
    assert str(database) in caught.value.message
    store.close()
    assert capfd.readouterr() == ("", "")


def test_a_lost_key_is_never_replaced(database, state_dir, source):
    source.file.unlink()
    assert f"is not in {source.file}" in refused(state_dir, source)
    assert not source.file.exists()
    (state_dir / "edged.db.key.json").unlink()
    assert str(source.file) in refused(state_dir, source)
    assert not source.file.exists()
