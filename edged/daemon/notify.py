"""What systemd wants to hear from a service (sd_notify(3)), in so few lines that a dependency would be more."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Notifier:
    """Sends state changes to the supervisor's datagram socket; to nobody when its path is empty."""

    def __init__(self, notify_socket: str) -> None:
        # A leading @ is how an abstract socket is written; its real name starts with a zero byte.
        self._address = "\0" + notify_socket[1:] if notify_socket.startswith("@") else notify_socket

    def send(self, *assignments: str) -> None:
        """`READY=1`, `STOPPING=1`, `STATUS=...`: a supervisor that does not listen is not our failure."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.connect(self._address)
                sock.sendall("\n".join(assignments).encode())
        except OSError as exc:
            _log.warning("the supervisor cannot be told %s: %s", assignments[0], exc.strerror)


async def ping_watchdog(notifier: Notifier, *, seconds: float, last_beat: Callable[[], float]) -> None:
    """Ping for as long as the device thread gives signs of life; a hung one lets systemd restart the service.

    `last_beat` is the thread's last sign of life on the clock of time.monotonic; `seconds` is WatchdogSec=,
    pinged twice as often as sd_watchdog_enabled(3) advises. Returns at once when `seconds` is 0.
    """
    hung = False
    while seconds:
        silence = time.monotonic() - last_beat()
        if silence < seconds:
            notifier.send("WATCHDOG=1")
        elif not hung:
            _log.error("the device thread gave no sign of life for %.0f s: no more watchdog pings", silence)
        hung = silence >= seconds
        await asyncio.sleep(seconds / 2)
