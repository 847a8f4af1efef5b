"""The store: turns are opened and closed; conversations looked at, searched, renamed and deleted.

Synchronous and safe to call from any thread, one call at a time. What a call returned from is on the disk.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlite_utils

from edged.config.schema import DATABASE_NAME
from edged.errors import ConversationBusy, StoreError
from edged.events import FinishReason, Message, MessageState, Part, Role, ToolResult, Usage
from edged.records import AuditEvent, Conversation, EnrolledSpeaker, Reader, SearchHit, StoreStatus, Transcript
from edged.store.contents import contents
from edged.store.conversations import (
    conversation_from,
    conversation_of_message,
    conversations_before,
    find_conversation,
    insert_conversation,
    seen_by,
    touch_conversation,
)
from edged.store.database import (
    IN_MEMORY,
    OpenedFiles,
    check_length,
    disk_bytes,
    erase_traces,
    open_database,
    opened_files,
    reported,
    require_same_files,
    resume_cleanup,
    transaction,
)
from edged.store.devices import (
    KnownDevice,
    all_devices,
    append_event,
    delete_device,
    events_before,
    insert_device,
    mark_seen,
    update_device,
)
from edged.store.history import history, open_calls
from edged.store.key import find_key, remember_key
from edged.store.key_places import DatabaseKey, KeySource
from edged.store.messages import (
    finish_message,
    insert_message,
    insert_parts,
    interrupt_pending,
    open_answer,
    read_messages,
    set_system_prompt,
)
from edged.store.migrations import migrate
from edged.store.naming import microseconds_now, new_id
from edged.store.paging import checked_page_size, row_before, token_after
from edged.store.rekey import encrypt_plain
from edged.store.retention import KEEP_ALL, Retention, delete_expired
from edged.store.rewrite import clear_journal, clear_leftovers
from edged.store.search import matching_messages, search_terms, snippet
from edged.store.speakers import (
    Voiceprint,
    all_speakers,
    all_voiceprints,
    checked_name,
    delete_speaker,
    insert_speaker,
    require_free,
)
from edged.store.texts import as_storable, check_parts, check_results, made_storable, storable
from edged.store.titles import checked_title, title_from

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTurn:
    """A turn whose user message is on the disk; satisfies `edged.pipeline.ports.OpenTurn`."""

    conversation_id: str
    user_message_id: str
    answer_message_id: str
    history: tuple[Message, ...]


class ConversationStore:
    """The memory of one state directory."""

    def __init__(self, path: Path, key: DatabaseKey | None, retention: Retention = KEEP_ALL) -> None:
        """Open the database file itself, unencrypted without a key; `open` finds the key."""
        self._path = path
        self._key = key
        self._retention = retention
        self._lock = threading.Lock()
        self._answering: dict[str, str] = {}  # answer being generated -> its conversation
        self._db: sqlite_utils.Database | None = open_database(path, key.hex if key else None)
        self._files: OpenedFiles = ()
        try:
            with self._reading() as db:
                migrate(db)
                if path != IN_MEMORY:
                    check_length(db, path)
                    self._files = opened_files(path)
                with transaction(db):
                    cut_off = interrupt_pending(db)
                resume_cleanup(db)
            if cut_off:
                _log.warning("answers that were cut off when edged last ended, their questions are kept: %d", cut_off)
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, state_dir: Path, source: KeySource, retention: Retention = KEEP_ALL) -> ConversationStore:
        """Open or create `edged.db` in the state directory; one that is not encrypted yet is, from now on.

        The caller holds the directory. Answers that were being generated when a daemon died become INTERRUPTED.
        Raises StoreError, also for a key that is lost: an old database never gets a new key.
        """
        path = state_dir / DATABASE_NAME
        with reported(path):
            clear_leftovers(path)
        encrypt_plain(path, source)
        key = find_key(source, path)
        store = cls(path, key, retention)
        try:
            with reported(path):
                clear_journal(path)
            remember_key(key, path)
        except BaseException:
            store.close()
            raise
        return store

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite_utils.Database]:
        with self._lock, reported(self._path):
            if self._db is None:
                raise StoreError("the database is closed: edged is shutting down")
            require_same_files(self._files)
            yield self._db

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite_utils.Database]:
        with self._reading() as db, transaction(db):
            yield db

    def open_turn(
        self, *, conversation_id: str, parts: tuple[Part, ...], system_prompt: str | None, model: str, reader: Reader
    ) -> StoredTurn:
        """Store the user's message and a pending answer in one transaction.

        conversation_id: empty starts a conversation of the reader's, titled after the message.
        system_prompt: replaces the conversation's from here on; "" removes it, None keeps it.
        Raises NotFound, InvalidInput, ConversationBusy while the last answer is being generated.
        """
        check_parts(parts)
        if system_prompt is not None:
            storable(system_prompt, field="system_prompt")
        with self._reading() as db:
            if conversation_id:
                find_conversation(db, conversation_id, reader)  # whose it is comes first
            if conversation_id in self._answering.values():
                raise ConversationBusy("this conversation is still being answered: wait for the answer, or cancel it")
            with transaction(db):
                turn = _store_turn(db, conversation_id, parts, system_prompt, model, reader)
            self._answering[turn.answer_message_id] = turn.conversation_id
        return turn

    def close_turn(
        self,
        answer_message_id: str,
        *,
        parts: tuple[Part, ...],
        reasoning: str,
        state: MessageState,
        finish_reason: FinishReason | None,
        usage: Usage | None,
    ) -> None:
        """Store what was answered and how it ended.

        The conversation takes its next turn whether or not this succeeds.
        Raises NotFound when the conversation was deleted meanwhile.
        """
        self._answering.pop(answer_message_id, None)
        with self._writing() as db:
            row, conversation = open_answer(db, answer_message_id)
            finish_message(
                db, row, state=state, reasoning=made_storable(reasoning), finish_reason=finish_reason, usage=usage
            )
            insert_parts(db, row, map(as_storable, parts))
            touch_conversation(db, conversation, last_message=row, now=microseconds_now())

    def list(self, *, reader: Reader, page_size: int = 0, page_token: str = "") -> tuple[tuple[Conversation, ...], str]:
        """A page of conversations that the reader sees, last used first, and the token of the next page or "".

        page_size: 1 to 200, 0 for 50. What is added or used while paging appears before the first
        page and shifts no later one. Raises InvalidInput.
        """
        size, before = checked_page_size(page_size), row_before(page_token)
        with self._reading() as db:
            rows = tuple(conversations_before(db, before, size + 1, reader))
        token = token_after(rows[size - 1]["last_message"]) if len(rows) > size else ""
        return tuple(conversation_from(row) for row in rows[:size]), token

    def get(self, conversation_id: str, *, reader: Reader) -> Transcript:
        """A conversation with all its messages. Raises NotFound, also for one that the reader does not see."""
        with self._reading() as db:
            row = find_conversation(db, conversation_id, reader)
            return Transcript(conversation=conversation_from(row), messages=read_messages(db, row["seq"]))

    def search(
        self, query: str, *, reader: Reader, page_size: int = 0, page_token: str = ""
    ) -> tuple[tuple[SearchHit, ...], str]:
        """A page of messages that hold every word of the query, newest first, and the next page's token or "".

        Any text is a valid query. Raises InvalidInput for an empty or overlong one.
        """
        size, before, terms = checked_page_size(page_size), row_before(page_token), search_terms(query)
        with self._reading() as db:
            rows = tuple(matching_messages(db, terms, before=before, limit=size + 1, reader=reader))
            hits = tuple(_hit(db, row["seq"], snippet(row["text"], terms)) for row in rows[:size])
        return hits, token_after(rows[size - 1]["seq"]) if len(rows) > size else ""

    def rename(self, conversation_id: str, title: str, *, reader: Reader) -> Conversation:
        """Give a conversation a title of one line. Raises NotFound, InvalidInput."""
        line = checked_title(title)
        with self._writing() as db:
            row = find_conversation(db, conversation_id, reader)
            db.execute("UPDATE conversations SET title = ? WHERE seq = ?", (line, row["seq"]))
            return conversation_from({**row, "title": line})

    def delete(self, conversation_id: str, *, reader: Reader) -> None:
        """Remove a conversation; nothing of it remains in the files. Raises NotFound."""
        with self._reading() as db:
            with transaction(db):
                row = find_conversation(db, conversation_id, reader)
                db.execute("DELETE FROM conversations WHERE seq = ?", (row["seq"],))
            erase_traces(db)

    def expire(self) -> int:
        """Remove conversations that are past their time, as `delete` does; says how many."""
        with self._reading() as db:
            with transaction(db):
                count = delete_expired(db, self._retention, busy=frozenset(self._answering.values()))
            if count:
                erase_traces(db)
        return count

    def ids(self, conversation_ids: Sequence[str] = (), *, reader: Reader) -> tuple[str, ...]:
        """Ids of the named conversations or of all that the reader sees, oldest first. Raises NotFound for others."""
        condition, values = seen_by(reader)
        every = f"SELECT id FROM conversations c WHERE {condition} ORDER BY seq"  # noqa: S608  # of seen_by
        with self._reading() as db:
            wanted = {find_conversation(db, name, reader)["id"] for name in dict.fromkeys(conversation_ids)}
            names = [name for (name,) in db.execute(every, values)]
        return tuple(name for name in names if not conversation_ids or name in wanted)

    def free_name(self, name: str) -> str:
        """The name as it would be stored. Raises InvalidInput, AlreadyExists."""
        line = checked_name(name)
        with self._reading() as db:
            require_free(db, line)
        return line

    def add_speaker(self, name: str, voiceprint: Voiceprint) -> EnrolledSpeaker:
        """Remember a voice. Raises InvalidInput, AlreadyExists."""
        line = checked_name(name)
        with self._writing() as db:
            return insert_speaker(db, line, voiceprint, microseconds_now())

    def speakers(self) -> tuple[EnrolledSpeaker, ...]:
        """Everybody whose voice is known, by name."""
        with self._reading() as db:
            return all_speakers(db)

    def voiceprints(self) -> dict[str, Voiceprint]:
        """What the voice of each of them is like."""
        with self._reading() as db:
            return all_voiceprints(db)

    def delete_speaker(self, name: str) -> None:
        """Remove a person; nothing of the voice remains in the files. Raises InvalidInput, NotFound."""
        line = checked_name(name)
        with self._reading() as db:
            with transaction(db):
                delete_speaker(db, line)
            erase_traces(db)

    def add_device(self, known: KnownDevice) -> None:
        """Remember a device that was paired; its id and credential are new."""
        with self._writing() as db:
            insert_device(db, known)

    def devices(self) -> tuple[KnownDevice, ...]:
        """All that are paired."""
        with self._reading() as db:
            return tuple(all_devices(db))

    def update_device(self, known: KnownDevice) -> None:
        """Change all of it but when it was seen. Raises NotFound."""
        with self._writing() as db:
            update_device(db, known)

    def delete_device(self, device_id: str) -> None:
        """Forget a device; nothing of it remains but in the audit log. Raises NotFound."""
        with self._reading() as db:
            with transaction(db):
                delete_device(db, device_id)
            erase_traces(db)

    def mark_seen(self, seen: dict[str, datetime]) -> None:
        """When devices were last seen, by id."""
        with self._writing() as db:
            mark_seen(db, seen)

    def append_audit(self, event: AuditEvent) -> None:
        """Write down what happened."""
        with self._writing() as db:
            append_event(db, event)

    def audit(self, *, page_size: int = 0, page_token: str = "") -> tuple[tuple[AuditEvent, ...], str]:
        """A page of what happened to devices, newest first, and the next page's token or "". Raises InvalidInput."""
        size, before = checked_page_size(page_size), row_before(page_token)
        with self._reading() as db:
            rows = events_before(db, before, size + 1)
        return tuple(event for _, event in rows[:size]), token_after(rows[size - 1][0]) if len(rows) > size else ""

    def status(self) -> StoreStatus:
        """Where things lie, how many, and what protects them."""
        with self._reading() as db:
            found = contents(db)
        return StoreStatus(
            database=str(self._path),
            encrypted=self._key is not None,
            key_source=self._key.source if self._key else "",
            database_bytes=disk_bytes(self._path),
            **found,
            protection=self._key.protection if self._key else "Nothing is encrypted.",
            retention=self._retention.sentence,
        )

    def close(self) -> None:
        """Empty the write-ahead log and close the file. Can be called again."""
        with self._lock, reported(self._path):
            if self._db is not None:
                self._db.conn.close()
                self._db = None


def _store_turn(
    db: sqlite_utils.Database,
    conversation_id: str,
    parts: tuple[Part, ...],
    system_prompt: str | None,
    model: str,
    reader: Reader,
) -> StoredTurn:
    now = microseconds_now()
    role = Role.TOOL if isinstance(parts[0], ToolResult) else Role.USER
    user = Message(role=role, parts=parts, id=new_id())
    answer = Message(role=Role.ASSISTANT, parts=(), id=new_id(), state=MessageState.PENDING, model=model)
    name = conversation_id or new_id()
    if conversation_id:
        conversation = int(find_conversation(db, name, reader)["seq"])
    else:
        check_results(parts, ())
        conversation = insert_conversation(db, name, title_from(parts), now, reader.owner)
    interrupt_pending(db, conversation)  # left by an answer whose end could not be stored
    if system_prompt is not None:
        set_system_prompt(db, conversation, system_prompt, created_at=now)
    if role is Role.TOOL:
        check_results(parts, open_calls(history(read_messages(db, conversation))))
    insert_message(db, conversation, user, created_at=now)
    shown = history(read_messages(db, conversation))
    last = insert_message(db, conversation, answer, created_at=now)
    touch_conversation(db, conversation, last_message=last, now=now)
    return StoredTurn(conversation_id=name, user_message_id=user.id, answer_message_id=answer.id, history=shown)


def _hit(db: sqlite_utils.Database, message: int, around: str) -> SearchHit:
    message_id, role = db.execute("SELECT id, role FROM messages WHERE seq = ?", (message,)).fetchone()
    conversation = conversation_of_message(db, message)
    return SearchHit(conversation=conversation, message_id=message_id, role=Role(role), snippet=around)
