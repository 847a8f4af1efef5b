"""What an Android phone's shell is told for an action: commands of `input`, each word its own.

Words are quoted for the phone's shell in one place, `shell_line`; nothing that a model says is ever read by a shell.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from edged.records import Back, DoubleTap, Home, LongPress, PhoneAction, ScreenPlace, Swipe, Tap

Command = tuple[str, ...]
"""A program of the phone and its arguments."""
LONG_PRESS_MS = 1000
SWIPE_MS = 500


def shell_line(commands: Iterable[Command]) -> str:
    """One line for a POSIX shell that runs them, up to the first that fails."""
    return " && ".join(map(shlex.join, commands))


def touching(action: PhoneAction, width: int, height: int) -> Sequence[Command]:
    """What a finger or a key does, on a screen of so many pixels; empty for what is neither."""

    def at(place: ScreenPlace) -> Command:
        x, y = place.pixel(width, height)
        return str(x), str(y)

    match action:
        case Tap(element=place):
            return [("input", "tap", *at(place))]
        case DoubleTap(element=place):
            return [("input", "tap", *at(place))] * 2
        case LongPress(element=place):
            return [("input", "swipe", *at(place), *at(place), str(LONG_PRESS_MS))]
        case Swipe(start=start, end=end):
            return [("input", "swipe", *at(start), *at(end), str(SWIPE_MS))]
        case Back():
            return [("input", "keyevent", "KEYCODE_BACK")]
        case Home():
            return [("input", "keyevent", "KEYCODE_HOME")]
    return ()


def is_typable(text: str) -> bool:
    """Whether the phone's own `input text` can write it: it knows the keys of an American keyboard."""
    return all(" " <= character <= "~" or character in "\n\t" for character in text)


def typing(text: str) -> Sequence[Command]:
    """Writes what `is_typable`, keys for line breaks among it.

    `input text` reads "%s" as a blank and knows no way to write these two themselves, so it is given them one by one.
    """
    commands: list[Command] = []
    for number, line in enumerate(text.split("\n")):
        if number:
            commands.append(("input", "keyevent", "KEYCODE_ENTER"))
        for index, cell in enumerate(line.split("\t")):
            if index:
                commands.append(("input", "keyevent", "KEYCODE_TAB"))
            pieces = cell.split("%s")
            words = [
                f"{'s' if index else ''}{piece}{'%' if index < len(pieces) - 1 else ''}"
                for index, piece in enumerate(pieces)
            ]
            commands += [("input", "text", word.replace(" ", "%s")) for word in words if word]
    return commands
