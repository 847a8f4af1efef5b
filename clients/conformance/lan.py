"""The doors for paired devices, and an operator that lets in whoever knows the code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from edged.client import Client
from edged.config import Config, LanConfig, Paths
from edged.daemon.lan import Lan
from edged.records import DeviceKind, PairingCandidate
from edged.server import Server
from edged.server.device_registry import DeviceRegistry

CLAIM_SECONDS = 5.0
"""What a device that was let in gets to fetch its certificate, before the next pairing takes the place of its own."""


class PairingWatch:
    """Pairs, one device after the other, and knows what became of them."""

    def __init__(self, registry: DeviceRegistry, address: str, tell: Callable[[str], None]) -> None:
        """address: of the operator's own socket. tell: what whoever tries a client has to know."""
        self._registry = registry
        self._address = address
        self._tell = tell

    @property
    def has_paired(self) -> bool:
        """A program, with a certificate."""
        return any(device.kind is DeviceKind.PROGRAM for device in self._registry.list())

    @property
    def has_called(self) -> bool:
        """A paired program used its certificate."""
        return any(device.kind is DeviceKind.PROGRAM and device.last_seen_at for device in self._registry.list())

    async def run(self) -> None:
        """Until cancelled."""
        async with Client(self._address) as operator:
            while True:
                offer = await operator.devices.open_pairing()
                self._tell(f"pair with {offer.addresses[0]}, code {offer.code}, or {offer.link}")
                async with aclosing(operator.devices.watch_pairing(offer.pairing_id)) as events:
                    async for event in events:
                        if isinstance(event, PairingCandidate):
                            self._tell(f"{event.device_name} must show {event.short_string}")
                            await operator.devices.confirm_pairing(offer.pairing_id, event.short_string)
                await asyncio.sleep(CLAIM_SECONDS)


def lan_doors(folder: Path, registry: DeviceRegistry, ports: tuple[int, int]) -> Lan:
    """On loopback. ports: for gRPC and for the web; neither may be 0, since clients are told of them."""
    paths = Paths(state=folder, config=folder, runtime=folder, engines=())
    lan = LanConfig(enabled=True, host="127.0.0.1", grpc_port=ports[0], web_port=ports[1], announce=False)
    return Lan(Config(paths=paths, lan=lan), registry, asyncio.get_running_loop())


@asynccontextmanager
async def open_doors(lan: Lan, server: Server, watch: PairingWatch) -> AsyncIterator[None]:
    """The web port, and the operator at the desk, for as long as the block lasts."""
    lan.listen(server)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(lan.run()), tasks.create_task(watch.run())]
        try:
            yield
        finally:
            await lan.close(0)
            for task in running:
                task.cancel()
