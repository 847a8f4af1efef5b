"""Identifiers and times, as stored."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_id() -> str:
    """A random name of 60 bits, fit for URLs and command lines, with no letters that look alike."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(12))


def microseconds_now() -> int:
    """Microseconds since 1970, UTC."""
    return as_microseconds(datetime.now(UTC))


def as_microseconds(time: datetime) -> int:
    """Since 1970, of a timezone-aware time."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def as_datetime(microseconds: int) -> datetime:
    """The time that was counted so, exactly."""
    return _EPOCH + timedelta(microseconds=microseconds)
