"""A daemon to talk to: the one that runs on this state directory, or one of the caller's own.

A daemon started here is tied to the caller by a socket pair (see edged.daemon.lifeline): it reports when
it serves or why it cannot, and ends once its end of the pair reads end-of-file, however the caller went.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from edged.config import Config, environment_for
from edged.errors import AlreadyRunning, Code, EdgedError, RemoteError, Unavailable

RETRY_SECONDS = 0.1
"""Between two looks while another daemon starts or drains."""
LOOK_SECONDS = 2.0
"""How long a daemon that listens but does not serve is waited for before looking again whether it lives."""
FAREWELL_SECONDS = 5.0
"""What ending takes beyond draining; a daemon that takes longer is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """Where a daemon listens, and whether it was started for this caller."""

    address: str
    """As edged.client takes it."""
    started: bool


@asynccontextmanager
async def daemon_for(config: Config, *, start_seconds: float = 120.0) -> AsyncIterator[Daemon]:
    """Yield the running daemon of this state directory, or one that lives as long as the block.

    When two callers start one at the same time, one of them wins and both use the winner's. Raises what
    kept the daemon from starting, or Unavailable after `start_seconds`.
    """
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(start_seconds):
                daemon = await _reach(config, stack)
        except TimeoutError as exc:
            raise Unavailable(f"no daemon served within {start_seconds:.0f} s: see `edged doctor`") from exc
        yield daemon


async def _reach(config: Config, stack: AsyncExitStack) -> Daemon:
    address = f"unix:{config.socket_path}"
    clock = asyncio.get_running_loop().time
    last_look = clock() + config.daemon.drain_seconds + FAREWELL_SECONDS
    while True:
        if listens(config.socket_path):
            if await _serves(address):
                return Daemon(address=address, started=False)
            continue
        own = _OwnDaemon(config)
        stack.push_async_callback(own.end)
        try:
            return Daemon(address=await own.ready(), started=True)
        except AlreadyRunning:
            # Another daemon starts or drains: it will listen soon, or leave the directory to us. If not,
            # it listens somewhere else than this configuration says.
            if clock() > last_look:
                raise
            await asyncio.sleep(RETRY_SECONDS)


def listens(path: Path) -> bool:
    """Whether a process accepts connections at the socket; a file that a dead one left behind does not count."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError, TimeoutError):
            return False
        except PermissionError as exc:
            raise Unavailable(f"{path} belongs to another user's daemon: run as that user") from exc
    return True


async def _serves(address: str) -> bool:
    """Wait a little for a daemon that is still loading."""
    from edged.client import Client  # A caller that starts its own daemon loads grpc while that one starts.

    async with Client(address) as client:
        try:
            await client.wait_until_serving(LOOK_SECONDS)
        except Unavailable:
            return False
    return True


class _OwnDaemon:
    """A child process and the lifeline to it."""

    def __init__(self, config: Config) -> None:
        self._lingers = config.daemon.linger_seconds > 0
        self._patience = config.daemon.drain_seconds + FAREWELL_SECONDS
        self._lifeline, theirs = socket.socketpair()
        self._lifeline.setblocking(False)
        with theirs:
            self._process = subprocess.Popen(
                # -P: a folder named edged where the caller stands must not be taken for the program.
                [sys.executable, "-P", "-m", "edged", "serve", "--lifeline", str(theirs.fileno())],
                env=environment_for(config),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Ctrl-C in the caller's terminal cancels an answer; it must not reach the daemon.
                start_new_session=True,
            )

    async def ready(self) -> str:
        """The address, once it serves. Raises what the daemon reports, AlreadyRunning among it."""
        loop = asyncio.get_running_loop()
        line = b""
        while not line.endswith(b"\n"):
            if not (received := await loop.sock_recv(self._lifeline, 65536)):
                raise Unavailable("the daemon ended while it started: `edged serve` shows why")
            line += received
        report = json.loads(line)
        if "ready" in report:
            return str(report["ready"])
        raise _rebuilt(report)

    async def end(self) -> None:
        """Let go, and see the daemon out: it finishes the answers that others are waiting for."""
        self._lifeline.close()
        if self._lingers:
            # It ends by itself. Popen would complain of a process that nobody waited for.
            self._process.returncode = 0
            return
        try:
            await asyncio.to_thread(self._process.wait, self._patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)


def _rebuilt(report: dict[str, str]) -> EdgedError:
    if report["reason"] == AlreadyRunning.reason:
        return AlreadyRunning(report["error"])
    return RemoteError(report["error"], code=Code[report["code"]], reason=report["reason"])
