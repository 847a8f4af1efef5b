"""An HTTP server inside the daemon: takes connections within bounds, and comes up and goes down with it."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections import Counter
from functools import partial

from starlette.types import ASGIApp
from uvicorn.server import ServerState

from edged.errors import AlreadyRunning, ConfigError
from edged.server.listen import every_address
from edged.server.web.connection import HttpConnection, uvicorn_config
from edged.server.web.context import MAPPED

MAX_CONNECTIONS = 256
"""One more is closed at once; those that have not shaken hands yet count."""
MAX_HEAD_BYTES = 16 * 1024
"""Of a request: its first line and headers."""
MAX_WEBSOCKET_BYTES = 64 * 1024
"""Of a message; a longer one ends the call with the close code 1009. A second of sound is half of it."""
PING_SECONDS = 20.0
"""How often a WebSocket is asked for a sign of life, and how long that may take."""
HANDSHAKE_SECONDS = 10.0
SHUTDOWN_SECONDS = 5.0
"""How long a connection that is closed may take to deliver what was written."""
ACCEPT_AGAIN_SECONDS = 0.5
"""After the kernel had none to give, e.g. for want of file descriptors."""

_log = logging.getLogger("edged.server.web")


class HttpServer:
    """Bound by `listen`; `run` belongs in the daemon's TaskGroup."""

    def __init__(self, app: ASGIApp, *, key: str, tls: ssl.SSLContext | None, most_per_address: int) -> None:
        """key: of the configuration that names the port, for errors. tls: None for none, on loopback."""
        _silence_uvicorn()
        self._key = key
        self._most_per_address = most_per_address
        self._config = uvicorn_config(
            app,
            max_head_bytes=MAX_HEAD_BYTES,
            max_websocket_bytes=MAX_WEBSOCKET_BYTES,
            ping_seconds=PING_SECONDS,
        )
        self._state = ServerState()
        self._tls = tls
        self._socket: socket.socket | None = None
        self._closing = asyncio.Event()
        self._from: Counter[str] = Counter()
        self._connections: set[asyncio.Task[None]] = set()

    def listen(self, host: str, port: int) -> str:
        """Take the port and return "HOST:PORT" with the one really taken; port 0 takes any free one.

        host: IP address, "" for all of this machine's. Raises AlreadyRunning where somebody has it, ConfigError.
        """
        host = host or every_address()
        shown = f"[{host}]" if ":" in host else host
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            listener.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if ":" in host:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
            listener.bind((host, port))
            listener.listen()
        except OSError as exc:
            listener.close()
            if exc.errno == errno.EADDRINUSE:
                message = f"port {port} on {host} is in use; end what uses it or set {self._key}"
                raise AlreadyRunning(message) from exc
            raise ConfigError(f"{self._key}: cannot listen on {shown}:{port}: {exc.strerror}") from exc
        self._socket = listener
        return f"{shown}:{listener.getsockname()[1]}"

    async def run(self) -> None:
        """Take connections until `close`; when cancelled, they are cut off."""
        assert self._socket is not None
        async with asyncio.TaskGroup() as group:
            accepting = group.create_task(self._accept(self._socket, group))
            try:
                await self._closing.wait()
            finally:
                accepting.cancel()
                self._socket.close()

    async def close(self, seconds: float) -> None:
        """Take no more connections, give answers that are under way some time, and cut off the rest."""
        self._closing.set()
        if self._socket:
            self._socket.close()
        for connection in tuple(self._state.connections):
            if not connection.transport.is_closing():
                connection.shutdown()
        if self._connections:
            await asyncio.wait(self._connections, timeout=seconds)
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, listener: socket.socket, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, peer = await loop.sock_accept(listener)
            except OSError as exc:
                _log.warning("cannot take a connection on the web port: %s", exc.strerror)
                await asyncio.sleep(ACCEPT_AGAIN_SECONDS)
                continue
            address = peer[0].removeprefix(MAPPED)
            if len(self._connections) >= MAX_CONNECTIONS or self._from[address] >= self._most_per_address:
                client.close()
                continue
            self._from[address] += 1
            task = group.create_task(self._serve(client))
            self._connections.add(task)
            task.add_done_callback(partial(self._gone, client, address))

    async def _serve(self, client: socket.socket) -> None:
        """One connection, until it has ended."""
        loop = asyncio.get_running_loop()
        lost = asyncio.Event()
        connection = HttpConnection(config=self._config, state=self._state, loop=loop, on_lost=lost.set)
        try:
            await loop.connect_accepted_socket(
                lambda: connection,
                client,
                ssl=self._tls,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if self._tls else None,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS if self._tls else None,
            )
            await lost.wait()
        except OSError:
            pass  # no handshake: not TLS 1.3, not in time, or a client that does not want this certificate
        finally:
            if connection.transport:  # none where there was no handshake
                connection.transport.abort()

    def _gone(self, client: socket.socket, address: str, task: asyncio.Task[None]) -> None:
        client.close()  # a task that is cancelled too early never sees it
        self._connections.discard(task)
        self._from[address] -= 1
        if not self._from[address]:
            del self._from[address]


def _silence_uvicorn() -> None:
    """What it says names addresses and paths; what goes wrong is logged here."""
    for name in ("uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
