"""The page that says that there is no daemon to talk to."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from clients.desktop.page import Page


class UnreachablePage(Page):
    """Why, and what to do."""

    DEFAULT_CSS = "UnreachablePage Static { padding: 1 2; }"

    def __init__(self, reason: str) -> None:
        super().__init__()
        self._reason = reason

    def compose(self) -> ComposeResult:
        """Part of Textual's contract."""
        yield Static(f"{self.texts('gone.title')}: {self.desktop.daemon_name}", markup=False)
        yield Static(self._reason, markup=False)
        yield Static(self.texts("gone.hint"), markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is no way back to pages that need a daemon."""
        return False

    def key_enter(self) -> None:
        """Once more."""
        self.desktop.try_again()
