"""The app in a terminal that exists in memory alone, on a real server with a scripted engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from clients.desktop.app import DesktopApp
from edged.config import Config, load_config
from tests.server.conftest import daemon, loading, run_dir

__all__ = ["daemon", "loading", "run_dir"]


@dataclass
class Window:
    """What somebody sees and does."""

    app: DesktopApp
    pilot: Pilot[None]

    @property
    def text(self) -> str:
        """The screen, line by line."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in strips)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        await self.pilot.press(*("space" if letter == " " else letter for letter in text))

    async def until(self, *words: str, gone: str = "") -> None:
        """Wait for words on the screen, or for some to be gone."""
        try:
            async with asyncio.timeout(20):
                while not all(word in self.text for word in words) or (gone and gone in self.text):
                    await self.pilot.pause(0.02)
        except TimeoutError:
            raise AssertionError(f"waited in vain for {words} (gone: {gone!r}) in\n{self.text}") from None

    async def told(self, words: str) -> None:
        """Wait for a notification."""
        try:
            async with asyncio.timeout(20):
                while not any(words in told for told in self.notifications):
                    await self.pilot.pause(0.02)
        except TimeoutError:
            raise AssertionError(f"not told {words!r} but {self.notifications}") from None

    @property
    def notifications(self) -> list[str]:
        return [notification.message for notification in self.app._notifications]


Open = Callable[..., AbstractAsyncContextManager[Window]]


@pytest.fixture
def config(run_dir: Path) -> Config:
    return load_config(
        {
            "HOME": str(run_dir),
            "XDG_RUNTIME_DIR": str(run_dir),
            "XDG_CONFIG_HOME": str(run_dir / "config"),
            "EDGED_STATE_DIR": str(run_dir / "state"),
            "EDGED_DAEMON__SOCKET": str(run_dir / "s"),
        }
    )


@pytest.fixture
def window(config: Config) -> Open:
    """Opens the app, and closes it."""

    @asynccontextmanager
    async def open_window(
        language: str = "en", size: tuple[int, int] = (100, 30), config: Config = config, **options: Any
    ) -> AsyncIterator[Window]:
        app = DesktopApp(config, language, **options)
        async with app.run_test(size=size) as pilot:
            yield Window(app, pilot)

    return open_window
