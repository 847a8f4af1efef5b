"""Where messages are written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from textual.events import Key, Paste
from textual.message import Message
from textual.widgets import TextArea

from clients.desktop.attachments import pasted_file

MAX_LINES = 6
"""Shown at once; further ones scroll."""


class Composer(TextArea):
    """Enter sends, Ctrl+J breaks the line. A pasted path of a file attaches it."""

    DEFAULT_CSS = f"Composer {{ height: auto; max-height: {MAX_LINES + 2}; border: round $primary; padding: 0 1; }}"

    class Sent(Message):
        """Enter was pressed."""

    @dataclass
    class PageTurned(Message):
        """The messages above are to be scrolled; the cursor stays where it is."""

        is_up: bool

    class ClipboardWanted(Message):
        """Ctrl+V was pressed: a picture, if there is one."""

    @dataclass
    class FilePasted(Message):
        """A path was pasted or dropped."""

        path: Path

    def on_key(self, event: Key) -> None:
        """Before TextArea's own."""
        if event.key == "enter":
            event.prevent_default()
            event.stop()
            self.post_message(self.Sent())
        elif event.key == "ctrl+j":
            event.prevent_default()
            event.stop()
            self.insert("\n")
        elif event.key in ("pageup", "pagedown"):
            event.prevent_default()
            event.stop()
            self.post_message(self.PageTurned(event.key == "pageup"))

    def on_paste(self, event: Paste) -> None:
        """Before TextArea's own."""
        if path := pasted_file(event.text):
            event.prevent_default()
            event.stop()
            self.post_message(self.FilePasted(path))

    def action_paste(self) -> None:
        """Of TextArea, on Ctrl+V."""
        self.post_message(self.ClipboardWanted())

    def paste_text(self) -> None:
        """What was copied within the app."""
        super().action_paste()
