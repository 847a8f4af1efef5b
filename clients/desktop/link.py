"""The connection to the daemon, for as long as it lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edged.cli.connection import connected
from edged.client import Client
from edged.config import Config
from edged.errors import EdgedError, Unavailable

LOOK_SECONDS = 5.0
"""Between two looks whether the daemon is still there."""


class Link:
    """Reaches the daemon that the configuration names, and says when it is gone. It does not try again by itself."""

    def __init__(
        self, on_reached: Callable[[], None], on_lost: Callable[[str], None], tell: Callable[[str], None]
    ) -> None:
        """All are called in the event loop; on_lost with what to do about it, tell with remarks for the user."""
        self._tell = tell
        self._on_reached = on_reached
        self._on_lost = on_lost
        self._client: Client | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_reached(self) -> bool:
        """There is a client."""
        return self._client is not None

    @property
    def client(self) -> Client:
        """Raises Unavailable while no daemon is reached."""
        if self._client is None:
            raise Unavailable("no daemon is reached")
        return self._client

    async def open(self, config: Config) -> None:
        """Begin to reach for it; lets go of the one before."""
        await self.close()
        self._task = asyncio.create_task(self._hold(config))

    async def close(self) -> None:
        """Let go; a daemon that was started for this ends."""
        task, self._task = self._task, None
        if task:
            task.cancel()
            await asyncio.wait({task})

    async def _hold(self, config: Config) -> None:
        try:
            async with connected(config, self._tell) as client:
                self._client = client
                self._on_reached()
                while True:
                    await asyncio.sleep(LOOK_SECONDS)
                    await client.status()
        except EdgedError as exc:
            self._client = None
            self._on_lost(exc.message)
        except OSError as exc:
            self._client = None
            self._on_lost(exc.strerror or str(exc))
        finally:
            self._client = None
