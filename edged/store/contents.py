"""What is kept, in numbers: enough to say it, nothing of what it is."""

from __future__ import annotations

from typing import Any

import sqlite_utils

from edged.records import DeviceKind
from edged.store.naming import as_datetime

_COUNTS = """
SELECT
    (SELECT count(*) FROM conversations) AS conversations,
    (SELECT count(*) FROM messages) AS messages,
    (SELECT min(created_at) FROM conversations) AS oldest,  -- which is when its first message came
    (SELECT count(*) FROM attachments) AS attachments,
    (SELECT coalesce(sum(length(data)), 0) FROM attachments) AS attachment_bytes,
    (SELECT count(*) FROM speakers) AS voiceprints,
    (SELECT count(*) FROM devices WHERE kind != :key) AS devices,
    (SELECT count(*) FROM devices WHERE kind = :key) AS api_keys"""


def contents(db: sqlite_utils.Database) -> dict[str, Any]:
    """As of now, by the names of `StoreStatus`."""
    row: dict[str, Any] = next(db.query(_COUNTS, {"key": DeviceKind.API_KEY}))
    oldest = row.pop("oldest")
    return {**row, "oldest_message_at": None if oldest is None else as_datetime(oldest)}
