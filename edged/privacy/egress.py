"""What may be reached: pure decisions, taken from the configuration. `sandbox` and `audit` carry them out."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from edged.config import Config

_LOCAL_FAMILIES = frozenset({socket.AF_UNIX, socket.AF_NETLINK})
"""Sockets that cannot leave the machine: files, and the kernel itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """The rules of one daemon."""

    bind_ports: frozenset[int]
    """TCP ports it may listen on; port 0 stands for any that the kernel picks."""

    def may_connect(self, family: int, address: object) -> bool:
        """Whether a socket of this family may talk to this address (as the socket module writes it)."""
        if family in _LOCAL_FAMILIES:
            return True
        return isinstance(address, tuple) and bool(address) and self.may_resolve(address[0])

    def may_resolve(self, host: object) -> bool:
        """Whether this host may be handed to the resolver: only what needs no look-up, loopback in digits."""
        if isinstance(host, bytes):
            host = host.decode("ascii", "replace")
        try:
            return ipaddress.ip_address(str(host)).is_loopback
        except ValueError:
            return False


def egress_of(config: Config) -> Egress:
    """What this configuration lets out: no connection at all, and listening where daemon.tcp and [wyoming] say."""
    addresses = [*([config.tcp_address] if config.tcp_address else []), *config.wyoming_addresses.values()]
    return Egress(bind_ports=frozenset(port for _, port in addresses))
