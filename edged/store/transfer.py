"""Conversations taken out of the database and put in, by a program beside the daemon that uses it."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import sqlite_utils

from edged.errors import InvalidInput, NotFound
from edged.events import Message, MessageState, Part
from edged.records import OPERATOR, Transcript
from edged.store.conversations import conversation_from, find_conversation, insert_conversation, touch_conversation
from edged.store.database import open_database, reported, require_encrypted, transaction
from edged.store.key import find_key, read_note, remember_key
from edged.store.key_places import KeySource
from edged.store.messages import finish_message, insert_message, read_messages
from edged.store.migrations import migrate
from edged.store.naming import as_microseconds, microseconds_now
from edged.store.texts import made_storable, storable
from edged.store.titles import checked_title

MAX_ID_CHARACTERS = 64


class Transfer:
    """One connection of its own; the daemon may go on meanwhile. Each conversation goes in whole or not at all."""

    def __init__(self, db: sqlite_utils.Database) -> None:
        """Use `transfer`."""
        self._db = db

    def transcripts(self, conversation_ids: Sequence[str] = ()) -> Iterator[Transcript]:
        """The named conversations or all, oldest first, one in memory at a time. Raises NotFound for no such id."""
        wanted = {find_conversation(self._db, name, OPERATOR)["id"] for name in conversation_ids}
        for row, name in self._db.execute("SELECT seq, id FROM conversations ORDER BY seq").fetchall():
            if not conversation_ids or name in wanted:
                with contextlib.suppress(NotFound):  # deleted since
                    found = find_conversation(self._db, name, OPERATOR)
                    yield Transcript(conversation=conversation_from(found), messages=read_messages(self._db, row))

    def insert(self, transcript: Transcript) -> bool:
        """Store a conversation with its ids and times; False if there is one of that id, which stays as it is.

        It becomes the one used last. Raises InvalidInput for what cannot be stored.
        """
        conversation = transcript.conversation
        for name in (conversation.id, *(message.id for message in transcript.messages)):
            _check_id(name)
        if not transcript.messages:
            raise InvalidInput(f"conversation {conversation.id} has no messages", field="messages")
        title, owner = checked_title(conversation.title), storable(conversation.owner, field="owner")
        with transaction(self._db):
            if self._db.execute("SELECT 1 FROM conversations WHERE id = ?", (conversation.id,)).fetchone():
                return False
            row = insert_conversation(self._db, conversation.id, title, as_microseconds(conversation.created_at), owner)
            last = [self._insert(row, message) for message in transcript.messages][-1]
            touch_conversation(self._db, row, last_message=last, now=as_microseconds(conversation.updated_at))
        return True

    def signing_seed(self) -> bytes:
        """32 bytes of which this database makes its Ed25519 key; made when they are first asked for."""
        with transaction(self._db):
            self._db.execute("INSERT OR IGNORE INTO signing_key VALUES (1, ?)", (secrets.token_bytes(32),))
            return bytes(self._db.execute("SELECT seed FROM signing_key").fetchone()[0])

    def _insert(self, conversation: int, message: Message) -> int:
        if self._db.execute("SELECT 1 FROM messages WHERE id = ?", (message.id,)).fetchone():
            raise InvalidInput(f"message {message.id} is part of another conversation, or comes twice", field="id")
        created_at = as_microseconds(message.created_at) if message.created_at else microseconds_now()
        parts = tuple(_as_storable(part) for part in message.parts)
        stored = replace(message, parts=parts, model=made_storable(message.model))
        row = insert_message(self._db, conversation, stored, created_at=created_at)
        # Nobody generates what was still being answered when it was taken out.
        state = MessageState.INTERRUPTED if message.state is MessageState.PENDING else message.state
        finish_message(
            self._db,
            row,
            state=state,
            reasoning=made_storable(message.reasoning),
            finish_reason=message.finish_reason,
            usage=message.usage,
        )
        return row


@contextlib.contextmanager
def transfer(database: Path, source: KeySource) -> Iterator[Transfer]:
    """Into and out of the database for the length of the block, whether or not a daemon uses it.

    Makes a database where there is none. Raises StoreError.
    """
    require_encrypted(database)
    key = find_key(source, database)
    with reported(database):
        db = open_database(database, key.hex)
        try:
            migrate(db)
            if not read_note(database):
                remember_key(key, database)
            yield Transfer(db)
        finally:
            db.conn.close()


def _as_storable(part: Part) -> Part:
    texts = {item.name: value for item in fields(part) if isinstance(value := getattr(part, item.name), str)}
    mended: dict[str, Any] = {name: made_storable(text) for name, text in texts.items()}
    return replace(part, **mended)


def _check_id(name: str) -> None:
    if not 0 < len(name) <= MAX_ID_CHARACTERS or not (name.isascii() and name.isalnum()):
        raise InvalidInput("an id is none: it consists of letters and digits", field="id")
