"""Messages, their parts and their attachments, as rows inside the transaction of the caller."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import sqlite_utils

from edged.errors import NotFound
from edged.events import (
    Audio,
    FinishReason,
    Image,
    Message,
    MessageState,
    Part,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from edged.store.naming import as_datetime, new_id

Row = Mapping[str, Any]


def insert_message(db: sqlite_utils.Database, conversation: int, message: Message, *, created_at: int) -> int:
    """Store a message and its parts; returns its row. Expects a transaction and `message.id`."""
    cursor = db.execute(
        "INSERT INTO messages (id, conversation, role, state, model, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        (message.id, conversation, message.role, message.state, message.model, created_at),
    )
    row = int(cursor.lastrowid or 0)
    insert_parts(db, row, message.parts)
    return row


def insert_parts(db: sqlite_utils.Database, message: int, parts: Iterable[Part]) -> None:
    """Store the parts of a message that has none yet, and make its text searchable."""
    for position, part in enumerate(parts):
        match part:
            case Text(text=text):
                values: tuple[object, ...] = ("text", text, None, None, None, None, None)
            case Image(data=data, media_type=media_type, description=description):
                values = ("image", None, media_type, _attachment(db, data), description or None, None, None)
            case Audio(data=data, media_type=media_type, transcript=transcript):
                values = ("audio", None, media_type, _attachment(db, data), transcript or None, None, None)
            case ToolCall(id=call, name=tool, arguments=text):
                values = ("tool_call", text, None, None, None, call, tool)
            case ToolResult(call_id=call, content=text):
                values = ("tool_result", text, None, None, None, call, None)
        db.execute(
            "INSERT INTO parts (message, position, kind, text, media_type, attachment, transcript, call, tool) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (message, position, *values),
        )
    db.execute(
        "INSERT INTO search_index (rowid, text) SELECT seq, text FROM message_texts WHERE seq = ? AND text IS NOT NULL",
        (message,),
    )


def open_answer(db: sqlite_utils.Database, message_id: str) -> tuple[int, int]:
    """Rows of an answer that has not ended, and of its conversation. Raises NotFound."""
    row = db.execute(
        "SELECT seq, conversation FROM messages WHERE id = ? AND state IN ('pending', 'interrupted')", (message_id,)
    ).fetchone()
    if row is None:
        raise NotFound("the conversation was deleted while it was being answered", resource=("message", message_id))
    message, conversation = row
    return message, conversation


def finish_message(
    db: sqlite_utils.Database,
    message: int,
    *,
    state: MessageState,
    reasoning: str,
    finish_reason: FinishReason | None,
    usage: Usage | None,
) -> None:
    """Record how an answer ended."""
    tokens: tuple[int | None, ...] = (None,) * 4
    if usage:
        tokens = (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.reasoning_tokens)
    db.execute(
        "UPDATE messages SET state = ?, reasoning = ?, finish_reason = ?, prompt_tokens = ?, completion_tokens = ?, "
        "cached_tokens = ?, reasoning_tokens = ? WHERE seq = ?",
        (state, reasoning, finish_reason, *tokens, message),
    )


def interrupt_pending(db: sqlite_utils.Database, conversation: int | None = None) -> int:
    """Mark the answers that nobody is generating any more, of one conversation or of all; returns how many."""
    cursor = db.execute(
        "UPDATE messages SET state = 'interrupted' WHERE state = 'pending' AND conversation = ifnull(?, conversation)",
        (conversation,),
    )
    return int(cursor.rowcount)


def set_system_prompt(db: sqlite_utils.Database, conversation: int, prompt: str, *, created_at: int) -> None:
    """Add a system message where the prompt changes; an empty one ends what was in force."""
    row = db.execute(
        "SELECT t.text FROM messages m JOIN message_texts t ON t.seq = m.seq "
        "WHERE m.conversation = ? AND m.role = 'system' ORDER BY m.seq DESC LIMIT 1",
        (conversation,),
    ).fetchone()
    if prompt != ((row and row[0]) or ""):
        parts = (Text(text=prompt),) if prompt else ()
        insert_message(db, conversation, Message(role=Role.SYSTEM, parts=parts, id=new_id()), created_at=created_at)


def _attachment(db: sqlite_utils.Database, data: bytes) -> int:
    """Row of these bytes, which are stored once however often they are sent."""
    digest = hashlib.sha256(data).digest()
    db.execute("INSERT INTO attachments (sha256, data) VALUES (?, ?) ON CONFLICT DO NOTHING", (digest, data))
    return int(db.execute("SELECT seq FROM attachments WHERE sha256 = ?", (digest,)).fetchone()[0])


def read_messages(db: sqlite_utils.Database, conversation: int) -> tuple[Message, ...]:
    """All messages of a conversation, oldest first."""
    parts: dict[int, list[Part]] = {}
    for row in db.query(
        "SELECT p.message, p.kind, p.text, p.media_type, p.transcript, p.call, p.tool, a.data "
        "FROM parts p JOIN messages m ON m.seq = p.message LEFT JOIN attachments a ON a.seq = p.attachment "
        "WHERE m.conversation = ? ORDER BY p.message, p.position",
        (conversation,),
    ):
        parts.setdefault(row["message"], []).append(_part(row))
    rows = db.query("SELECT * FROM messages WHERE conversation = ? ORDER BY seq", (conversation,))
    return tuple(_message(row, parts.get(row["seq"], ())) for row in rows)


def _part(row: Row) -> Part:
    match row["kind"]:
        case "text":
            return Text(text=row["text"])
        case "image":
            return Image(data=row["data"], media_type=row["media_type"], description=row["transcript"] or "")
        case "tool_call":
            return ToolCall(id=row["call"], name=row["tool"], arguments=row["text"])
        case "tool_result":
            return ToolResult(call_id=row["call"], content=row["text"])
        case _:
            return Audio(data=row["data"], media_type=row["media_type"], transcript=row["transcript"] or "")


def _message(row: Row, parts: Iterable[Part]) -> Message:
    usage = None
    if row["prompt_tokens"] is not None:
        usage = Usage(
            prompt_tokens=row["prompt_tokens"],
            completion_tokens=row["completion_tokens"],
            cached_tokens=row["cached_tokens"],
            reasoning_tokens=row["reasoning_tokens"] or 0,  # not counted once
        )
    return Message(
        role=Role(row["role"]),
        parts=tuple(parts),
        id=row["id"],
        reasoning=row["reasoning"],
        state=MessageState(row["state"]),
        created_at=as_datetime(row["created_at"]),
        finish_reason=FinishReason(row["finish_reason"]) if row["finish_reason"] else None,
        usage=usage,
        model=row["model"],
    )
