"""Reaching the daemon: the one that runs, or one started for this command alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from edged.cli.output import say
from edged.config import Config

if TYPE_CHECKING:
    from edged.client import Client


@asynccontextmanager
async def connected(config: Config) -> AsyncIterator[Client]:
    """A client of a serving daemon; one that had to be started ends with the block."""
    from edged.client import Client
    from edged.launch import daemon_for

    async with daemon_for(config) as daemon:
        if daemon.started:
            say("no daemon is running, started one for this command (`edged serve` keeps one)")
        async with Client(daemon.address) as client:
            yield client
