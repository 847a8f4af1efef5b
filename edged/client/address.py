"""Addresses of daemons: "unix:PATH", or "HOST:PORT"."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import quote

from edged.errors import InvalidInput

_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
MAX_NAME_CHARACTERS = 253


def channel_target(address: str) -> str:
    """The gRPC target of an address on this machine; no name is ever looked up.

    Raises InvalidInput for anything but a unix socket or a loopback address: the connection is not encrypted.
    """
    if address.startswith("unix:"):
        return "unix:" + quote(address.removeprefix("unix:"))
    host, port = parse_address(address)
    ip = _ip_address("127.0.0.1" if host == "localhost" else host)
    if ip is None or not ip.is_loopback:
        raise InvalidInput(
            f"{address!r} is not on this machine: write unix:PATH, or HOST:PORT with a loopback HOST such as "
            "127.0.0.1; daemons elsewhere have to be paired with (`edged join`)",
            field="address",
        )
    return target_of([str(ip)], port)


def parse_address(address: str, default_port: int | None = None) -> tuple[str, int]:
    """Host and port of "HOST:PORT", or of "HOST" where there is a default; IPv6 in brackets where a port follows.

    Raises InvalidInput.
    """
    host, colon, port = address.rpartition(":")
    if default_port is not None and (not colon or address.endswith("]") or _ip_address(address)):
        host, port = address, str(default_port)
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    is_host = _ip_address(host) or (len(host) <= MAX_NAME_CHARACTERS and _NAME.fullmatch(host))
    if not is_host or not port.isascii() or not port.isdigit() or not 0 < len(port) <= 5 or not 0 < int(port) < 65536:
        raise InvalidInput(
            f"{address[:80]!r} is no daemon's address: write HOST:PORT, e.g. 192.168.1.20:8443", field="address"
        )
    return host, int(port)


def target_of(addresses: Sequence[str], port: int) -> str:
    """The gRPC target of IP addresses that are all of one version."""
    if ":" in addresses[0]:
        return "ipv6:" + ",".join(f"[{address.replace('%', '%25')}]:{port}" for address in addresses)
    return "ipv4:" + ",".join(f"{address}:{port}" for address in addresses)


def join_address(host: str, port: int) -> str:
    """HOST:PORT, as `parse_address` takes it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
