"""What is deleted by itself: by the time since it was last used, and by the room that all of it takes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta

import sqlite_utils

from edged.store.naming import microseconds_now

MIN_BYTES = 1024 * 1024
"""Less is not worth a limit: an empty database takes a part of it."""
_CLASSES = {
    "all": "1",
    "devices": "owner != ''",
    "media": "EXISTS (SELECT 1 FROM messages m JOIN parts p ON p.message = m.seq "
    "WHERE m.conversation = c.seq AND p.attachment IS NOT NULL)",
}
"""Which conversations `c` belong to it; one that belongs to several goes as soon as any says so."""
_SIZED_CLASSES = ("devices", "media")
"""Those that may have a room of their own within that of all."""
_BEYOND = """
SELECT seq, id FROM (
    SELECT seq, id, sum(bytes) OVER (ORDER BY last_message DESC) AS together FROM (
        SELECT c.seq, c.id, c.last_message,
            sum(coalesce(length(CAST(p.text AS BLOB)), 0) + coalesce(length(a.data), 0)) AS bytes
        FROM conversations c JOIN messages m ON m.conversation = c.seq JOIN parts p ON p.message = m.seq
        LEFT JOIN attachments a ON a.seq = p.attachment WHERE {condition} GROUP BY c.seq
    )
) WHERE together > ?"""
"""Of a class, what is more than so many bytes of words and files together with all that was used later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long conversations are kept after their last use; None for ever."""

    all: timedelta | None = None
    devices: timedelta | None = None
    """Those that paired devices began."""
    media: timedelta | None = None
    """Those that hold pictures or recordings."""
    max_bytes: int | None = None
    """Of all together on the disk; those used least recently go first."""
    devices_max_bytes: int | None = None
    """The same of what was said and sent in those that devices began."""
    media_max_bytes: int | None = None
    """The same of those that hold pictures or recordings."""

    @property
    def sentence(self) -> str:
        """For people."""
        names = {"all": "", "devices": " begun by devices", "media": " with pictures or recordings"}
        rules = [
            f"conversations{names[name]} {limit.days} days after their last use"
            for name in _CLASSES
            if (limit := getattr(self, name))
        ]
        if self.max_bytes:
            rules.append(f"those used least recently beyond {self.max_bytes // 1024**2} MiB")
        rules += [
            f"those{names[name]} used least recently beyond {room // 1024**2} MiB"
            for name in _SIZED_CLASSES
            if (room := getattr(self, f"{name}_max_bytes"))
        ]
        return f"Deleted by itself: {'; '.join(rules)}." if rules else "Nothing is deleted by itself."


KEEP_ALL = Retention()


def delete_expired(db: sqlite_utils.Database, retention: Retention, *, busy: Collection[str]) -> int:
    """Delete what is past its time or beyond the room, and say how many; expects a transaction.

    busy: ids of conversations that are being answered, which stay.
    """
    count = 0
    for name, condition in _CLASSES.items():
        limit: timedelta | None = getattr(retention, name)
        if limit is not None:
            before = microseconds_now() - limit // timedelta(microseconds=1)
            old = f"SELECT seq, id FROM conversations c WHERE updated_at < ? AND {condition}"  # noqa: S608  # of _CLASSES
            count += _delete(db, old, before, busy)
    for name in _SIZED_CLASSES:
        room: int | None = getattr(retention, f"{name}_max_bytes")
        if room is not None:
            count += _delete(db, _BEYOND.format(condition=_CLASSES[name]), room, busy)
    if retention.max_bytes is not None:
        for (row,) in _least_recent(db, busy):
            if _used_bytes(db) <= max(retention.max_bytes, MIN_BYTES):
                break
            db.execute("DELETE FROM conversations WHERE seq = ?", (row,))
            count += 1
    return count


def _delete(db: sqlite_utils.Database, query: str, limit: int, busy: Collection[str]) -> int:
    """query: of rows and ids, with a place for the limit."""
    rows = [(row,) for row, name in db.execute(query, (limit,)).fetchall() if name not in busy]
    db.conn.executemany("DELETE FROM conversations WHERE seq = ?", rows)
    return len(rows)


def _least_recent(db: sqlite_utils.Database, busy: Collection[str]) -> Iterator[tuple[int]]:
    rows = db.execute("SELECT seq, id FROM conversations ORDER BY last_message").fetchall()
    return ((row,) for row, name in rows if name not in busy)


def _used_bytes(db: sqlite_utils.Database) -> int:
    pages, free, size = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size
