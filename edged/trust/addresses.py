"""What this machine is called, and where on its networks it is reached; asks the kernel and nobody else."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import ifaddr

ROUTES = Path("/proc/net/route")
IPV6_ADDRESSES = Path("/proc/net/if_inet6")
_UP = 1
"""RTF_UP in a route's flags."""
_TEMPORARY = 1
"""IFA_F_TEMPORARY in an address's flags: RFC 8981."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceAddress:
    """An address that a network interface has."""

    interface: str
    ip: str
    """Without the zone that link-local ones of IPv6 need."""


def host_name() -> str:
    """As this machine calls itself, without a domain."""
    return socket.gethostname().partition(".")[0]


def own_addresses() -> tuple[str, ...]:
    """IP addresses, the one first that devices on the LAN most likely reach; link-local ones of IPv6 with their zone.

    Those of this machine alone (loopback) come last. Temporary ones of IPv6, which change each day, are left out: a
    certificate that names them would have to be made, and compared by people, anew as often.
    """
    passing = _temporary(_text(IPV6_ADDRESSES))
    found = (
        InterfaceAddress(interface=adapter.name, ip=ip.ip if isinstance(ip.ip, str) else ip.ip[0])
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    )
    lasting = (address for address in found if ip_address(address.ip) not in passing)
    return most_likely_first(lasting, _leading_out(_text(ROUTES)))


def most_likely_first(found: Iterable[InterfaceAddress], leading_out: Collection[str]) -> tuple[str, ...]:
    """Private ones of IPv4 before all others, link-local and loopback last.

    leading_out: interfaces with a default route; those of containers and virtual machines have none.
    """

    def rank(address: InterfaceAddress) -> tuple[bool, ...]:
        ip = ip_address(address.ip)
        is_lan = isinstance(ip, IPv4Address) and ip.is_private and not ip.is_link_local
        return (ip.is_loopback, ip.is_link_local, not is_lan, address.interface not in leading_out, ip.version == 6)

    return tuple(dict.fromkeys(_with_zone(address) for address in sorted(found, key=rank)))


def endpoint(host: str, port: int) -> str:
    """HOST:PORT, with brackets where the host is an address of IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _with_zone(address: InterfaceAddress) -> str:
    ip = ip_address(address.ip)
    return f"{address.ip}%{address.interface}" if isinstance(ip, IPv6Address) and ip.is_link_local else address.ip


def _text(table: Path) -> str:
    """One of the kernel's; empty where it has none."""
    return table.read_text(encoding="ascii") if table.exists() else ""


def _temporary(addresses: str) -> set[IPv4Address | IPv6Address]:
    """From the kernel's table of IPv6: address, number of the interface, length of the prefix, scope, flags, name."""
    rows = [line.split() for line in addresses.splitlines()]
    return {IPv6Address(int(row[0], 16)) for row in rows if len(row) == 6 and int(row[4], 16) & _TEMPORARY}


def _leading_out(routes: str) -> set[str]:
    """Interfaces with a default route of IPv4, from the kernel's table."""
    rows = [line.split() for line in routes.splitlines()[1:]]
    return {row[0] for row in rows if len(row) > 7 and row[1] == row[7] == "00000000" and int(row[3], 16) & _UP}
