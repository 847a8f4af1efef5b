"""A store of devices that lives in a dictionary."""

from __future__ import annotations

import asyncio
from datetime import datetime

from edged.records import AuditEvent
from edged.server.device_registry import DeviceRegistry
from edged.store.devices import KnownDevice, no_device


class DictDevices:
    """Satisfies `edged.server.device_registry.DeviceStore`; `error` is raised by what writes.

    With `is_slow`, changes are made in the order in which they are asked for, and callers learn it later.
    """

    def __init__(self) -> None:
        self.known: dict[str, KnownDevice] = {}
        self.seen: dict[str, datetime] = {}
        self.events: list[AuditEvent] = []
        self.error: Exception | None = None
        self.is_slow = False

    async def devices(self) -> tuple[KnownDevice, ...]:
        return tuple(self.known.values())

    async def add_device(self, known: KnownDevice) -> None:
        self._write()
        self.known[known.device.id] = known

    async def update_device(self, known: KnownDevice) -> None:
        self._write()
        if known.device.id not in self.known:
            raise no_device(known.device.id)
        self.known[known.device.id] = known
        await self._wait()

    async def delete_device(self, device_id: str) -> None:
        self._write()
        if self.known.pop(device_id, None) is None:
            raise no_device(device_id)
        await self._wait()

    async def mark_seen(self, seen: dict[str, datetime]) -> None:
        self._write()
        self.seen.update(seen)

    async def append_audit(self, event: AuditEvent) -> None:
        self._write()
        self.events.append(event)

    async def audit(self, *, page_size: int, page_token: str) -> tuple[tuple[AuditEvent, ...], str]:
        return tuple(reversed(self.events)), ""

    def _write(self) -> None:
        if self.error:
            raise self.error

    async def _wait(self) -> None:
        if self.is_slow:
            await asyncio.sleep(0.01)


def no_devices() -> DeviceRegistry:
    """A registry that knows nobody yet."""
    return DeviceRegistry(DictDevices(), ())
