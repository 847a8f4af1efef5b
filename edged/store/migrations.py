"""The schema, as numbered steps that are applied once and recorded with time and version."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import sqlite_utils

from edged import __version__
from edged.errors import StoreError
from edged.store.database import transaction


class Migration(NamedTuple):
    """One step; its number is its place in `MIGRATIONS`, counted from 1."""

    name: str
    sql: str


_CONVERSATIONS = """
CREATE TABLE conversations (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    created_at INTEGER NOT NULL,    -- microseconds since 1970, UTC, as all times here
    updated_at INTEGER NOT NULL,
    last_message INTEGER NOT NULL   -- orders conversations by use, whatever the clock does
) STRICT;
CREATE UNIQUE INDEX conversations_by_use ON conversations (last_message);

CREATE TABLE messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given out again: page tokens stay valid
    id TEXT NOT NULL UNIQUE,
    conversation INTEGER NOT NULL REFERENCES conversations (seq) ON DELETE CASCADE,
    role TEXT NOT NULL,
    state TEXT NOT NULL,
    reasoning TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT '',
    finish_reason TEXT,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cached_tokens INTEGER,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX messages_of_conversation ON messages (conversation, seq);
CREATE INDEX messages_pending ON messages (conversation) WHERE state = 'pending';

CREATE TABLE attachments (
    seq INTEGER PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE,
    data BLOB NOT NULL
) STRICT;

CREATE TABLE parts (
    message INTEGER NOT NULL REFERENCES messages (seq) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('text', 'image', 'audio')),
    text TEXT,
    media_type TEXT,
    attachment INTEGER REFERENCES attachments (seq),
    PRIMARY KEY (message, position),
    CHECK ((kind = 'text') = (text IS NOT NULL) AND (kind = 'text') = (attachment IS NULL))
) STRICT;
CREATE INDEX parts_with_attachment ON parts (attachment) WHERE attachment IS NOT NULL;

CREATE TRIGGER attachment_released AFTER DELETE ON parts WHEN old.attachment IS NOT NULL BEGIN
    DELETE FROM attachments WHERE seq = old.attachment
        AND NOT EXISTS (SELECT 1 FROM parts WHERE attachment = old.attachment);
END;
"""

_SEARCH = """
CREATE VIEW message_texts AS
    SELECT seq, (SELECT group_concat(text, char(10) ORDER BY position) FROM parts WHERE message = messages.seq) AS text
    FROM messages;

-- Trigrams find any part of a word, and Chinese, which puts no spaces between words.
CREATE VIRTUAL TABLE search_index USING fts5 (
    text, content = 'message_texts', content_rowid = 'seq', tokenize = 'trigram', columnsize = 0
);
INSERT INTO search_index (search_index, rank) VALUES ('secure-delete', 1);

CREATE TRIGGER message_unindexed BEFORE DELETE ON messages BEGIN
    INSERT INTO search_index (search_index, rowid, text)
        SELECT 'delete', seq, text FROM message_texts WHERE seq = old.seq AND text IS NOT NULL;
END;
"""

_TRANSCRIPTS = """
ALTER TABLE parts ADD COLUMN transcript TEXT;

DROP VIEW message_texts;
CREATE VIEW message_texts AS
    SELECT seq, (
        SELECT group_concat(coalesce(text, transcript), char(10) ORDER BY position) FROM parts
        WHERE message = messages.seq
    ) AS text
    FROM messages;
"""

_SPEAKERS = """
CREATE TABLE speakers (
    seq INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    voiceprint BLOB NOT NULL,       -- little-endian float32, of length 1
    created_at INTEGER NOT NULL
) STRICT;
"""

_DEVICES = """
CREATE TABLE devices (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    person TEXT NOT NULL,
    scopes TEXT NOT NULL,           -- with spaces between
    credential BLOB NOT NULL UNIQUE,
    next_credential BLOB UNIQUE,
    created_at INTEGER NOT NULL,
    last_seen_at INTEGER,
    expires_at INTEGER
) STRICT;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    action TEXT NOT NULL,
    device_id TEXT NOT NULL,
    device_name TEXT NOT NULL,
    address TEXT NOT NULL
) STRICT;

-- '' is the operator's, 'device:ID' a device's, 'person:NAME' that of all devices of a person.
ALTER TABLE conversations ADD COLUMN owner TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX conversations_of_owner_by_use ON conversations (owner, last_message);
"""

_TOOLS = """
DROP TRIGGER message_unindexed;
DROP TRIGGER attachment_released;
DROP VIEW message_texts;
DROP INDEX parts_with_attachment;
ALTER TABLE parts RENAME TO parts_before;

CREATE TABLE parts (
    message INTEGER NOT NULL REFERENCES messages (seq) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('text', 'image', 'audio', 'tool_call', 'tool_result')),
    text TEXT,                      -- of a call its arguments, of a result what was returned
    media_type TEXT,
    attachment INTEGER REFERENCES attachments (seq),
    transcript TEXT,
    call TEXT,                      -- id of the call, or of that whose result it is
    tool TEXT,
    PRIMARY KEY (message, position),
    CHECK ((kind IN ('image', 'audio')) = (text IS NULL) AND (kind IN ('image', 'audio')) = (attachment IS NOT NULL)),
    CHECK ((kind IN ('tool_call', 'tool_result')) = (call IS NOT NULL) AND (kind = 'tool_call') = (tool IS NOT NULL))
) STRICT;
INSERT INTO parts SELECT message, position, kind, text, media_type, attachment, transcript, NULL, NULL
    FROM parts_before;
DROP TABLE parts_before;
CREATE INDEX parts_with_attachment ON parts (attachment) WHERE attachment IS NOT NULL;

CREATE TRIGGER attachment_released AFTER DELETE ON parts WHEN old.attachment IS NOT NULL BEGIN
    DELETE FROM attachments WHERE seq = old.attachment
        AND NOT EXISTS (SELECT 1 FROM parts WHERE attachment = old.attachment);
END;

-- What people and the model said: not what tools were told and returned.
CREATE VIEW message_texts AS
    SELECT seq, (
        SELECT group_concat(coalesce(text, transcript), char(10) ORDER BY position) FROM parts
        WHERE message = messages.seq AND call IS NULL
    ) AS text
    FROM messages;

CREATE TRIGGER message_unindexed BEFORE DELETE ON messages BEGIN
    INSERT INTO search_index (search_index, rowid, text)
        SELECT 'delete', seq, text FROM message_texts WHERE seq = old.seq AND text IS NOT NULL;
END;
"""

_SIGNING = """
CREATE TABLE signing_key (
    seq INTEGER PRIMARY KEY CHECK (seq = 1),
    seed BLOB NOT NULL              -- of an Ed25519 key: signs archives of conversations
) STRICT;
"""

_THINKING = """
ALTER TABLE messages ADD COLUMN reasoning_tokens INTEGER;
"""

MIGRATIONS = (
    Migration("conversations, messages, parts, attachments", _CONVERSATIONS),
    Migration("full-text search", _SEARCH),
    Migration("transcripts of recordings", _TRANSCRIPTS),
    Migration("enrolled speakers", _SPEAKERS),
    Migration("paired devices, owners of conversations", _DEVICES),
    Migration("calls of tools and what they returned", _TOOLS),
    Migration("key that signs archives", _SIGNING),
    Migration("tokens of thinking", _THINKING),
)


def migrate(db: sqlite_utils.Database, migrations: tuple[Migration, ...] = MIGRATIONS) -> None:
    """Bring the database to the newest version, all steps in one transaction.

    Raises StoreError for a database that a newer edged has written.
    """
    with transaction(db):
        db.execute(
            "CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, "
            "applied_at TEXT NOT NULL, edged_version TEXT NOT NULL) STRICT"
        )
        version = applied_version(db, newest=len(migrations))
        for number, migration in enumerate(migrations[version:], start=version + 1):
            db.executescript(migration.sql)
            db.execute(
                "INSERT INTO migrations VALUES (?, ?, ?, ?)",
                (number, migration.name, datetime.now(UTC).isoformat(), __version__),
            )


def applied_version(db: sqlite_utils.Database, *, newest: int = len(MIGRATIONS)) -> int:
    """How many steps were taken. Raises StoreError for a database that a newer edged has written."""
    row = db.execute("SELECT version, edged_version FROM migrations ORDER BY version DESC LIMIT 1").fetchone()
    version, edged_version = row or (0, "")
    if version > newest:
        raise StoreError(
            f"the database was last written by edged {edged_version} and this is {__version__}: "
            f"install edged {edged_version} or newer"
        )
    return int(version)
