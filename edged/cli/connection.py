"""Reaching the daemon: the one that runs, one started for this command alone, or one elsewhere that is paired."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from edged.cli.output import say
from edged.config import Config
from edged.errors import EdgedError, Unavailable

if TYPE_CHECKING:
    from edged.client import Client
    from edged.client.daemons import PairedDaemons

Result = TypeVar("Result")

DEVICE_VARIABLES = ("EDGED_ENGINE__DEVICE", "EDGED_ENGINE__DEVICES")
"""Whoever sets one of these means that nothing else may compute."""
SERVICE_FOLDER = Path("/run/edged")
"""Is there while the system service runs; its socket in it is for the service's account alone."""
ASK_SERVICE = "sudo -u edged EDGED_STATE_DIR=/var/lib/edged EDGED_DAEMON__SOCKET=/run/edged/edged.sock edged status"
SERVING_SECONDS = 120.0
"""How long a daemon elsewhere that is loading its engine is waited for."""


def require_daemon(config: Config) -> None:
    """Raises Unavailable where none is running, for what is of no use to a daemon that would have to be started."""
    if not config.client.daemon and not config.socket_path.exists():
        service = f"; the system service is asked so: `{ASK_SERVICE}`" if SERVICE_FOLDER.is_dir() else ""
        raise Unavailable(f"no daemon is running for {config.paths.state}: `edged serve` starts one{service}")


def paired_daemons(config: Config) -> PairedDaemons:
    """Those elsewhere that this user is paired with."""
    from edged.client.daemons import PairedDaemons

    return PairedDaemons(config.paths.config / "daemons")


async def with_client(
    config: Config, call: Callable[[Client], Awaitable[Result]], *, may_repeat: Callable[[], bool] = lambda: True
) -> Result:
    """What `call` returns, given a client of a serving daemon.

    A daemon that another command started ends with that command, perhaps just before it hears ours: then
    `call` is made once more, of another daemon, unless `may_repeat` says that it has come too far for that.
    """
    try:
        async with connected(config) as client:
            return await call(client)
    except EdgedError as exc:
        if exc.reason != Unavailable.reason or config.client.daemon or not may_repeat():
            raise
    async with connected(config) as client:
        return await call(client)


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Client]:
    """A client of the daemon that runs, in whatever state. Raises Unavailable where none does: it starts none."""
    require_daemon(config)
    if config.client.daemon:
        async with _elsewhere(config) as client:
            yield client
        return
    from edged.client import Client

    async with Client(f"unix:{config.socket_path}") as client:
        yield client


@asynccontextmanager
async def connected(config: Config, tell: Callable[[str], None] = say) -> AsyncIterator[Client]:
    """A client of a serving daemon; one that had to be started ends with the block.

    tell: called with remarks for the user.
    """
    if config.client.daemon:
        async with _elsewhere(config, tell) as client:
            await client.wait_until_serving(SERVING_SECONDS)
            yield client
        return
    from edged.client import Client
    from edged.launch import daemon_for

    async with daemon_for(config) as daemon:
        if daemon.started:
            tell("no daemon is running, started one for this command (`edged serve` keeps one)")
        elif ignored := [name for name in DEVICE_VARIABLES if name in os.environ]:
            tell(f"{ignored[0]} does not reach the daemon that runs already; `edged status` says what computes there")
        async with Client(daemon.address) as client:
            yield client


@contextmanager
def held_client(runner: asyncio.Runner, config: Config) -> Iterator[Client]:
    """What `connected` gives, for who waits for people in between, outside of the event loop."""
    connection = connected(config)
    client = runner.run(connection.__aenter__())
    try:
        yield client
    finally:
        runner.run(connection.__aexit__(None, None, None))


@asynccontextmanager
async def _elsewhere(config: Config, tell: Callable[[str], None] = say) -> AsyncIterator[Client]:
    """A client of the paired daemon that client.daemon names, once it has answered."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it writes to stderr what our errors say in one line
    from edged.client import Client

    daemons = paired_daemons(config)
    known = daemons.load(config.client.daemon)
    pairing = await daemons.reach(known)
    if pairing.grpc_address != known.grpc_address:
        tell(f"{pairing.name} has moved from {known.grpc_address} to {pairing.grpc_address}")
    try:
        pairing = await daemons.renew_if_due(pairing)
    except ImportError:
        tell("this machine's certificate runs out soon, and its renewal needs an extra: pip install 'edged[client]'")
    except (EdgedError, OSError) as exc:  # it is good for weeks still
        tell(f"this machine's certificate runs out soon, and could not be renewed now: {exc}")
    async with Client(pairing.grpc_address, pairing.credentials) as client:
        yield client
