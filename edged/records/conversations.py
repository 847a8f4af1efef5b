"""What is kept: conversations, and voices that are known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from edged.events import Message, Role
from edged.records.devices import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation without its messages."""

    id: str
    title: str
    created_at: datetime
    """Timezone-aware UTC, as all times here."""
    updated_at: datetime
    message_count: int
    owner: str = ""
    """Whose it is: "" for the operator's, "device:ID", or "person:NAME"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """A conversation with its messages, oldest first."""

    conversation: Conversation
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchHit:
    """One message that matched a search."""

    conversation: Conversation
    message_id: str
    role: Role
    snippet: str
    """Words around the match, the match itself between U+0002 and U+0003."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledSpeaker:
    """A person whose voice is known."""

    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Whose conversations somebody sees, and to whom those belong that they begin."""

    owner: str
    sees_all: bool
    is_incognito: bool = False
    """Conversations that they begin are never written to disk."""
    scopes: frozenset[Scope] = frozenset()
    """What the daemon's own tools may do for them."""


OPERATOR = Reader(owner="", sees_all=True, scopes=frozenset(Scope))
"""Whoever can open this user's socket."""
