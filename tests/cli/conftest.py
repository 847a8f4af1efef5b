"""The command line beside a real server with a scripted engine behind it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edged.cli import main
from tests.e2e.program import short_folder
from tests.server.conftest import Daemon

Edged = Callable[..., Result]


class ScriptedDaemon(Daemon):
    """Serves in a thread of its own until `end`: commands run event loops of theirs."""

    def begin(self) -> None:
        serving = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=[self._serve(serving)])
        self._thread.start()
        assert serving.wait(10)

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def release(self) -> None:
        """Let a script go on that waits."""
        self.loop.call_soon_threadsafe(self.model.release.set)

    def __post_init__(self) -> None:
        """The server is made where it runs."""

    async def _serve(self, serving: threading.Event) -> None:
        super().__post_init__()
        self.loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await self.server.start(self.socket)
        self.server.serve()
        serving.set()
        await self._stop.wait()
        await self.server.drain(0)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An environment of its own for every command."""
    for name in [name for name in os.environ if name.startswith("EDGED_")]:
        monkeypatch.delenv(name)
    with short_folder() as folder:
        monkeypatch.setenv("HOME", str(folder))
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        monkeypatch.setenv("EDGED_STATE_DIR", str(folder / "state"))
        monkeypatch.setenv("EDGED_DAEMON__SOCKET", str(folder / "socket"))
        monkeypatch.setenv("EDGED_ENGINES_DIR", str(folder / "engines"))
        yield folder


@pytest.fixture
def daemon(home: Path) -> Iterator[ScriptedDaemon]:
    daemon = ScriptedDaemon(home / "socket")
    daemon.begin()
    yield daemon
    daemon.end()


@pytest.fixture
def edged(home: Path) -> Edged:
    """Runs a command to its end; stdin is no terminal."""

    def run(*arguments: str | bytes, stdin: str | bytes = "") -> Result:
        words = [os.fsdecode(argument) for argument in arguments]
        return CliRunner().invoke(main, words, prog_name="edged", input=stdin)

    return run
