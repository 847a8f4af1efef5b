"""What the model is told before a conversation: who it is, and what day and time it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from edged.events import Message, Role, Text

RETOLD_AFTER = timedelta(minutes=10)
"""How old the time may get that a conversation was told. Telling it anew means to compute all of the prompt anew."""


def prompted(messages: tuple[Message, ...], system_prompt: str, *, tells_time: bool) -> tuple[Message, ...]:
    """The messages, before them the system prompt where the conversation has none of its own.

    Who sets a system prompt gets exactly that. The time is the user's local one.
    """
    if messages[0].role is Role.SYSTEM:
        return messages
    told = [system_prompt] if system_prompt else []
    if tells_time:
        told.append(time_line(told_time(messages).astimezone()))
    if not told:
        return messages
    return (Message(role=Role.SYSTEM, parts=(Text(text=" ".join(told)),)), *messages)


def told_time(messages: Sequence[Message]) -> datetime:
    """When the last message came, or one at most `RETOLD_AFTER` before it.

    It follows from the messages alone, so that two turns in a row begin with the same tokens and the second finds
    the first in the cache.
    """
    told: datetime | None = None
    for message in messages:
        if message.created_at and (told is None or message.created_at - told > RETOLD_AFTER):
            told = message.created_at
    return told or datetime.now(UTC)


def time_line(local: datetime) -> str:
    """One sentence with date, time and time zone, e.g. "It is Thursday, November 26, 2026, 15:05 (UTC+01:00).\""""
    offset = local.strftime("%z")
    zone = f"UTC{offset[:3]}:{offset[3:5]}" if offset else "UTC"
    return f"It is {local:%A, %B} {local.day}, {local.year}, {local:%H:%M} ({zone})."
