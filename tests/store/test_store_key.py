"""Where keys are put and found. The keyring is a real plug-in of the keyring package, kept in a file."""

from __future__ import annotations

import json
import os
import shutil
import stat
import textwrap
from dataclasses import replace

import pytest

from edged.errors import StoreError
from edged.store import ConversationStore, KeySource
from edged.store.key import find_key, known_keys
from edged.store.rekey import rekey
from edged.store.wiping import wipe_store

PLUGIN = """
    import json, os, time
    from keyring.backend import KeyringBackend

    class Scripted(KeyringBackend):
        priority = {priority}

        def _read(self):
            try:
                with open({path!r}) as file:
                    return json.load(file)
            except FileNotFoundError:
                return {{}}

        def get_password(self, service, username):
            {before}
            return self._read().get(service + "/" + username)

        def set_password(self, service, username, password):
            {on_set}
            passwords = self._read() | {{service + "/" + username: password}}
            with open({path!r}, "w") as file:
                json.dump(passwords, file)

        def delete_password(self, service, username):
            passwords = self._read()
            del passwords[service + "/" + username]
            with open({path!r}, "w") as file:
                json.dump(passwords, file)
"""


@pytest.fixture
def plug_in(tmp_path, monkeypatch):
    """Makes a keyring of this test the one that the keyring package finds; returns where it keeps things."""

    def install(*, priority: float = 5, before: str = "pass", on_set: str = "pass"):
        path = tmp_path / "keyring.json"
        plugin = PLUGIN.format(priority=priority, path=str(path), before=before, on_set=on_set)
        (tmp_path / "scripted_keyring.py").write_text(textwrap.dedent(plugin))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "scripted_keyring.Scripted")
        return path

    return install


@pytest.fixture
def auto(tmp_path) -> KeySource:
    return KeySource(kind="auto", directory=tmp_path / "config")


def test_a_keyring_holds_the_key_where_there_is_one(plug_in, auto, state_dir):
    kept = plug_in()
    store = ConversationStore.open(state_dir, auto)
    assert store.status().key_source == "keyring"
    assert "keyring" in store.status().protection
    store.close()
    (secret,) = json.loads(kept.read_text()).values()
    assert len(bytes.fromhex(secret)) == 32
    assert not auto.file.exists()
    note = (state_dir / "edged.db.key.json").read_text()
    assert json.loads(note)["source"] == "keyring"
    assert secret not in note
    ConversationStore.open(state_dir, auto).close()


def test_a_second_database_of_the_account_shares_the_key(plug_in, auto, tmp_path):
    plug_in()
    first, second = (find_key(auto, tmp_path / name / "edged.db") for name in ("a", "b"))
    assert first == second


def test_a_rekey_gives_the_keyring_a_second_key_and_wiping_takes_both(plug_in, auto, state_dir, tmp_path):
    kept = plug_in()
    ConversationStore.open(tmp_path / "other", auto).close()
    ConversationStore.open(state_dir, auto).close()
    old, new = rekey(state_dir / "edged.db", auto, auto)
    assert (new.source, len(json.loads(kept.read_text()))) == ("keyring", 2)
    for folder, key in ((state_dir, new), (tmp_path / "other", old)):
        assert find_key(auto, folder / "edged.db") == key
        ConversationStore.open(folder, auto).close()
    wipe_store(state_dir / "edged.db", auto)
    assert json.loads(kept.read_text()) == {}
    assert list(state_dir.iterdir()) == []


def test_wiping_takes_every_key_that_the_database_ever_had(plug_in, auto, state_dir):
    kept = plug_in()
    ConversationStore.open(state_dir, auto).close()
    for kind in ("auto", "auto", "file"):
        rekey(state_dir / "edged.db", auto, replace(auto, kind=kind))
        ConversationStore.open(state_dir, auto).close()  # which notes its key again
    assert len(json.loads(kept.read_text())) == 3
    wipe_store(state_dir / "edged.db", auto)
    assert json.loads(kept.read_text()) == {}
    assert not list(auto.directory.glob("*.key"))


def test_an_emptied_or_changed_keyring_is_an_error(plug_in, auto, state_dir):
    kept = plug_in()
    ConversationStore.open(state_dir, auto).close()
    kept.write_text(json.dumps({"edged/database key": "ab" * 32}))
    with pytest.raises(StoreError, match="not the one"):
        ConversationStore.open(state_dir, auto)
    kept.unlink()
    with pytest.raises(StoreError, match="not in the keyring of this account"):
        ConversationStore.open(state_dir, auto)
    assert not kept.exists() and not auto.file.exists()


def test_a_keyring_that_later_fails_is_an_error_and_no_reason_for_a_new_key(plug_in, auto, state_dir):
    plug_in()
    ConversationStore.open(state_dir, auto).close()
    plug_in(before="raise RuntimeError('the collection is locked')")
    with pytest.raises(StoreError, match="the collection is locked; unlock it"):
        ConversationStore.open(state_dir, auto)
    assert not auto.file.exists()


@pytest.mark.parametrize(
    "broken",
    [
        {"priority": 0.5},
        {"before": "raise RuntimeError('locked')"},
        {"on_set": "return"},
        {"on_set": "raise OSError('read-only')"},
        {"before": "os._exit(3)"},
        {"before": "print('noise')"},
    ],
    ids=["not recommended", "locked", "forgets", "refuses", "dies", "talks"],
)
def test_auto_falls_back_to_a_file_and_keyring_does_not(plug_in, auto, tmp_path, broken):
    plug_in(**broken)
    insisting = KeySource(kind="keyring", directory=auto.directory)
    with pytest.raises(StoreError, match=r'the keyring cannot hold the database key: .* store\.key = "file"'):
        ConversationStore.open(tmp_path / "other", insisting)
    assert not (tmp_path / "other" / "edged.db").exists()
    store = ConversationStore.open(tmp_path / "state", auto)
    assert store.status().key_source == str(auto.file)
    store.close()


def test_a_keyring_that_hangs_is_given_up(plug_in, auto, state_dir):
    plug_in(before="time.sleep(600)")
    impatient = KeySource(kind="auto", directory=auto.directory, keyring_seconds=2)
    store = ConversationStore.open(state_dir, impatient)
    assert store.status().key_source == str(auto.file)
    store.close()
    with pytest.raises(StoreError, match="did not answer within 2 s"):
        find_key(KeySource(kind="keyring", directory=auto.directory, keyring_seconds=2), state_dir / "new.db")


def test_the_null_and_fail_backends_are_no_keyrings(auto, tmp_path, monkeypatch):
    for name in ("null", "fail"):
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", f"keyring.backends.{name}.Keyring")
        with pytest.raises(StoreError):
            find_key(KeySource(kind="keyring", directory=auto.directory), tmp_path / "edged.db")


def test_a_database_made_with_a_file_keeps_it_when_a_keyring_appears(plug_in, source, auto, state_dir):
    ConversationStore.open(state_dir, source).close()
    kept = plug_in()
    store = ConversationStore.open(state_dir, auto)
    assert store.status().key_source == str(source.file)
    store.close()
    assert not kept.exists()


def test_the_key_file_may_move_with_the_configuration(source, state_dir, tmp_path):
    ConversationStore.open(state_dir, source).close()
    source.directory.rename(tmp_path / "elsewhere")
    moved = KeySource(kind="file", directory=tmp_path / "elsewhere")
    for _ in range(2):
        store = ConversationStore.open(state_dir, moved)
        assert store.status().key_source == str(moved.file)
        store.close()
    assert json.loads((state_dir / "edged.db.key.json").read_text())["source"] == str(moved.file)


def test_a_copy_without_its_note_is_opened_with_the_key_of_the_account(source, state_dir):
    ConversationStore.open(state_dir, source).close()
    for damaged in (None, "", "[1]", "{"):
        note = state_dir / "edged.db.key.json"
        note.unlink() if damaged is None else note.write_text(damaged)
        ConversationStore.open(state_dir, source).close()
        assert json.loads(note.read_text())["source"] == str(source.file)


def test_a_new_database_takes_the_existing_key_file(source, tmp_path):
    keys = {find_key(source, tmp_path / name / "edged.db").hex for name in ("a", "b")}
    assert len(keys) == 1
    assert source.file.read_text() == f"{keys.pop()}\n"
    assert [file.name for file in source.directory.iterdir()] == ["database.key"]


def test_a_key_file_open_to_others_is_closed_and_the_log_says_so(source, tmp_path, caplog):
    find_key(source, tmp_path / "edged.db")
    source.file.chmod(0o644)
    find_key(source, tmp_path / "edged.db")
    assert stat.S_IMODE(source.file.stat().st_mode) == 0o600
    assert str(source.file) in caplog.text


@pytest.mark.parametrize("content", ["", "abc", "zz" * 32, "ab" * 31, "ab" * 33, "é" * 64])
def test_a_damaged_key_file_is_an_error_and_kept(source, tmp_path, content):
    source.directory.mkdir()
    source.file.write_text(content)
    with pytest.raises(StoreError, match="64 hexadecimal digits"):
        find_key(source, tmp_path / "edged.db")
    assert source.file.read_text() == content


def test_a_key_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "config").write_text("a file, not a directory")
    with pytest.raises(StoreError, match="config"):
        ConversationStore.open(tmp_path / "state", KeySource(kind="file", directory=tmp_path / "config"))
    assert not (tmp_path / "state" / "edged.db").exists()


def test_a_key_never_shows_in_repr(source, tmp_path):
    key = find_key(source, tmp_path / "edged.db")
    assert key.hex not in repr(key)
    assert key.hex not in key.fingerprint
    assert os.fspath(source.file) in repr(key)


def test_a_machine_without_a_keyring_has_no_key_for_somebody_elses_file(plug_in, auto, tmp_path):
    plug_in(before="raise RuntimeError('no keyring service is running')")
    assert known_keys(auto, tmp_path / "from elsewhere") == []


def test_wiping_where_nothing_is_stored_leaves_the_keys_of_other_databases(tmp_path):
    source = KeySource(kind="file", directory=tmp_path / "keys")
    ConversationStore.open(tmp_path / "used", source).close()
    wipe_store(tmp_path / "empty" / "edged.db", source)
    ConversationStore.open(tmp_path / "used", source).close()


def test_a_key_that_moved_is_found_before_its_old_place_is_looked_into(tmp_path):
    old, new = (KeySource(kind="file", directory=tmp_path / name) for name in ("old", "new"))
    ConversationStore.open(tmp_path / "state", old).close()
    shutil.copytree(old.directory, new.directory)
    old.file.write_text("another one")  # as unreadable as it is to a daemon that Landlock holds
    ConversationStore.open(tmp_path / "state", new).close()
