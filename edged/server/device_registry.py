"""Which devices are paired, held in memory: each call is identified without waiting for the disk."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from edged.errors import InvalidInput, NotFound, QueueFull, StoreError, Unauthenticated
from edged.records import AuditEvent, Device, DeviceKind, Scope
from edged.server.call_border import NOT_PAIRED
from edged.store.devices import KnownDevice, checked_device_name, no_device

MAX_DEVICES = 256
LOOK_SECONDS = 10.0
"""Between two looks whether a device has expired."""
SEEN_SECONDS = 60.0
"""Between two times that it is written down when devices were last seen."""

RENEWAL_SECONDS = 3600.0
"""Between two times that the audit log says that a device has a new certificate: one that renews without end would
push all else out of it."""

_log = logging.getLogger("edged.server")


class DeviceStore(Protocol):
    """Where devices are kept. What a call returned from is durable."""

    async def devices(self) -> tuple[KnownDevice, ...]:
        """All."""
        ...

    async def add_device(self, known: KnownDevice) -> None:
        """One more."""
        ...

    async def update_device(self, known: KnownDevice) -> None:
        """All of it but when it was seen."""
        ...

    async def delete_device(self, device_id: str) -> None:
        """Leave nothing of it."""
        ...

    async def mark_seen(self, seen: dict[str, datetime]) -> None:
        """By id."""
        ...

    async def append_audit(self, event: AuditEvent) -> None:
        """Write down what happened."""
        ...

    async def audit(self, *, page_size: int, page_token: str) -> tuple[tuple[AuditEvent, ...], str]:
        """A page, newest first, and the token of the next one or ""."""
        ...


class DeviceRegistry:
    """Of one daemon; use `open`, and `run` it in the daemon's TaskGroup."""

    def __init__(self, store: DeviceStore, known: tuple[KnownDevice, ...]) -> None:
        self._store = store
        self._known = {one.device.id: one for one in known}
        self._owners: dict[bytes, str] = {}
        for one in known:
            self._recognise(one)
        self._seen: dict[str, datetime] = {}
        self._promoted: set[str] = set()
        self._expired: set[str] = set()
        self._renewals: dict[str, float] = {}
        """When they were last noted, by the loop's clock."""
        self._leaving: dict[str, Device] = {}
        """Revoked, and not yet gone from the disk."""
        self._changing = asyncio.Lock()
        self.on_change: Callable[[str, Device | None], None] = lambda device_id, now: None
        """Is told what became of a device, None where it may do nothing any more: its calls are to be broken off."""

    @classmethod
    async def open(cls, store: DeviceStore) -> DeviceRegistry:
        """With the devices of the store. Raises StoreError."""
        return cls(store, await store.devices())

    def identify(self, credential: bytes) -> Device:
        """The device with this SHA-256 of a certificate or a token. Raises Unauthenticated."""
        known = self._known.get(self._owners.get(credential, ""))
        now = datetime.now(UTC)
        if known is None or _is_over(known.device, now):
            raise Unauthenticated(NOT_PAIRED)
        if credential == known.next_credential:
            self._promote(known)
        self._seen[known.device.id] = now
        return known.device

    def list(self) -> tuple[Device, ...]:
        """All, by name."""
        devices = (self._as_seen(one.device) for one in self._known.values())
        return tuple(sorted(devices, key=lambda device: (device.name.casefold(), device.id)))

    async def add(
        self,
        *,
        device_id: str,
        name: str,
        kind: DeviceKind,
        person: str,
        scopes: frozenset[Scope],
        expires_at: datetime | None,
        credential: bytes,
        address: str,
    ) -> Device:
        """Let a device in; a name that is taken gets a number. Raises InvalidInput, QueueFull for one too many."""
        async with self._changing:
            if len(self._known) >= MAX_DEVICES:
                raise QueueFull(f"{MAX_DEVICES} devices are paired: `edged devices revoke` makes room")
            device = Device(
                id=device_id,
                name=self._free_name(checked_device_name(name)),
                kind=kind,
                person=checked_device_name(person, field="person") if person else "",
                scopes=scopes,
                created_at=datetime.now(UTC),
                expires_at=expires_at,
            )
            known = KnownDevice(device=device, credential=credential)
            await self._store.add_device(known)
            self._known[device_id] = known
            self._recognise(known)
        await self._noted("paired", device, address)  # it is in, whatever becomes of the log
        return device

    async def replace_credential(self, device_id: str, credential: bytes) -> None:
        """Recognise it by another one; the old one is good until this is shown. Raises NotFound."""
        async with self._changing:
            known = await self._change(device_id, lambda now: replace(now, next_credential=credential))
        time = asyncio.get_running_loop().time()
        if time - self._renewals.get(device_id, -math.inf) >= RENEWAL_SECONDS:
            self._renewals[device_id] = time
            await self.note("renewed", device=known.device)

    async def update(
        self,
        device_id: str,
        *,
        name: str | None = None,
        person: str | None = None,
        scopes: frozenset[Scope] | None = None,
        **expiry: datetime | None,
    ) -> Device:
        """Change what is given; expires_at=None is never. Raises NotFound, InvalidInput."""
        changes: dict[str, Any] = dict(expiry)
        if scopes is not None:
            changes["scopes"] = scopes
        if person is not None:
            changes["person"] = checked_device_name(person, field="person") if person else ""
        async with self._changing:
            device = self._require(device_id).device
            if name is not None and (line := checked_device_name(name)) != device.name:
                changes["name"] = self._free_name(line)
            if _is_over(replace(device, **changes), datetime.now(UTC)):
                raise InvalidInput("expires_at is over already: revoke the device instead", field="expires_at")
            known = await self._change(device_id, lambda now: replace(now, device=replace(now.device, **changes)))
            self._expired.discard(device_id)
        self.on_change(device_id, known.device)
        await self.note("changed", device=known.device)
        return self._as_seen(known.device)

    async def revoke(self, device_id: str) -> None:
        """Forget it: from here on, though the disk may take its time. Raises NotFound.

        Raises StoreError where the disk still knows it; `run` tries again, and so may the caller.
        """
        if device_id not in self._leaving:
            self._leaving[device_id] = self._require(device_id).device
            self._forget(device_id)
            del self._known[device_id]
            self._seen.pop(device_id, None)
            self._promoted.discard(device_id)
            self._expired.discard(device_id)
            self._renewals.pop(device_id, None)
            self.on_change(device_id, None)
        await self._erase(device_id)

    async def note(self, action: str, *, device: Device | None = None, name: str = "", address: str = "") -> None:
        """Write into the audit log."""
        await self._store.append_audit(
            AuditEvent(
                time=datetime.now(UTC),
                action=action,
                device_id=device.id if device else "",
                device_name=device.name if device else name,
                address=address,
            )
        )

    async def audit(self, page_size: int, page_token: str) -> tuple[tuple[AuditEvent, ...], str]:
        """A page of what happened, newest first, and the token of the next one or "". Raises InvalidInput."""
        return await self._store.audit(page_size=page_size, page_token=page_token)

    async def run(self) -> None:
        """Look for devices whose time is over, and write down when they were seen, until cancelled."""
        loop = asyncio.get_running_loop()
        written_at = loop.time()
        try:
            while True:
                await self._end_expired()
                if loop.time() - written_at >= SEEN_SECONDS:
                    await self._write_down()
                    written_at = loop.time()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await self._write_down()

    async def _end_expired(self) -> None:
        now = datetime.now(UTC)
        over = [one.device for one in self._known.values() if _is_over(one.device, now)]
        self._expired &= {device.id for device in over}  # clocks are set back
        for device in over:
            if device.id not in self._expired:
                self._expired.add(device.id)
                self.on_change(device.id, None)
                await self._noted("expired", device)

    async def _noted(self, action: str, device: Device, address: str = "") -> None:
        try:
            await self.note(action, device=device, address=address)
        except StoreError as exc:
            _log.warning("the audit log cannot be written: %s", exc.message)

    async def _change(self, device_id: str, changed: Callable[[KnownDevice], KnownDevice]) -> KnownDevice:
        """Durable, then in force. Raises NotFound, also for one that is revoked meanwhile."""
        written: KnownDevice | None = None
        while (known := changed(self._require(device_id))) != written:  # it may show its new certificate meanwhile
            await self._store.update_device(known)
            written = known
        self._forget(device_id)
        self._known[device_id] = known
        self._recognise(known)
        return known

    async def _erase(self, device_id: str) -> None:
        async with self._changing:  # what was being written about it comes first
            if device := self._leaving.get(device_id):
                with contextlib.suppress(NotFound):  # a call that was cancelled did it
                    await self._store.delete_device(device_id)
                await self.note("revoked", device=device)
                del self._leaving[device_id]

    async def _write_down(self) -> None:
        """What the disk does not know yet."""
        seen, self._seen = self._seen, {}
        promoted, self._promoted = self._promoted, set()
        for device_id, time in seen.items():
            if known := self._known.get(device_id):
                self._known[device_id] = replace(known, device=replace(known.device, last_seen_at=time))
        try:
            for device_id in tuple(self._leaving):
                await self._erase(device_id)
            if seen:
                await self._store.mark_seen(seen)
            async with self._changing:  # nothing newer is overwritten
                for device_id in promoted:
                    if known := self._known.get(device_id):
                        await self._store.update_device(known)
        except StoreError as exc:
            self._promoted |= promoted & self._known.keys()
            _log.warning("what became of devices cannot be written down: %s", exc.message)

    def _promote(self, known: KnownDevice) -> None:
        """The new certificate has arrived: the old one is worth nothing from here on."""
        assert known.next_credential is not None
        self._forget(known.device.id)
        newer = replace(known, credential=known.next_credential, next_credential=None)
        self._known[known.device.id] = newer
        self._recognise(newer)
        self._promoted.add(known.device.id)

    def _recognise(self, known: KnownDevice) -> None:
        for credential in (known.credential, known.next_credential):
            if credential is not None:
                self._owners[credential] = known.device.id

    def _forget(self, device_id: str) -> None:
        self._owners = {credential: owner for credential, owner in self._owners.items() if owner != device_id}

    def _require(self, device_id: str) -> KnownDevice:
        try:
            return self._known[device_id]
        except KeyError:
            raise no_device(device_id) from None

    def _as_seen(self, device: Device) -> Device:
        return replace(device, last_seen_at=self._seen.get(device.id, device.last_seen_at))

    def _free_name(self, name: str) -> str:
        taken = {one.device.name.casefold() for one in self._known.values()}
        number, free = 1, name
        while free.casefold() in taken:
            number += 1
            free = f"{name} {number}"
        return free


def _is_over(device: Device, now: datetime) -> bool:
    return device.expires_at is not None and device.expires_at <= now
