"""Conversations, as rows: found, listed and changed inside the transaction of the caller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlite_utils

from edged.errors import NotFound
from edged.records import Conversation, Reader
from edged.store.naming import as_datetime

Row = Mapping[str, Any]
_SELECT = (
    "SELECT c.*, (SELECT count(*) FROM messages m WHERE m.conversation = c.seq) AS message_count FROM conversations c"
)


def find_conversation(db: sqlite_utils.Database, conversation_id: str, reader: Reader) -> Row:
    """The row of a conversation. Raises NotFound, also for one that the reader does not see."""
    name = conversation_id.encode(errors="replace").decode()
    condition, values = seen_by(reader)
    for row in db.query(f"{_SELECT} WHERE c.id = ? AND {condition}", (name, *values)):
        return row
    raise NotFound(
        f'no conversation "{name}": `edged conversations list` shows what there is', resource=("conversation", name)
    )


def conversation_of_message(db: sqlite_utils.Database, message: int) -> Conversation:
    """The conversation that a message row belongs to."""
    rows = db.query(_SELECT + " JOIN messages m ON m.conversation = c.seq WHERE m.seq = ?", (message,))
    return conversation_from(next(iter(rows)))


def conversations_before(db: sqlite_utils.Database, row: int, limit: int, reader: Reader) -> Iterator[Row]:
    """Rows that the reader sees, whose last message lies below message row `row`, last used first."""
    condition, values = seen_by(reader)
    return db.query(
        f"{_SELECT} WHERE last_message < ? AND {condition} ORDER BY last_message DESC LIMIT ?", (row, *values, limit)
    )


def seen_by(reader: Reader) -> tuple[str, tuple[str, ...]]:
    """A condition on the conversation `c`, and its values."""
    return ("1", ()) if reader.sees_all else ("c.owner = ?", (reader.owner,))


def insert_conversation(db: sqlite_utils.Database, conversation_id: str, title: str, now: int, owner: str) -> int:
    """Row of a new conversation, to be touched by its first message in the same transaction."""
    cursor = db.execute(
        "INSERT INTO conversations (id, title, created_at, updated_at, last_message, owner) VALUES (?, ?, ?, ?, -1, ?)",
        (conversation_id, title, now, now, owner),
    )
    return int(cursor.lastrowid or 0)


def touch_conversation(db: sqlite_utils.Database, conversation: int, *, last_message: int, now: int) -> None:
    """Make it the one used last."""
    db.execute(
        "UPDATE conversations SET updated_at = ?, last_message = max(last_message, ?) WHERE seq = ?",
        (now, last_message, conversation),
    )


def conversation_from(row: Row) -> Conversation:
    """The record that everybody else sees."""
    return Conversation(
        id=row["id"],
        title=row["title"],
        created_at=as_datetime(row["created_at"]),
        updated_at=as_datetime(row["updated_at"]),
        message_count=row["message_count"],
        owner=row["owner"],
    )
