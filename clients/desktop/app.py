"""The app: which daemon it talks to, its pages, and what keys do on all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from textual import work
from textual.app import App

from clients.desktop.devices import DevicesPage
from clients.desktop.dialogs import ChoiceDialog
from clients.desktop.help import HelpPage
from clients.desktop.link import Link
from clients.desktop.main import MainPage
from clients.desktop.page import KEYS
from clients.desktop.status import StatusPage
from clients.desktop.strings import Texts
from clients.desktop.unreachable import UnreachablePage
from edged.cli.connection import paired_daemons
from edged.cli.output import printable
from edged.client.push_to_talk import own_devices
from edged.config import Config, VoiceConfig
from edged.errors import EdgedError, Unauthenticated, Unavailable

if TYPE_CHECKING:
    from edged.audio.microphone import Microphone
    from edged.audio.speaker import Speaker

Devices = Callable[[VoiceConfig], tuple["Microphone", "Speaker"]]
DARK, LIGHT = "textual-dark", "textual-light"


class DesktopApp(App[None]):
    """One window on one daemon."""

    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (72, "-wide")]  # noqa: RUF012  # as Textual declares it
    CSS = "Footer { height: 1; }"

    def __init__(self, config: Config, language: str, own_devices: Devices = own_devices) -> None:
        """language: one of `strings.LANGUAGES`. own_devices: makes ears and mouth of this machine."""
        super().__init__()
        self.own_devices = own_devices
        self.config = config
        self.texts = Texts(language)
        self.link = Link(self._reached, self._lost, self.tell)
        self.theme = DARK
        for keys, action, is_shown in KEYS:
            self.bind(keys, action, description=self.texts(f"key.{action.partition('.')[2]}"), show=is_shown)

    @property
    def daemon_name(self) -> str:
        """As the user knows it."""
        return self.config.client.daemon or self.texts("top.here")

    def get_default_screen(self) -> MainPage:
        """Part of Textual's contract."""
        return MainPage()

    @property
    def main(self) -> MainPage:
        """Below all others."""
        page = self.screen_stack[0]
        assert isinstance(page, MainPage)
        return page

    async def on_unmount(self) -> None:
        """Part of Textual's contract."""
        await self.link.close()

    def tell(self, remark: str) -> None:
        """What a command line would say on stderr."""
        self.notify(printable(remark), markup=False)

    async def connect(self) -> None:
        """Reach for the daemon, once more."""
        self.main.show_state(self.texts("top.connecting"))
        await self.link.open(self.config)

    def show_error(self, error: EdgedError) -> None:
        """What a page could not do."""
        if error.reason in (Unauthenticated.reason, Unavailable.reason):
            self._lost(error.message)
        else:
            self.notify(printable(error.message), severity="error", markup=False)

    def action_help(self) -> None:
        """What keys do."""
        self._open(HelpPage)

    def action_status(self) -> None:
        """What is on, and what left."""
        self._open(StatusPage)

    def action_devices(self) -> None:
        """Who is paired."""
        self._open(DevicesPage)

    def action_theme(self) -> None:
        """Light or dark."""
        self.theme = LIGHT if self.theme == DARK else DARK

    async def action_leave(self) -> None:
        """The end."""
        self.exit()

    @work
    async def action_daemon(self) -> None:
        """Talk to another daemon."""
        names = ["", *paired_daemons(self.config).names()]
        shown = [name or self.texts("top.here") for name in names]
        current = self.config.client.daemon
        chosen = names.index(current) if current in names else 0
        number = await self.push_screen_wait(ChoiceDialog(self.texts, self.texts("daemon.title"), shown, chosen))
        if number is not None:
            self.config = replace(self.config, client=replace(self.config.client, daemon=names[number]))
            self.try_again()

    @work
    async def try_again(self) -> None:
        """From the beginning."""
        while self.screen is not self.main:
            await self.pop_screen()
        await self.connect()

    def _open(self, page: type[HelpPage | StatusPage | DevicesPage]) -> None:
        """Unless it is open, or there is nothing to see."""
        if self.screen is self.main:
            self.push_screen(page())

    def _reached(self) -> None:
        self.main.begin()

    def _lost(self, message: str) -> None:
        self.main.show_state(self.texts("top.unreachable"))
        if not isinstance(self.screen, UnreachablePage):
            self.push_screen(UnreachablePage(printable(message)))
