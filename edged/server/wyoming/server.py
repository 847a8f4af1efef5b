"""A port of this machine on which Wyoming is spoken. There is no authentication, so it is loopback and nothing else."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

from edged.errors import AlreadyRunning, ConfigError, EdgedError, where_it_broke
from edged.server.wyoming.connection import Connection
from edged.server.wyoming.reading import MAX_HEADER_BYTES

_log = logging.getLogger("edged.server.wyoming")


class WyomingServer:
    """Bound by `listen`; `run` belongs in the daemon's TaskGroup."""

    def __init__(
        self, key: str, address: tuple[str, int], serve: Callable[[Connection], Awaitable[None]], *, most: int
    ) -> None:
        """key: of the configuration, for messages. serve: talks with one client. most: one client more is cut off."""
        self._key = key
        self._host, self._port = address
        self._serve = serve
        self._most = most
        self._open = 0
        self._socket: socket.socket | None = None
        self._clients: asyncio.TaskGroup

    def listen(self) -> str:
        """Take the port, and return "HOST:PORT" with the one really taken; port 0 takes any free one.

        Raises AlreadyRunning where somebody has it, ConfigError.
        """
        address = ip_address(self._host)
        if not address.is_loopback:
            raise ConfigError(f"{self._key}: {self._host} is no loopback IP address such as 127.0.0.1 or ::1")
        shown = f"[{self._host}]" if address.version == 6 else self._host
        self._socket = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((self._host, self._port))
            self._socket.listen()
        except OSError as exc:
            self.close()
            if exc.errno == errno.EADDRINUSE:
                message = f"port {self._port} on {self._host} is in use; end what uses it or set {self._key}"
                raise AlreadyRunning(message) from exc
            raise ConfigError(f"{self._key}: cannot listen on {shown}:{self._port}: {exc.strerror}") from exc
        return f"{shown}:{self._socket.getsockname()[1]}"

    async def run(self) -> None:
        """Take clients until cancelled; they are then cut off."""
        async with asyncio.TaskGroup() as self._clients:
            server = await asyncio.start_server(self._take, sock=self._socket, limit=MAX_HEADER_BYTES)
            try:
                # Not serve_forever: from Python 3.12.1 on it waits for clients before they are cancelled.
                await asyncio.get_running_loop().create_future()
            finally:
                self._most = 0
                server.close()

    def close(self) -> None:
        """Give the port back, if `run` has not. Idempotent."""
        if self._socket is not None:
            self._socket.close()

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= self._most:
            _log.debug("%s: more than %d clients", self._key, self._most)
            writer.transport.abort()
            return
        self._open += 1
        client = self._clients.create_task(self._converse(Connection(reader, writer)))
        client.add_done_callback(lambda _: self._left(writer))

    def _left(self, writer: asyncio.StreamWriter) -> None:
        """Also of one that was cancelled before it began."""
        self._open -= 1
        writer.transport.abort()

    async def _converse(self, connection: Connection) -> None:
        try:
            await self._serve(connection)
        except Exception as exc:  # noqa: BLE001  # the process border: a client that breaks something harms no other
            problem = _first(exc)
            if isinstance(problem, OSError) and not isinstance(problem, EdgedError):
                return  # it has gone
            if not isinstance(problem, EdgedError):
                _log.error("a Wyoming client broke something\n%s", where_it_broke(problem))
                problem = EdgedError("internal error; the daemon's log says where")
            _log.info("%s %s", self._key, problem.reason)
            await connection.fail(problem)


def _first(exc: BaseException) -> BaseException:
    """What went wrong first, out of the groups that tasks put around it."""
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    return exc
