"""The row of `edged doctor` about phones and desktops on the LAN."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from importlib.util import find_spec

from edged.cli.check import Check, Verdict, judged
from edged.config import Config
from edged.launch import listens


def lan_checks(config: Config) -> Iterator[Check]:
    """Nothing is made and nothing opened for good."""
    if not config.lan.enabled and listens(config.socket_path):
        yield judged("lan", "off in edged.toml; `edged status` says where the daemon that runs listens")
        return
    if not config.lan.enabled:
        yield judged("lan", "off: only this machine is served (`edged serve --lan` lets paired devices in)")
        return
    if not can_serve_the_lan():
        detail = "the LAN needs an extra: `make setup` or pip install 'edged[web]'"
        yield Check(name="lan", verdict=Verdict.FAIL, detail=detail)
        return
    yield _reached(config)


def can_serve_the_lan() -> bool:
    """Whether what that takes is installed; nothing of it is loaded."""
    return all(find_spec(module) for module in ("connectrpc", "cryptography", "spake2", "uvicorn", "zeroconf"))


def _reached(config: Config) -> Check:
    from edged.trust.addresses import endpoint, own_addresses

    addresses = [config.lan.host] if config.lan.host else list(own_addresses())
    near = next((address for address in addresses if "%" not in address and not _is_loopback(address)), "")
    if taken := [] if listens(config.socket_path) else _taken(config):
        advice = "end what uses it, or set lan.grpc_port and lan.web_port"
        return judged("lan", f"port {taken[0]} is in use", False, advice=advice)
    if not near:
        advice = "connect it to one, or set lan.host"
        return judged("lan", "this machine has no network", False, advice=advice, otherwise=Verdict.WARN)
    return judged(
        "lan", f"phones find the app at https://{endpoint(near, config.lan.web_port)}/ (`edged pair` pairs one)"
    )


def _taken(config: Config) -> list[int]:
    """Ports that somebody else has, while no daemon of ours runs."""
    found = []
    for port in (config.lan.web_port, config.lan.grpc_port):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((config.lan.host if ":" not in config.lan.host else "", port))
            except OSError as exc:
                found += [port] if exc.errno == errno.EADDRINUSE else []
    return found


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
