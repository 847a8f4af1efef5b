"""Paired devices and what happened to them, as rows: how each is recognised, never what it could show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlite_utils

from edged.errors import InvalidInput, NotFound
from edged.records import AuditEvent, Device, DeviceKind, Scope
from edged.store.naming import as_datetime, as_microseconds
from edged.store.texts import storable
from edged.store.titles import one_line

MAX_NAME_CHARACTERS = 60
KEPT_EVENTS = 10_000
"""Of the audit log; the oldest go first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDevice:
    """A device, and what it is recognised by."""

    device: Device
    credential: bytes
    """SHA-256 of its certificate in DER, or of its token."""
    next_credential: bytes | None = None
    """Of the certificate that takes the place of this one once it is shown."""


def checked_device_name(name: str, *, field: str = "name") -> str:
    """The name on one line. Raises InvalidInput."""
    line = one_line(storable(name, field=field))
    if not line:
        raise InvalidInput(f"{field} is empty", field=field)
    if len(line) > MAX_NAME_CHARACTERS:
        raise InvalidInput(f"{field} is longer than {MAX_NAME_CHARACTERS} characters", field=field)
    return line


def insert_device(db: sqlite_utils.Database, known: KnownDevice) -> None:
    """Its id and credential are new."""
    db.table("devices").insert(_row(known))


def update_device(db: sqlite_utils.Database, known: KnownDevice) -> None:
    """All of it but when it was seen. Raises NotFound."""
    row = {name: value for name, value in _row(known).items() if name != "last_seen_at"}
    assignments = ", ".join(f"{name} = :{name}" for name in row)
    if not db.execute(f"UPDATE devices SET {assignments} WHERE id = :id", row).rowcount:  # noqa: S608
        raise no_device(known.device.id)


def delete_device(db: sqlite_utils.Database, device_id: str) -> None:
    """Raises NotFound."""
    if not db.execute("DELETE FROM devices WHERE id = ?", (device_id,)).rowcount:
        raise no_device(device_id)


def mark_seen(db: sqlite_utils.Database, seen: dict[str, datetime]) -> None:
    """When each of them was last seen, by id."""
    rows = [(as_microseconds(time), device_id) for device_id, time in seen.items()]
    db.conn.executemany("UPDATE devices SET last_seen_at = ? WHERE id = ?", rows)


def all_devices(db: sqlite_utils.Database) -> Iterator[KnownDevice]:
    """In the order in which they were paired."""
    for row in db.query("SELECT * FROM devices ORDER BY seq"):
        device = Device(
            id=row["id"],
            name=row["name"],
            kind=DeviceKind(row["kind"]),
            person=row["person"],
            scopes=frozenset(Scope(scope) for scope in row["scopes"].split()),
            created_at=as_datetime(row["created_at"]),
            last_seen_at=_time(row["last_seen_at"]),
            expires_at=_time(row["expires_at"]),
        )
        yield KnownDevice(device=device, credential=row["credential"], next_credential=row["next_credential"])


def append_event(db: sqlite_utils.Database, event: AuditEvent) -> None:
    """And forget the oldest beyond `KEPT_EVENTS`."""
    cursor = db.execute(
        "INSERT INTO audit (at, action, device_id, device_name, address) VALUES (?, ?, ?, ?, ?)",
        (as_microseconds(event.time), event.action, event.device_id, event.device_name, event.address),
    )
    db.execute("DELETE FROM audit WHERE seq <= ?", (int(cursor.lastrowid or 0) - KEPT_EVENTS,))


def events_before(db: sqlite_utils.Database, row: int, limit: int) -> Sequence[tuple[int, AuditEvent]]:
    """Row numbers and events below row `row`, newest first."""
    rows = db.execute(
        "SELECT seq, at, action, device_id, device_name, address FROM audit WHERE seq < ? ORDER BY seq DESC LIMIT ?",
        (row, limit),
    )
    return [
        (
            seq,
            AuditEvent(time=as_datetime(at), action=action, device_id=device_id, device_name=name, address=address),
        )
        for seq, at, action, device_id, name, address in rows
    ]


def no_device(device_id: str) -> NotFound:
    """Where there is none of that id."""
    name = device_id.encode(errors="replace").decode()[:MAX_NAME_CHARACTERS]
    return NotFound(f'no device "{name}": `edged devices list` shows who is paired', resource=("device", name))


def _row(known: KnownDevice) -> dict[str, object]:
    device = known.device
    return {
        "id": device.id,
        "name": device.name,
        "kind": device.kind.value,
        "person": device.person,
        "scopes": " ".join(sorted(device.scopes)),
        "credential": known.credential,
        "next_credential": known.next_credential,
        "created_at": as_microseconds(device.created_at),
        "last_seen_at": as_microseconds(device.last_seen_at) if device.last_seen_at else None,
        "expires_at": as_microseconds(device.expires_at) if device.expires_at else None,
    }


def _time(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else as_datetime(microseconds)
