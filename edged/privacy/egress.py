"""What may be reached: pure decisions, taken from the configuration. `sandbox` and `audit` carry them out."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from edged.config import Config

_LOCAL_FAMILIES = frozenset({socket.AF_UNIX, socket.AF_NETLINK})
"""Sockets that cannot leave the machine: files, and the kernel itself."""
MDNS_PORT = 5353
_MDNS_GROUPS = frozenset({"224.0.0.251", "ff02::fb"})
"""RFC 6762."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """The rules of one daemon."""

    bind_ports: frozenset[int]
    """TCP ports it may listen on; port 0 stands for any that the kernel picks."""
    connect_to: frozenset[tuple[str, int]] = frozenset()
    """IP addresses and TCP ports beside loopback that it may reach: those of the camera."""
    announces: bool = False
    """Whether it may tell those on the same network, by mDNS, that it is there."""

    @property
    def uses_tcp(self) -> bool:
        """Whether there is a port to listen on or to connect to at all."""
        return bool(self.bind_ports or self.connect_to)

    def may_open(self, family: int, kind: int) -> bool:
        """Whether there may be such a socket; those that are inherited have a family and a kind of -1."""
        if family in (-1, *_LOCAL_FAMILIES):
            return True
        # The kind may carry flags on its way to the kernel.
        kind &= ~(socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        is_internet = family in (socket.AF_INET, socket.AF_INET6)
        return is_internet and (kind == socket.SOCK_STREAM or (kind == socket.SOCK_DGRAM and self.announces))

    def may_connect(self, family: int, address: object) -> bool:
        """Whether a socket of this family may talk to this address (as the socket module writes it)."""
        if family in _LOCAL_FAMILIES:
            return True
        if not isinstance(address, tuple) or not address:
            return False
        return any(address[:2] == one for one in self.connect_to) or self._is_loopback(address[0])

    def may_announce(self, from_port: int, address: object) -> bool:
        """Whether a datagram socket of this port may send to this address: mDNS to its groups, and to who asked nearby.

        What mDNS says is a name, ports and addresses, of nobody's conversations.
        """
        if not self.announces or from_port != MDNS_PORT or not isinstance(address, tuple) or not address:
            return False
        host = str(address[0]).partition("%")[0]
        if host in _MDNS_GROUPS:
            return True
        try:
            ip = ipaddress.ip_address(host)
        except ValueError:
            return False
        return ip.is_private or ip.is_link_local

    def may_resolve(self, host: object) -> bool:
        """Whether this host may be handed to the resolver: only what needs no look-up, addresses in digits."""
        if isinstance(host, bytes):
            host = host.decode("ascii", "replace")
        return self._is_loopback(host) or any(host == address for address, _ in self.connect_to)

    @staticmethod
    def _is_loopback(host: object) -> bool:
        try:
            return ipaddress.ip_address(str(host)).is_loopback
        except ValueError:
            return False


def egress_of(config: Config) -> Egress:
    """What this configuration lets out: no connection but to its camera; listening where daemon.tcp and others say."""
    single = [address for address in (config.tcp_address, config.http_address) if address]
    addresses = [*single, *config.wyoming_addresses.values()]
    ports = {port for _, port in addresses}
    if config.lan.enabled:
        ports |= {config.lan.grpc_port, config.lan.web_port}
    camera = config.camera_source
    address = camera.address if camera else None
    return Egress(
        bind_ports=frozenset(ports),
        connect_to=frozenset([address] if address else []),
        announces=config.lan.enabled and config.lan.announce,
    )
