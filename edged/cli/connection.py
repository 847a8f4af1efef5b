"""Reaching the daemon: the one that runs, or one started for this command alone."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from edged.cli.output import say
from edged.config import Config
from edged.errors import EdgedError, Unavailable

if TYPE_CHECKING:
    from edged.client import Client

Result = TypeVar("Result")

DEVICE_VARIABLES = ("EDGED_ENGINE__DEVICE", "EDGED_ENGINE__DEVICES")
"""Whoever sets one of these means that nothing else may compute."""


def require_daemon(config: Config) -> None:
    """Raises Unavailable where none is running, for what is of no use to a daemon that would have to be started."""
    if not config.socket_path.exists():
        raise Unavailable(f"no daemon is running for {config.paths.state}: `edged serve` starts one")


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
        if exc.reason != Unavailable.reason or not may_repeat():
            raise
    async with connected(config) as client:
        return await call(client)


@asynccontextmanager
async def connected(config: Config) -> AsyncIterator[Client]:
    """A client of a serving daemon; one that had to be started ends with the block."""
    from edged.client import Client
    from edged.launch import daemon_for

    async with daemon_for(config) as daemon:
        if daemon.started:
            say("no daemon is running, started one for this command (`edged serve` keeps one)")
        elif ignored := [name for name in DEVICE_VARIABLES if name in os.environ]:
            say(f"{ignored[0]} does not reach the daemon that runs already; `edged status` says what computes there")
        async with Client(daemon.address) as client:
            yield client
