"""Daemons on the LAN that say by mDNS that they are here (extra client). Anybody can say so: only pairing tells."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from ipaddress import ip_address

from zeroconf import Error, IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from edged.client.address import join_address
from edged.errors import Unavailable

SERVICE = "_edged._tcp.local."
VERSION = b"1"
"""Of the TXT record that is understood here."""
MAX_DAEMONS = 64
"""Further ones are ignored."""
MAX_ADDRESSES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A daemon, as it describes itself."""

    name: str
    """Shown to people."""
    addresses: tuple[str, ...]
    """IP addresses of private networks."""
    web_port: int
    grpc_port: int

    @property
    def web_address(self) -> str:
        """HOST:PORT to pair with."""
        return join_address(self.addresses[0], self.web_port)

    @property
    def grpc_addresses(self) -> tuple[str, ...]:
        """HOST:PORT for each address."""
        return tuple(join_address(address, self.grpc_port) for address in self.addresses)


async def discover(seconds: float) -> tuple[Found, ...]:
    """All that answer within that time, by name. Raises Unavailable where the network carries no multicast."""
    names: set[str] = set()

    def changed(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change is ServiceStateChange.Removed:
            names.discard(name)
        elif len(names) < MAX_DAEMONS:
            names.add(name)

    try:
        zeroconf = AsyncZeroconf(ip_version=IPVersion.V4Only)
    except (OSError, Error, RuntimeError) as exc:  # the last where there is no network at all
        raise Unavailable("this network cannot be searched: name the daemon's address, as `edged pair` shows") from exc
    try:
        browser = AsyncServiceBrowser(zeroconf.zeroconf, SERVICE, handlers=[changed])
        await asyncio.sleep(seconds / 2)
        infos = [AsyncServiceInfo(SERVICE, name) for name in sorted(names)]
        await asyncio.gather(*(info.async_request(zeroconf.zeroconf, 500 * seconds) for info in infos))
        await browser.async_cancel()
    finally:
        await zeroconf.async_close()
    found = filter(None, map(_understood, infos))
    return tuple(sorted(found, key=lambda daemon: daemon.name.casefold()))


def _understood(info: AsyncServiceInfo) -> Found | None:
    """None for what is incomplete, or of a later version."""
    told = info.parsed_addresses(IPVersion.V4Only)[:MAX_ADDRESSES]
    addresses = tuple(address for address in told if ip_address(address).is_private)  # nobody here leads elsewhere
    ports = [_port(info.properties.get(key)) for key in (b"web", b"grpc")]
    if not addresses or info.properties.get(b"v") != VERSION or not all(ports):
        return None
    name = info.name.removesuffix(f".{SERVICE}")
    return Found(
        name="".join(letter for letter in name if letter.isprintable()),
        addresses=addresses,
        web_port=ports[0],
        grpc_port=ports[1],
    )


def _port(value: bytes | None) -> int:
    """0 for none."""
    is_number = value is not None and 0 < len(value) <= 5 and value.isdigit()
    return int(value) if value and is_number and int(value) < 65536 else 0
