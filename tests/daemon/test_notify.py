"""Real datagrams to a real notify socket."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edged.daemon.notify import Notifier, ping_watchdog


@contextmanager
def supervisor(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address)
        sock.settimeout(10)
        yield sock


def test_assignments_come_one_a_line(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with supervisor(path) as sock:
        Notifier(path).send("READY=1", "STATUS=serving")
        assert sock.recv(4096) == b"READY=1\nSTATUS=serving"


def test_an_abstract_socket(tmp_path: Path) -> None:
    name = f"edged-test-{tmp_path.name}-{time.monotonic_ns()}"
    with supervisor("\0" + name) as sock:
        Notifier("@" + name).send("READY=1")
        assert sock.recv(4096) == b"READY=1"


def test_no_supervisor_and_a_deaf_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Notifier("").send("READY=1")
    assert not caplog.records
    Notifier(str(tmp_path / "nobody")).send("READY=1")
    assert "cannot be told READY=1" in caplog.text


async def test_pings_stop_while_the_device_thread_hangs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = str(tmp_path / "notify")
    beat = time.monotonic
    with supervisor(path) as sock:
        sock.setblocking(False)
        pinging = asyncio.create_task(ping_watchdog(Notifier(path), seconds=0.02, last_beat=lambda: beat()))
        loop = asyncio.get_running_loop()
        for _ in range(3):
            assert await asyncio.wait_for(loop.sock_recv(sock, 64), 10) == b"WATCHDOG=1"
        beat = lambda: 0.0  # noqa: E731  # the thread's last sign of life lies long ago
        while "no sign of life" not in caplog.text:  # noqa: ASYNC110  # the log knows no events
            await asyncio.sleep(0.005)
        with pytest.raises(TimeoutError):
            while True:
                await asyncio.wait_for(loop.sock_recv(sock, 64), 0.1)  # what was sent before
        beat = time.monotonic
        assert await asyncio.wait_for(loop.sock_recv(sock, 64), 10) == b"WATCHDOG=1"
        pinging.cancel()
    assert caplog.text.count("no sign of life") == 1


async def test_without_a_watchdog_nothing_is_sent() -> None:
    await asyncio.wait_for(ping_watchdog(Notifier("/nonexistent"), seconds=0.0, last_beat=lambda: 0.0), 10)
