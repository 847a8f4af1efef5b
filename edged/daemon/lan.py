"""The doors for paired devices on the LAN put together: gRPC with certificates, the web port, and mDNS."""

from __future__ import annotations

import asyncio
import logging

from edged.config import Config
from edged.errors import ConfigError, MissingExtra, StoreError, Unavailable
from edged.server import Server
from edged.server.api_keys import KeyIssuer
from edged.server.device_registry import DeviceRegistry
from edged.server.listen import LanPort, device_credentials
from edged.server.server import SERVICES

try:
    from starlette.types import ASGIApp

    from edged.server.announce import Announcer
    from edged.server.openai.bearer import KeyHolders
    from edged.server.openai.door import Door
    from edged.server.pairing import PairingServicer
    from edged.server.web.server import WebServer
    from edged.trust.addresses import endpoint, host_name, own_addresses
    from edged.trust.authority import Authority
    from edged.trust.pairing import PairingDesk
except ModuleNotFoundError as exc:
    raise MissingExtra("the LAN needs an extra: `make setup` or pip install 'edged[web]'") from exc

PAIRING_SERVICE = "edged.v1.PairingService"
MDNS_NAME = "edged"
"""Told to the LAN where the operator chose no name: the machine's own is often somebody's."""
LOOK_SECONDS = 15.0
"""Between two looks whether this machine's addresses are others."""
RENEWAL_SECONDS = 3600.0
"""Between two looks whether the certificate ends soon."""

_log = logging.getLogger(__name__)


class Lan:
    """Of one daemon; nothing is bound before `listen`."""

    def __init__(self, config: Config, registry: DeviceRegistry, clock: asyncio.AbstractEventLoop) -> None:
        """Makes keys and certificates where there are none. Raises StoreError, ConfigError."""
        if config.lan.grpc_port == config.lan.web_port:
            raise ConfigError("lan.grpc_port and lan.web_port must differ")
        self._config = config.lan
        self._max_message_bytes = config.daemon.max_message_bytes
        self._registry = registry
        self.authority = Authority.open(config.paths.state / "trust", config.lan.name or host_name())
        self._named = [name.strip() for name in config.lan.hosts.split(",") if name.strip()]
        self._names = [*_without_zone(own_addresses()), *self._named]
        self._identity = self.authority.server_identity(self._names)
        self.desk = PairingDesk(
            registry=registry,
            issuer=self.authority,
            fingerprint=lambda: self._identity.fingerprint,
            addresses=self._web_addresses,
            clock=clock,
        )
        self._web: WebServer | None = None
        self.keys = KeyIssuer(registry, self._web_addresses) if config.http.lan else None
        """Makes keys for the HTTP API; None where that is not served here."""

    @property
    def grpc(self) -> LanPort:
        """For programs."""
        credentials = device_credentials(lambda: self._identity, self.authority.certificate_pem)
        return LanPort(host=self._config.host, port=self._config.grpc_port, credentials=credentials)

    def listen(self, server: Server, api: ASGIApp | None = None) -> str:
        """Take the web port for the services of that server, and say where. Raises AlreadyRunning, ConfigError.

        api: the HTTP API, None where it is not wanted.
        """
        door = Door(api, KeyHolders(self._registry), max_bytes=self._max_message_bytes) if api else None
        servicers = {service: server.servicers[service.rpartition(".")[2]] for service in SERVICES}
        self._web = WebServer(
            servicers={**servicers, PAIRING_SERVICE: PairingServicer(self.desk, self._config.grpc_port)},
            border=server.border,
            registry=self._registry,
            identity=self._identity,
            ca_certificate=self.authority.certificate,
            max_message_bytes=self._max_message_bytes,
            api=door,
        )
        kinds = "web, pairing, HTTP" if api else "web, pairing"
        return f"{self._web.listen(self._config.host, self._config.web_port)} ({kinds})"

    async def run(self) -> None:
        """Answer, and say on the LAN that a daemon is here, until cancelled."""
        assert self._web is not None
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._web.run())
            tasks.create_task(self._renew(self._web))
            if self._config.announce:
                tasks.create_task(self._announce())

    async def close(self, seconds: float) -> None:
        """Give answers that are under way some time, and cut off the rest."""
        if self._web:
            await self._web.close(seconds)

    async def _renew(self, web: WebServer) -> None:
        """A daemon may outlive its certificate. Its names stay as they are: people compare a fingerprint no oftener."""
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            try:
                identity = await asyncio.to_thread(self.authority.server_identity, self._names)
            except StoreError as exc:
                _log.warning("the certificate cannot be renewed: %s", exc.message)
                continue
            if identity != self._identity:
                self._identity = identity
                web.reload(identity)
                _log.info("the certificate was renewed: browsers are shown another fingerprint")

    async def _announce(self) -> None:
        """Anew where the addresses have changed: networks come late, and routers give out others."""
        announcer, told = None, None
        try:
            while True:
                hosts = self._hosts()
                if hosts != told:
                    if announcer:
                        await announcer.close()
                    announcer, told = self._announcer(hosts), hosts
                    await announcer.start()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            if announcer:
                await announcer.close()

    def _announcer(self, hosts: list[str]) -> Announcer:
        return Announcer(
            name=self._config.name or MDNS_NAME,
            host=f"{MDNS_NAME}-{self.authority.short_id}",
            addresses=hosts,
            grpc_port=self._config.grpc_port,
            web_port=self._config.web_port,
        )

    def _web_addresses(self) -> list[str]:
        """Those that the operator named first: others may be of a container. Raises Unavailable where there is none."""
        if not (hosts := dict.fromkeys((*self._named, *self._hosts()))):
            raise Unavailable("this machine has no network address: connect it to a network, then try again")
        return [endpoint(host, self._config.web_port) for host in hosts]

    def _hosts(self) -> list[str]:
        return [self._config.host] if self._config.host else _without_zone(own_addresses())


def _without_zone(addresses: tuple[str, ...]) -> list[str]:
    """Those that mean the same on every machine."""
    return [address for address in addresses if "%" not in address]
