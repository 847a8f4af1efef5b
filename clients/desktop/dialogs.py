"""Questions that take the keyboard until they are answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from clients.desktop.strings import Texts

_STYLE = """
{name} {{ align: center middle; }}
{name} > Vertical {{ width: 90%; max-width: 76; height: auto; max-height: 90%; border: round $primary; padding: 0 1;
    background: $surface; }}
{name} OptionList, {name} OptionList:focus {{ height: auto; max-height: 12; border: none; padding: 0; }}
"""


Answer = TypeVar("Answer")


class _Dialog(ModalScreen[Answer]):
    """Keys of the page below mean nothing here."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Part of Textual's contract."""
        return hasattr(self, f"action_{action}")


class LineDialog(_Dialog[str | None]):
    """Asks for a line; None if nothing is wanted."""

    DEFAULT_CSS = _STYLE.format(name="LineDialog")

    def __init__(self, texts: Texts, title: str, value: str = "") -> None:
        super().__init__()
        self._texts, self._title, self._value = texts, title, value

    def compose(self) -> ComposeResult:
        """Part of Textual's contract."""
        with Vertical():
            yield Static(self._title, markup=False)
            yield Input(self._value, select_on_focus=False)
            yield Static(self._texts("dialog.line"), markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter."""
        event.stop()
        self.dismiss(event.value.strip() or None)

    def key_escape(self) -> None:
        """Nothing is wanted."""
        self.dismiss(None)


class ConfirmDialog(_Dialog[bool]):
    """Asks before something final; y means yes, n and Esc no."""

    DEFAULT_CSS = _STYLE.format(name="ConfirmDialog")

    def __init__(self, texts: Texts, question: str) -> None:
        super().__init__()
        self._texts, self._question = texts, question

    def compose(self) -> ComposeResult:
        """Part of Textual's contract."""
        with Vertical():
            yield Static(self._question, markup=False)
            yield Static(self._texts("dialog.confirm"), markup=False)

    def on_key(self, event: Key) -> None:
        """Enter is neither: it may have been meant for the page below."""
        if event.key in ("y", "n", "escape"):
            event.stop()
            self.dismiss(event.key == "y")


class ChoiceDialog(_Dialog[int | None]):
    """Asks for one of several; its number from 0, None if none is wanted."""

    DEFAULT_CSS = _STYLE.format(name="ChoiceDialog")

    def __init__(self, texts: Texts, title: str, choices: Sequence[str], chosen: int = 0) -> None:
        super().__init__()
        self._texts, self._title, self._choices, self._chosen = texts, title, choices, chosen

    def compose(self) -> ComposeResult:
        """Part of Textual's contract."""
        with Vertical():
            yield Static(self._title, markup=False)
            yield OptionList(*map(Option, self._choices), markup=False)
            yield Static(self._texts("dialog.line"), markup=False)

    def on_mount(self) -> None:
        """What holds now is highlighted."""
        self.query_one(OptionList).highlighted = self._chosen

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter."""
        event.stop()
        self.dismiss(event.option_index)

    def key_escape(self) -> None:
        """None of them."""
        self.dismiss(None)
