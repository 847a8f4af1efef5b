"""What all pages have in common: their texts, and which keys mean something on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer

from clients.desktop.strings import Texts

if TYPE_CHECKING:
    from clients.desktop.app import DesktopApp
    from edged.client import Client


class Page(Screen[None]):
    """A whole screen. A key of `KEYS` is offered where the page has its action."""

    @property
    def desktop(self) -> DesktopApp:
        """The app, by its own type."""
        return cast("DesktopApp", self.app)

    @property
    def texts(self) -> Texts:
        """In the user's language."""
        return self.desktop.texts

    @property
    def client(self) -> Client:
        """Of the daemon that is reached now. Raises Unavailable where none is."""
        return self.desktop.link.client

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides keys that mean nothing here."""
        return hasattr(self, f"action_{action}")

    async def action_back(self) -> None:
        """To the page before."""
        self.dismiss()

    def footer(self) -> ComposeResult:
        """The line of keys."""
        yield Footer(compact=True, show_command_palette=False)


KEYS: tuple[tuple[str, str, bool], ...] = (
    ("r", "screen.rename", True),
    ("e", "screen.export", True),
    ("d,delete", "screen.delete", True),
    ("p", "screen.pair", True),
    ("x", "screen.revoke", True),
    ("m", "screen.mute", True),
    ("f1", "app.help", True),
    ("escape", "screen.back", True),
    ("f2", "screen.talk", True),
    ("ctrl+n", "screen.new", True),
    ("ctrl+l", "screen.list", True),
    ("f3", "screen.room", True),
    ("f4", "screen.model", True),
    ("f5", "screen.attach", True),
    ("f8", "app.status", True),
    ("f9", "app.devices", True),
    ("ctrl+o", "app.daemon", False),
    ("ctrl+t", "app.theme", False),
    ("ctrl+q", "app.leave", False),
)
"""Key, action, whether the footer shows it: as many as there is room for. F6 and F7 are TextArea's own.

The text of an action `page.name` is `key.name`.
"""
