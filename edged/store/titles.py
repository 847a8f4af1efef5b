"""Titles of conversations: one printable line."""

from __future__ import annotations

from collections.abc import Sequence

from edged.errors import InvalidInput
from edged.events import Audio, Image, Part, Text
from edged.store.texts import storable

MAX_TITLE_CHARACTERS = 200
_AUTOMATIC_CHARACTERS = 60
_JOINER = "\u200d"
"""Zero width joiner: several emoji make one."""


def title_from(parts: Sequence[Part]) -> str:
    """The beginning of what was said first, cut between words; or what kind of thing was sent."""
    for part in parts:
        match part:
            case Text(text=text) | Audio(transcript=text):
                if line := one_line(text.lstrip()[: 8 * _AUTOMATIC_CHARACTERS]):
                    return _shortened(line)
    match parts[0]:
        case Image():
            return "Image"
        case Audio():
            return "Recording"
    return "Untitled"


def checked_title(title: str) -> str:
    """The title on one line. Raises InvalidInput when empty or longer than 200 characters."""
    line = one_line(storable(title, field="title"))
    if not line:
        raise InvalidInput("the title is empty", field="title")
    if len(line) > MAX_TITLE_CHARACTERS:
        raise InvalidInput(f"the title is longer than {MAX_TITLE_CHARACTERS} characters", field="title")
    return line


def one_line(text: str) -> str:
    """Words joined by single spaces, without characters that would move a terminal's cursor."""
    return " ".join("".join(c if c.isprintable() or c == _JOINER else " " for c in text).split())


def _shortened(line: str) -> str:
    if len(line) <= _AUTOMATIC_CHARACTERS:
        return line
    cut = line[:_AUTOMATIC_CHARACTERS]
    words, _, _ = cut.rpartition(" ")
    return (words if len(words) > _AUTOMATIC_CHARACTERS // 2 else cut) + "…"
