"""Channels to daemons: plain on this machine, TLS with certificates on both sides elsewhere."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass, field

import grpc

from edged.client.address import channel_target, parse_address, target_of
from edged.errors import InvalidInput, Unavailable

CERTIFIED_NAME = "edged"
"""In every daemon's certificate; whose it is says the CA alone, so that addresses may change."""
CONNECT_MS = 5000
"""For a connection and its handshake."""
_OPTIONS = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.use_local_subchannel_pool", 1),  # a new client tries at once, whatever befell the one before
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_receive_message_length", -1),  # a conversation is as long as it is
    ("grpc.max_send_message_length", -1),  # the daemon says what is too long
]
_PLAIN_OPTIONS = [*_OPTIONS, ("grpc.min_reconnect_backoff_ms", 100)]
_SECURE_OPTIONS = [
    *_OPTIONS,
    ("grpc.ssl_target_name_override", CERTIFIED_NAME),
    ("grpc.min_reconnect_backoff_ms", CONNECT_MS),  # grpc gives up an attempt after as long
    ("grpc.keepalive_time_ms", 20_000),  # a Wi-Fi that is gone says nothing
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """By which a daemon elsewhere and this program know each other; all in PEM."""

    ca_certificate: bytes
    """The daemon's own CA: no other is trusted."""
    certificate: bytes
    """What the daemon gave this program at pairing."""
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Raises InvalidInput for what is no PEM: for an empty CA, gRPC would take those that the system trusts."""
        for name in ("ca_certificate", "certificate", "key"):
            if b"-----BEGIN " not in getattr(self, name):
                raise InvalidInput(f"{name} is not in PEM", field=name)


def check_address(address: str, credentials: Credentials | None) -> None:
    """Raises InvalidInput where no channel can lead there; nothing is looked up yet."""
    if credentials is None:
        channel_target(address)
    else:
        parse_address(address)


async def open_channel(address: str, credentials: Credentials | None) -> grpc.aio.Channel:
    """A channel, which connects with its first call. Raises InvalidInput, Unavailable for a name that nobody knows."""
    if credentials is None:
        return grpc.aio.insecure_channel(channel_target(address), options=_PLAIN_OPTIONS)
    secrets = grpc.ssl_channel_credentials(credentials.ca_certificate, credentials.key, credentials.certificate)
    return grpc.aio.secure_channel(await _looked_up(address), secrets, options=_SECURE_OPTIONS)


def pem_of(certificate: bytes) -> bytes:
    """Of DER."""
    return ssl.DER_cert_to_PEM_cert(certificate).encode("ascii")


async def _looked_up(address: str) -> str:
    """The target. grpc's own resolver knows no names of mDNS, the system's does."""
    host, port = parse_address(address)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as exc:
        raise InvalidInput(f"{address!r} is no daemon's address: this is no host name", field="address") from exc
    except OSError as exc:
        raise Unavailable(f"no host named {host} is known here: write the daemon's IP address") from exc
    families = {family for family, *_ in found}
    family = socket.AF_INET if socket.AF_INET in families else socket.AF_INET6  # a target is of one of them
    return target_of(list(dict.fromkeys(str(end[0]) for kind, _, _, _, end in found if kind == family)), port)
