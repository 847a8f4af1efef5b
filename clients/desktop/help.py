"""The page that says what keys do."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from clients.desktop.page import Page

_KEYS = (
    ("Enter", "send"),
    ("Ctrl+J", "newline"),
    ("PgUp/Dn", "scroll"),
    ("Esc", "back"),
    ("F2", "talk"),
    ("F3", "room"),
    ("F4", "model"),
    ("F5", "attach"),
    ("Ctrl+V", "paste"),
    ("F8", "status"),
    ("F9", "devices"),
    ("Ctrl+O", "daemon"),
    ("Ctrl+T", "theme"),
    ("Ctrl+N", "new"),
    ("Ctrl+L", "list"),
    ("R E D", "in_list"),
    ("Ctrl+Q", "quit"),
)


class HelpPage(Page):
    """A line for each key."""

    def compose(self) -> ComposeResult:
        """Part of Textual's contract."""
        yield Static(self.texts("help.title"), markup=False)
        with VerticalScroll():
            lines = (f"{keys:<8}{self.texts(f'help.{name}')}" for keys, name in _KEYS)
            yield Static("\n".join(lines), markup=False)
        yield from self.footer()
