"""What makes a running daemon end: a signal, or the end of whoever started it for their own use."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable

from edged.daemon.lifeline import Lifeline

SIGNALS = (signal.SIGTERM, signal.SIGINT)
LOOK_SECONDS = 0.2
"""Between two looks whether a daemon whose starter has gone is idle."""

_log = logging.getLogger(__name__)


class StopRequest:
    """The first signal asks to drain, the second not to wait for it, the third is left to the kernel."""

    def __init__(self) -> None:
        self.wanted = asyncio.Event()
        self.urgent = asyncio.Event()
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._signalled, number)

    def ask(self, reason: str) -> None:
        """Drain and end."""
        if not self.wanted.is_set():
            _log.info("ending: %s", reason)
            self.wanted.set()

    def _signalled(self, number: signal.Signals) -> None:
        if not self.wanted.is_set():
            self.ask(number.name)
            return
        self.urgent.set()
        for each in SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)


async def follow_starter(
    lifeline: Lifeline, stop: StopRequest, *, linger_seconds: float, busy: Callable[[], bool]
) -> None:
    """Ask to stop once the starter has gone and nobody else asked anything for so long; forever without a starter."""
    await lifeline.gone()
    clock = asyncio.get_running_loop().time
    idle_since = clock()
    while clock() - idle_since < linger_seconds:
        await asyncio.sleep(LOOK_SECONDS)
        if busy():
            idle_since = clock()
    stop.ask("whoever started this daemon has gone")
