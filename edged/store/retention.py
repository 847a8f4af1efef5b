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

_SIZES = """
WITH sizes AS MATERIALIZED (
    SELECT d.seq, d.last_message, sum(coalesce(length(CAST(p.text AS BLOB)), 0) + coalesce(length(a.data), 0)) AS bytes
    FROM conversations d JOIN messages m ON m.conversation = d.seq JOIN parts p ON p.message = m.seq
    LEFT JOIN attachments a ON a.seq = p.attachment WHERE d.owner != '' GROUP BY d.seq
), together AS MATERIALIZED (SELECT seq, sum(bytes) OVER (ORDER BY last_message DESC) AS bytes FROM sizes)"""
"""Of each conversation that a device began, what was said and sent; and of it with all that were used later."""


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
        if self.devices_max_bytes:
            rules.append(f"those of devices used least recently beyond {self.devices_max_bytes // 1024**2} MiB")
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
            count += _delete(db, f"updated_at < ? AND {condition}", (before,), busy)
    if retention.devices_max_bytes is not None:
        beyond = "seq IN (SELECT seq FROM together WHERE bytes > ?)"
        count += _delete(db, beyond, (retention.devices_max_bytes,), busy)
    if retention.max_bytes is not None:
        for (row,) in _least_recent(db, busy):
            if _used_bytes(db) <= max(retention.max_bytes, MIN_BYTES):
                break
            db.execute("DELETE FROM conversations WHERE seq = ?", (row,))
            count += 1
    return count


def _delete(db: sqlite_utils.Database, condition: str, values: tuple[object, ...], busy: Collection[str]) -> int:
    spared = f"id NOT IN ({', '.join('?' * len(busy))})"
    query = f"{_SIZES} SELECT seq FROM conversations c WHERE {condition} AND {spared}"  # noqa: S608
    rows = db.execute(query, (*values, *busy)).fetchall()
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
