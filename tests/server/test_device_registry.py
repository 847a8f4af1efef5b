"""Who is known, and how long: what is in force and what is durable, and in which order."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from edged.errors import InvalidInput, NotFound, QueueFull, StoreError, Unauthenticated
from edged.records import AuditEvent, Device, DeviceKind, Scope
from edged.server import device_registry
from edged.server.device_registry import DeviceRegistry
from edged.store import AsyncStore, KeySource
from tests.server.device_store import DictDevices
from tests.server.scripted import until

OLD, NEW = b"o" * 32, b"n" * 32


async def paired(
    registry: DeviceRegistry,
    device_id: str = "d1",
    *,
    name: str = "Phone",
    credential: bytes = OLD,
    expires_at: datetime | None = None,
) -> Device:
    return await registry.add(
        device_id=device_id,
        name=name,
        kind=DeviceKind.PROGRAM,
        person="",
        scopes=frozenset({Scope.CHAT}),
        expires_at=expires_at,
        credential=credential,
        address="192.168.1.9",
    )


@pytest.fixture
def store() -> DictDevices:
    return DictDevices()


@pytest.fixture
def registry(store: DictDevices) -> DeviceRegistry:
    return DeviceRegistry(store, ())


async def run_once(registry: DeviceRegistry) -> None:
    """As a daemon that ends at once."""
    running = asyncio.create_task(registry.run())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def is_known(registry: DeviceRegistry, credential: bytes) -> bool:
    try:
        registry.identify(credential)
    except Unauthenticated:
        return False
    return True


async def test_a_device_is_known_by_its_credential_and_by_no_other(registry: DeviceRegistry) -> None:
    device = await paired(registry)
    assert registry.identify(OLD) == device
    assert registry.list()[0].last_seen_at is not None
    for other in (NEW, b"", OLD[:31], OLD + b"o"):
        assert not is_known(registry, other)


async def test_what_was_added_is_there_after_a_restart(tmp_path: Path) -> None:
    source = KeySource(kind="file", directory=tmp_path / "key")
    store = await AsyncStore.open(tmp_path, source)
    registry = await DeviceRegistry.open(store)
    device = await paired(registry, expires_at=datetime.now(UTC) + timedelta(days=1))
    await registry.update("d1", name="Tablet", person="Anna", scopes=frozenset({Scope.VOICE, Scope.HISTORY}))
    registry.identify(OLD)
    await run_once(registry)
    before = registry.list()
    await store.close()

    store = await AsyncStore.open(tmp_path, source)
    again = await DeviceRegistry.open(store)
    assert again.list() == before
    assert again.identify(OLD).owner == "person:Anna"
    assert (again.list()[0].created_at, again.list()[0].expires_at) == (device.created_at, device.expires_at)
    await again.revoke("d1")
    events, token = await again.audit(0, "")
    assert [event.action for event in events] == ["revoked", "changed", "paired"] and not token
    assert events[-1].address == "192.168.1.9" and events[0].device_name == "Tablet"
    assert (await DeviceRegistry.open(store)).list() == ()
    await store.close()


async def test_nobody_is_let_in_before_the_disk_knows(registry: DeviceRegistry, store: DictDevices) -> None:
    store.error = StoreError("the disk is full")
    with pytest.raises(StoreError):
        await paired(registry)
    assert not is_known(registry, OLD) and registry.list() == ()


@pytest.mark.parametrize("is_asked_again", [True, False])
async def test_revoking_waits_for_no_disk(registry: DeviceRegistry, store: DictDevices, is_asked_again: bool) -> None:
    await paired(registry)
    told: list[tuple[str, Device | None]] = []
    registry.on_change = lambda device_id, now: told.append((device_id, now))
    store.error = StoreError("the disk is full")
    with pytest.raises(StoreError):
        await registry.revoke("d1")
    assert not is_known(registry, OLD) and told == [("d1", None)] and store.known
    store.error = None
    await (registry.revoke("d1") if is_asked_again else run_once(registry))
    assert store.known == {} and told == [("d1", None)]
    assert [event.action for event in store.events] == ["paired", "revoked"]
    with pytest.raises(NotFound):
        await registry.revoke("d1")


async def test_who_gave_up_waiting_has_revoked(registry: DeviceRegistry, store: DictDevices) -> None:
    await paired(registry)
    store.is_slow = True
    changing = asyncio.create_task(registry.update("d1", person="Anna"))
    await asyncio.sleep(0)
    revoking = asyncio.create_task(registry.revoke("d1"))
    await asyncio.sleep(0)
    revoking.cancel()
    await asyncio.gather(changing, revoking, return_exceptions=True)
    assert not is_known(registry, OLD) and store.known
    await run_once(registry)
    assert store.known == {} and store.events[-1].action == "revoked"


async def test_a_change_that_meets_a_revocation_brings_nobody_back(registry: DeviceRegistry) -> None:
    await paired(registry)
    changing = asyncio.create_task(registry.replace_credential("d1", NEW))
    renaming = asyncio.create_task(registry.update("d1", name="Other"))
    await registry.revoke("d1")
    await asyncio.gather(changing, renaming, return_exceptions=True)
    assert not is_known(registry, OLD) and not is_known(registry, NEW) and registry.list() == ()


async def test_the_old_certificate_is_good_until_the_new_one_is_shown(registry: DeviceRegistry) -> None:
    await paired(registry)
    await registry.replace_credential("d1", NEW)
    assert is_known(registry, OLD)
    assert is_known(registry, NEW)
    assert not is_known(registry, OLD)
    assert is_known(registry, NEW)


async def test_who_renews_without_end_does_not_fill_the_log(registry: DeviceRegistry, store: DictDevices) -> None:
    await paired(registry)
    await paired(registry, "d2", credential=b"2" * 32)
    for n in range(5):
        await registry.replace_credential("d1", bytes([n]) * 32)
    await registry.replace_credential("d2", NEW)
    assert [event.device_id for event in store.events if event.action == "renewed"] == ["d1", "d2"]


async def test_who_lost_the_answer_to_a_renewal_renews_again(registry: DeviceRegistry) -> None:
    await paired(registry)
    await registry.replace_credential("d1", NEW)
    await registry.replace_credential("d1", b"x" * 32)
    assert is_known(registry, OLD) and not is_known(registry, NEW)
    assert is_known(registry, b"x" * 32) and not is_known(registry, OLD)


@pytest.mark.parametrize("is_renewed", [True, False])
async def test_a_certificate_shown_during_a_change_stays_good(
    registry: DeviceRegistry, store: DictDevices, is_renewed: bool
) -> None:
    await paired(registry)
    await registry.replace_credential("d1", NEW)
    store.is_slow = True
    later = b"l" * 32
    change = registry.replace_credential("d1", later) if is_renewed else registry.update("d1", person="Anna")
    changing = asyncio.create_task(change)
    await asyncio.sleep(0)
    assert is_known(registry, NEW)
    await changing
    assert is_known(registry, NEW) and not is_known(registry, OLD)
    assert store.known["d1"].credential == NEW and is_known(registry, later) is is_renewed


async def test_writing_down_who_was_seen_takes_no_change_back(registry: DeviceRegistry, store: DictDevices) -> None:
    await paired(registry)
    await registry.replace_credential("d1", NEW)
    assert is_known(registry, NEW)
    store.is_slow = True
    changing = asyncio.create_task(registry.update("d1", scopes=frozenset()))
    await asyncio.sleep(0)
    await run_once(registry)
    await changing
    assert store.known["d1"].device.scopes == frozenset() and store.known["d1"].credential == NEW


async def test_revoking_meets_the_writing_down_of_new_certificates(
    registry: DeviceRegistry, store: DictDevices
) -> None:
    for n in range(3):
        await paired(registry, f"d{n}", credential=bytes([n]) * 32)
        await registry.replace_credential(f"d{n}", bytes([n]) * 31 + b"n")
        assert is_known(registry, bytes([n]) * 31 + b"n")
    store.is_slow = True
    ending = asyncio.create_task(run_once(registry))
    await until(lambda: any(one.next_credential is None for one in store.known.values()))
    await asyncio.gather(*(registry.revoke(f"d{n}") for n in range(3)))
    await ending
    assert store.known == {}


async def test_an_expired_device_is_no_device_and_its_calls_end(
    registry: DeviceRegistry, store: DictDevices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_registry, "LOOK_SECONDS", 0.01)
    told: list[tuple[str, Device | None]] = []
    registry.on_change = lambda device_id, now: told.append((device_id, now))
    await paired(registry, expires_at=datetime.now(UTC) + timedelta(seconds=0.1))
    running = asyncio.create_task(registry.run())
    assert is_known(registry, OLD)
    await until(lambda: told)
    await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert told == [("d1", None)] and not is_known(registry, OLD)
    assert [event.action for event in store.events] == ["paired", "expired"]
    later = datetime.now(UTC) + timedelta(days=1)
    assert (await registry.update("d1", expires_at=later)).expires_at == later
    assert is_known(registry, OLD)


async def test_a_device_expires_again_when_the_clock_was_set_back(
    registry: DeviceRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Clock:
            return cls.fromtimestamp(seconds[0], tz)

    seconds, told = [1_000_000.0], []
    monkeypatch.setattr(device_registry, "datetime", Clock)
    registry.on_change = lambda device_id, now: told.append(device_id)
    await paired(registry, expires_at=datetime.fromtimestamp(1_000_010, UTC))
    for seconds[0] in (1_000_020.0, 1_000_000.0, 1_000_020.0):
        await registry._end_expired()
    assert told == ["d1", "d1"]


async def test_who_is_let_in_is_in_whatever_becomes_of_the_log(registry: DeviceRegistry, store: DictDevices) -> None:
    async def full(event: AuditEvent) -> None:
        raise StoreError("the disk is full")

    store.append_audit = full  # type: ignore[method-assign]
    assert (await paired(registry)).id == "d1" and is_known(registry, OLD)


async def test_names_are_made_unique_and_checked(registry: DeviceRegistry) -> None:
    names = [(await paired(registry, f"d{n}", credential=bytes([n]) * 32)).name for n in range(3)]
    assert names == ["Phone", "Phone 2", "Phone 3"]
    assert (await registry.update("d1", name="phone")).name == "phone 4"
    assert [device.name for device in registry.list()] == ["Phone", "Phone 3", "phone 4"]
    for name in ("", " \n", "x" * 61):
        with pytest.raises(InvalidInput):
            await registry.update("d0", name=name)
    with pytest.raises(InvalidInput):
        await registry.update("d0", expires_at=datetime.now(UTC))
    with pytest.raises(NotFound):
        await registry.update("nobody", name="x")
    with pytest.raises(NotFound):
        await registry.revoke("nobody")


async def test_there_is_an_end_to_it(registry: DeviceRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_registry, "MAX_DEVICES", 1)
    await paired(registry)
    with pytest.raises(QueueFull, match="revoke"):
        await paired(registry, "d2", credential=NEW)


async def test_a_log_that_cannot_be_written_holds_nothing_up(registry: DeviceRegistry, store: DictDevices) -> None:
    await paired(registry)
    registry.identify(OLD)
    store.error = StoreError("the disk is full")
    running = asyncio.create_task(registry.run())
    await asyncio.sleep(0.01)
    running.cancel()
    assert isinstance((await asyncio.gather(running, return_exceptions=True))[0], asyncio.CancelledError)
