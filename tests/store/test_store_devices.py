"""Paired devices on disk: kept, changed, seen, and gone when they are deleted; and the log of what happened."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from talking import files_with

from edged.errors import NotFound
from edged.records import AuditEvent, Device, DeviceKind, Scope
from edged.store import ConversationStore
from edged.store import devices as rows
from edged.store.devices import KnownDevice

NOW = datetime(2026, 11, 27, 1, 2, 3, 456789, tzinfo=UTC)


def known(device_id: str = "d1", name: str = "Anna's phone", credential: bytes = b"c" * 32) -> KnownDevice:
    device = Device(
        id=device_id,
        name=name,
        kind=DeviceKind.BROWSER,
        person="Anna",
        scopes=frozenset({Scope.CHAT, Scope.HISTORY_ALL}),
        created_at=NOW,
        expires_at=NOW + timedelta(days=1),
    )
    return KnownDevice(device=device, credential=credential)


def test_a_device_is_kept_as_it_was(store: ConversationStore) -> None:
    first, second = known(), known("d2", "厨房", b"d" * 32)
    store.add_device(first)
    store.add_device(second)
    assert store.devices() == (first, second)
    bare = replace(second.device, scopes=frozenset(), expires_at=None, person="", kind=DeviceKind.PROGRAM)
    changed = KnownDevice(device=bare, credential=b"e" * 32, next_credential=b"f" * 32)
    store.update_device(changed)
    store.mark_seen({"d1": NOW, "nobody": NOW})
    seen = replace(first, device=replace(first.device, last_seen_at=NOW))
    assert store.devices() == (seen, changed)
    store.update_device(first)  # when it was seen is nothing that a change takes back
    assert store.devices()[0] == seen
    with pytest.raises(NotFound, match="devices list"):
        store.update_device(known("d3"))


def test_a_deleted_device_leaves_nothing_but_its_line_in_the_log(plain_store: ConversationStore) -> None:
    folder = plain_store._path.parent
    plain_store.add_device(known(name="unmistakable name", credential=b"unmistakable credential, 32 byte"))
    assert files_with(folder, b"unmistakable name") and files_with(folder, b"unmistakable credential")
    plain_store.delete_device("d1")
    assert plain_store.devices() == ()
    assert not files_with(folder, b"unmistakable name") and not files_with(folder, b"unmistakable credential")
    with pytest.raises(NotFound):
        plain_store.delete_device("d1")


def test_the_log_is_read_newest_first_and_has_an_end(store: ConversationStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "KEPT_EVENTS", 5)
    events = [
        AuditEvent(time=NOW, action=f"action {n}", device_id="d", device_name="x", address="::1") for n in range(9)
    ]
    for event in events:
        store.append_audit(event)
    first, token = store.audit(page_size=3)
    rest, end = store.audit(page_size=3, page_token=token)
    assert [*first, *rest] == events[:3:-1] and end == ""
