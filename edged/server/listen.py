"""Where the server can be reached: a socket for this user only; a loopback port, and one for devices, if wanted."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import grpc

from edged.errors import AlreadyRunning, ConfigError

MAX_PATH_BYTES = 107
"""sockaddr_un.sun_path holds 108 bytes, the last one zero (unix(7))."""
IPV6_ADDRESSES = Path("/proc/net/if_inet6")
"""Of this machine; the guard permits no bind to find out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanPort:
    """Where devices on the LAN reach the server, each with a certificate of its own."""

    host: str
    """IP address; "" for all of this machine's."""
    port: int
    credentials: grpc.ServerCredentials


class ServerIdentity(Protocol):
    """What both ports for devices show."""

    @property
    def certificate_pem(self) -> bytes:
        """X.509."""
        ...

    @property
    def key_pem(self) -> bytes:
        """PKCS #8, of the certificate."""
        ...


def device_credentials(shown: Callable[[], ServerIdentity], authority_pem: bytes) -> grpc.ServerCredentials:
    """Of a server that shakes hands with who has a certificate by this authority.

    shown: asked with each connection, from any thread.
    """
    last = shown()

    def newer() -> grpc.ServerCertificateConfiguration | None:
        nonlocal last
        if (now := shown()) is last:
            return None
        last = now
        return _configuration(now, authority_pem)

    return grpc.dynamic_ssl_server_credentials(_configuration(last, authority_pem), newer, True)


def _configuration(identity: ServerIdentity, authority_pem: bytes) -> grpc.ServerCertificateConfiguration:
    pair = (identity.key_pem, identity.certificate_pem)
    return grpc.ssl_server_certificate_configuration([pair], root_certificates=authority_pem)


def listen_unix(server: grpc.aio.Server, path: Path) -> str:
    """Bind the socket with mode 0600 and return its address, "unix:PATH".

    The caller holds the state directory's lock, so a socket on which nobody answers was left by a daemon
    that died, and is replaced. Raises AlreadyRunning or ConfigError.
    """
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise ConfigError(f"daemon.socket: {path} is longer than {MAX_PATH_BYTES} bytes; name a shorter path")
    if "," in str(path):
        raise ConfigError(f"daemon.socket: gRPC clients cannot reach a path with a comma: {path}")
    _private_directory(path.parent)
    _remove_stale(path)
    # The socket must not be open to others even for a moment, so a chmod after the bind would come too late.
    umask = os.umask(0o177)
    try:
        server.add_insecure_port("unix:" + quote(str(path)))
    except RuntimeError as exc:
        raise ConfigError(f"daemon.socket: cannot listen on {path}") from exc
    finally:
        os.umask(umask)
    return f"unix:{path}"


def listen_tcp(server: grpc.aio.Server, host: str, port: int) -> str:
    """Bind a loopback IP address and return "HOST:PORT" with the port really taken; port 0 takes any free one.

    Raises AlreadyRunning when another process has the port, ConfigError for any other address.
    """
    address = _loopback(host)
    bracketed = f"[{host}]" if address.version == 6 else host
    _check_free(host, port, socket.AF_INET6 if address.version == 6 else socket.AF_INET)
    try:
        taken = server.add_insecure_port(f"{bracketed}:{port}")
    except RuntimeError as exc:
        raise AlreadyRunning(f"daemon.tcp: cannot listen on {bracketed}:{port}") from exc
    return f"{bracketed}:{taken}"


def listen_lan(server: grpc.aio.Server, lan: LanPort) -> str:
    """Bind it and return "HOST:PORT" with the port really taken. Raises AlreadyRunning, ConfigError."""
    host, port = lan.host or every_address(), lan.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    _check_free(host, port, family, key="lan.grpc_port")
    bracketed = f"[{host}]" if family == socket.AF_INET6 else host
    try:
        taken = server.add_secure_port(f"{bracketed}:{port}", lan.credentials)
    except RuntimeError as exc:
        raise AlreadyRunning(f"lan.grpc_port: cannot listen on {bracketed}:{port}") from exc
    return f"{bracketed}:{taken}"


def every_address() -> str:
    """What stands for all addresses: of both versions where this machine has version 6."""
    if IPV6_ADDRESSES.exists() and IPV6_ADDRESSES.read_text():
        return "::"
    return "0.0.0.0"  # noqa: S104  # asked for by lan.host = ""


def _private_directory(directory: Path) -> None:
    """Create the directory for this user only; refuse one in which others could put a socket of their own."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
    except OSError as exc:
        raise ConfigError(f"daemon.socket: cannot use {directory}: {exc.strerror}") from exc
    foreign = status.st_uid not in (os.getuid(), 0)
    open_to_others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX
    if foreign or open_to_others:
        raise ConfigError(f"daemon.socket: others can write to {directory}; name a path in a directory of your own")


def _remove_stale(path: Path) -> None:
    """grpc unlinks whatever socket it finds, so look first whether somebody answers on it."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ConfigError(f"daemon.socket: {path} exists and is no socket; move it away or name another path")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
                return
            except OSError as exc:
                raise ConfigError(f"daemon.socket: cannot use {path}: {exc.strerror or exc}") from exc
        raise AlreadyRunning(f"another daemon answers on {path}; end it or set daemon.socket")


def _loopback(host: str) -> IPv4Address | IPv6Address:
    with suppress(ValueError):
        address = ip_address(host)
        if address.is_loopback:
            return address
    raise ConfigError(f"daemon.tcp: {host} is no loopback IP address such as 127.0.0.1 or ::1")


def _check_free(host: str, port: int, family: socket.AddressFamily, *, key: str = "daemon.tcp") -> None:
    """Find out that a port is taken before grpc does, which writes its own lines to stderr."""
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                raise AlreadyRunning(f"port {port} on {host} is in use; end what uses it or set {key}") from exc
            raise ConfigError(f"{key}: cannot listen on {host}:{port}: {exc.strerror}") from exc
