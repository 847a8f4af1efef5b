from __future__ import annotations

import subprocess
import sys
from datetime import datetime

import pytest
from sqlcipher3 import dbapi2
from talking import talk

from edged import __version__
from edged.errors import StoreError
from edged.records import OPERATOR
from edged.store import ConversationStore
from edged.store.database import open_database
from edged.store.migrations import MIGRATIONS, Migration, migrate

LATER = Migration(
    "later", "ALTER TABLE conversations ADD COLUMN colour TEXT; CREATE INDEX by_colour ON conversations (colour);"
)


def schema(db) -> list[tuple[str, str]]:
    return db.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()


def recorded(db) -> list[tuple[int, str]]:
    return db.execute("SELECT version, name FROM migrations ORDER BY version").fetchall()


@pytest.fixture
def db(tmp_path):
    opened = open_database(tmp_path / "edged.db", "ab" * 32)
    yield opened
    opened.conn.close()


@pytest.mark.parametrize("version", range(len(MIGRATIONS) + 1))
def test_every_version_becomes_the_newest(db, tmp_path, version):
    migrate(db, MIGRATIONS[:version])
    assert len(recorded(db)) == version
    migrate(db)
    fresh = open_database(tmp_path / "fresh.db", "ab" * 32)
    migrate(fresh)
    assert schema(db) == schema(fresh)
    fresh.conn.close()


def test_each_step_is_recorded_once_with_time_and_version(db):
    migrate(db)
    rows = db.execute("SELECT version, name, applied_at, edged_version FROM migrations ORDER BY version").fetchall()
    assert [(number, name) for number, name, _, _ in rows] == [(i + 1, step.name) for i, step in enumerate(MIGRATIONS)]
    assert all(datetime.fromisoformat(at).utcoffset() is not None and by == __version__ for _, _, at, by in rows)
    migrate(db)
    assert (
        db.execute("SELECT version, name, applied_at, edged_version FROM migrations ORDER BY version").fetchall()
        == rows
    )


@pytest.mark.parametrize(
    "broken", ["SELECT * FROM nowhere;", "CREATE TABLE half (a); INSERT INTO half VALUES (1); oops;"]
)
def test_a_failing_step_leaves_everything_as_it_was(tmp_path, broken):
    store = ConversationStore(tmp_path / "edged.db", None)
    turn = talk(store, "hello", "there")
    store.close()
    db = open_database(tmp_path / "edged.db", None)
    before = schema(db), recorded(db)
    with pytest.raises(dbapi2.OperationalError):
        migrate(db, (*MIGRATIONS, LATER, Migration("broken", broken)))
    assert (schema(db), recorded(db)) == before
    db.conn.close()
    store = ConversationStore(tmp_path / "edged.db", None)
    assert store.get(turn.conversation_id, reader=OPERATOR).messages[1].text == "there"
    store.close()


DIE_AMID_A_MIGRATION = """
import os, pathlib, sys
from edged.store.database import open_database
from edged.store.migrations import MIGRATIONS, Migration, migrate

db = open_database(pathlib.Path(sys.argv[1]), None)
db.conn.create_function("die", 0, lambda: os._exit(9))
migrate(db, (*MIGRATIONS, Migration("killed", "CREATE TABLE half (a); INSERT INTO half VALUES (die());")))
"""


def test_a_process_killed_amid_a_migration_has_changed_nothing(tmp_path):
    db = open_database(tmp_path / "edged.db", None)
    migrate(db)
    before = schema(db)
    db.conn.close()
    assert subprocess.run([sys.executable, "-c", DIE_AMID_A_MIGRATION, str(tmp_path / "edged.db")]).returncode == 9
    db = open_database(tmp_path / "edged.db", None)
    assert schema(db) == before
    migrate(db, (*MIGRATIONS, LATER))
    assert recorded(db)[-1] == (len(MIGRATIONS) + 1, "later")
    db.conn.close()


def test_a_database_of_a_newer_edged_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "edged.db"
    db = open_database(path, None)
    migrate(db, (*MIGRATIONS, LATER))
    db.execute("UPDATE migrations SET edged_version = '99.1' WHERE version > ?", (len(MIGRATIONS),))
    db.conn.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"edged 99\.1 and this is .*: install edged 99\.1 or newer"):
        ConversationStore(path, None)
    assert path.read_bytes() == before
