"""A stand-in for systemd: WatchdogSec=, Restart=on-failure and the notify socket of one service."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.e2e.program import SECONDS, DaemonProcess, Home


class Supervisor:
    """Starts the daemon again whenever it fails, or is silent for longer than the watchdog allows."""

    def __init__(self, home: Home, environ: dict[str, str]) -> None:
        self._home = home
        self._environ = environ
        self.watchdog_seconds = 60.0
        self.ends: list[int] = []
        """Exit codes so far, negative for a signal."""
        self._ready = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Supervisor]:
        supervising = asyncio.create_task(self._supervise())
        await self.serving()
        yield self
        supervising.cancel()
        await asyncio.gather(supervising, return_exceptions=True)

    async def serving(self, *, ends: int = 0) -> None:
        """Return when a daemon serves, at least `ends` of them having ended before."""
        async with asyncio.timeout(SECONDS):
            while len(self.ends) < ends or not self._ready.is_set():  # noqa: ASYNC110  # two things at once
                await asyncio.sleep(0.02)

    async def _supervise(self) -> None:
        while True:
            watchdog = str(int(self.watchdog_seconds * 1e6))
            daemon = DaemonProcess(self._home, {**self._environ, "WATCHDOG_USEC": watchdog})
            try:
                self.ends.append(await self._watch(daemon))
            finally:
                self._ready.clear()
                daemon.kill()
            (self._home.state / "fault").unlink(missing_ok=True)  # what a new process is free of

    async def _watch(self, daemon: DaemonProcess) -> int:
        """Its exit code."""
        last = time.monotonic()
        while (code := daemon.process.poll()) is None:
            if heard := daemon.notifications():
                last = time.monotonic()
            if "READY=1" in heard:
                self._ready.set()
            if self._ready.is_set() and time.monotonic() - last > self.watchdog_seconds:
                daemon.signal(signal.SIGABRT)
                return daemon.wait()
            await asyncio.sleep(0.02)
        return code
