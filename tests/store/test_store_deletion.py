"""What was deleted is in no file, encrypted or not, while the store is still open."""

from __future__ import annotations

import shutil

import pytest
from talking import answer, ask, files_with, picture, recording, talk

from edged.events import MessageState, Text
from edged.records import OPERATOR
from edged.store import ConversationStore
from edged.store.database import open_database

SECRET = "Xylophonzauberei"
CHINESE = "鑫龘靐齉爩鱻"
BLOB = b"\x89PNG-very-unlikely-bytes" * 300


def everything_said(store: ConversationStore) -> str:
    """A conversation with the secret in every place that holds what people or models say."""
    turn = ask(store, f"My secret is {SECRET} and {CHINESE}.", picture(BLOB), recording(BLOB), system=f"Guard {SECRET}")
    store.close_turn(
        turn.answer_message_id,
        parts=(Text(text=f"{SECRET} it is, {CHINESE}."),),
        reasoning=f"They said {SECRET}.",
        state=MessageState.COMPLETE,
        finish_reason=None,
        usage=None,
    )
    store.rename(turn.conversation_id, f"About {SECRET}", reader=OPERATOR)
    return turn.conversation_id


def traces(directory) -> dict[str, list[str]]:
    """Files that hold what was said, or a trigram of it as the search index does (too long to occur by chance)."""
    trigrams = [CHINESE[i : i + 3].encode() for i in range(len(CHINESE) - 2)]
    needles = [SECRET.encode(), SECRET.lower().encode(), CHINESE.encode(), BLOB[:24], *trigrams]
    return {repr(needle): files for needle in needles if (files := files_with(directory, needle))}


def indexed_terms(store: ConversationStore) -> set[str]:
    with store._reading() as db:
        db.execute("CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab (main, search_index, row)")
        return {term for (term,) in db.execute("SELECT term FROM temp.vocabulary")}


def test_no_plaintext_remains_of_what_was_deleted(plain_store, tmp_path):
    keep = talk(plain_store, "an ordinary question", "an ordinary reply")
    secret = everything_said(plain_store)
    for i in range(30):
        talk(plain_store, f"filler {i} " * 20, "more of it " * 50)
    assert len(traces(tmp_path)) > 6  # the test can see what it looks for
    plain_store.delete(secret, reader=OPERATOR)
    assert not {"xyl", "zau", CHINESE[:3]} & indexed_terms(plain_store)
    assert traces(tmp_path) == {}
    assert plain_store.search(SECRET, reader=OPERATOR) == ((), "")
    assert plain_store.get(keep.conversation_id, reader=OPERATOR).messages[0].text == "an ordinary question"


def test_no_plaintext_remains_of_many_deleted_among_kept(plain_store, tmp_path):
    secrets = []
    for i in range(15):
        secrets.append(everything_said(plain_store))
        talk(plain_store, f"kept {i} " * 30, "reply " * 100)
        answer(plain_store, ask(plain_store, f"more {SECRET}", conversation_id=secrets[-1]), CHINESE * 500)
    for name in secrets:
        plain_store.delete(name, reader=OPERATOR)
    assert traces(tmp_path) == {}
    assert len(plain_store.search("kept", reader=OPERATOR)[0]) == 15


def test_the_file_never_shows_plaintext_while_encrypted(store, tmp_path):
    secret = everything_said(store)
    shown = [
        SECRET.encode(),
        CHINESE.encode(),
        BLOB[:24],
        b"SQLite format",
        b"CREATE TABLE",
    ]  # long: chance spells none
    assert not [needle for needle in shown if files_with(tmp_path, needle)]
    store.delete(secret, reader=OPERATOR)
    assert not [needle for needle in shown if files_with(tmp_path, needle)]


def test_an_attachment_is_stored_once_and_goes_with_its_last_user(plain_store, tmp_path):
    first = talk(plain_store, "hello").conversation_id
    before = plain_store.status().database_bytes
    data = bytes(range(256)) * 4096
    names = [ask(plain_store, "look", picture(data), picture(data)).conversation_id for _ in range(4)]
    assert plain_store.status().database_bytes - before < 4 * len(data)  # file and log, once each
    for name in names[:-1]:
        plain_store.delete(name, reader=OPERATOR)
    assert plain_store.get(names[-1], reader=OPERATOR).messages[0].parts[1:] == (picture(data), picture(data))
    plain_store.delete(names[-1], reader=OPERATOR)
    assert files_with(tmp_path, data[:512]) == []
    assert plain_store.status().database_bytes < len(data)  # the space is given back
    assert plain_store.get(first, reader=OPERATOR).messages


def test_the_search_index_agrees_with_the_messages_after_deletions(plain_store):
    names = [talk(plain_store, f"question {i} 天气", f"reply {i}").conversation_id for i in range(20)]
    for name in names[::2]:
        plain_store.delete(name, reader=OPERATOR)
    with plain_store._writing() as db:
        db.execute("INSERT INTO search_index (search_index, rank) VALUES ('integrity-check', 1)")
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_reader_elsewhere_delays_the_clean_up_and_the_log_says_so(plain_store, tmp_path, caplog):
    secret = everything_said(plain_store)
    reader = open_database(tmp_path / "plain" / "edged.db", None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM messages").fetchone()
    with plain_store._reading() as db:
        db.execute("PRAGMA busy_timeout = 50")
    plain_store.delete(secret, reader=OPERATOR)
    assert "another process" in caplog.text
    reader.execute("COMMIT")
    reader.conn.close()
    plain_store.delete(talk(plain_store, "anything").conversation_id, reader=OPERATOR)
    assert traces(tmp_path) == {}


def test_what_a_killed_process_had_deleted_is_erased_at_the_next_start(tmp_path):
    path = tmp_path / "edged.db"
    store = ConversationStore(path, None)
    secret = everything_said(store)
    with store._writing() as db:  # the commit of a deletion whose clean-up never came
        db.execute("DELETE FROM conversations WHERE id = ?", (secret,))
    copied = tmp_path / "after the kill"
    copied.mkdir()
    for name in ("edged.db", "edged.db-wal"):
        shutil.copy(tmp_path / name, copied)
    store.close()
    assert traces(copied)
    store = ConversationStore(copied / "edged.db", None)
    assert traces(copied) == {}
    store.close()


@pytest.mark.parametrize("encrypted", [True, False])
def test_deleting_everything_leaves_an_empty_store(store, plain_store, encrypted):
    subject = store if encrypted else plain_store
    for name in [talk(subject, f"number {i}").conversation_id for i in range(10)]:
        subject.delete(name, reader=OPERATOR)
    status = subject.status()
    assert (status.conversations, status.messages, subject.list(reader=OPERATOR)) == (0, 0, ((), ""))
