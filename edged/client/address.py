"""Addresses of daemons: "unix:PATH", or "HOST:PORT" on this machine."""

from __future__ import annotations

import ipaddress
from urllib.parse import quote

from edged.errors import InvalidInput


def channel_target(address: str) -> str:
    """The gRPC target of an address; no name is ever looked up.

    Raises InvalidInput for anything but a unix socket or a loopback address: the connection is not encrypted.
    """
    if address.startswith("unix:"):
        return "unix:" + quote(address.removeprefix("unix:"))
    host, _, port = address.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        ip = None
    if ip is None or not ip.is_loopback or not port.isascii() or not port.isdigit():
        raise InvalidInput(
            f"{address!r} is no daemon's address: write unix:PATH, or HOST:PORT with a loopback HOST such as 127.0.0.1",
            field="address",
        )
    return f"ipv6:[{ip}]:{port}" if ip.version == 6 else f"ipv4:{ip}:{port}"
