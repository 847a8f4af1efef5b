"""Text on its way to a voice: nothing in it that synthesizers take for a command, and not too much at once."""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_CHARACTERS = 200
"""Read aloud at once: a quarter of a minute, whose sound takes a synthesizer a few hundred megabytes."""
_COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]+")
"""espeak-ng's begin with a control character."""
_ENDS = re.compile(r"[.!?。！？…]+[\"'”’)]*\s+|[。！？…]+|\n\s*")
_BREATHS = re.compile(r"[,;:–—、，；：)]+\s*|\s+")


def pieces(text: str) -> Iterator[str]:
    """The text in order, cut after sentences where it is long, or where one would breathe. Never blank ones."""
    rest = _COMMANDS.sub(" ", text.encode("utf-8", "replace").decode("utf-8"))
    rest = rest.replace("[[", "[ [").strip()  # double brackets would hold phonemes
    while rest:
        cut = len(rest) if len(rest) <= MAX_CHARACTERS else _cut(rest[:MAX_CHARACTERS])
        yield rest[:cut].rstrip()
        rest = rest[cut:].lstrip()


def _cut(text: str) -> int:
    for place in (_ENDS, _BREATHS):
        ends = [found.end() for found in place.finditer(text)]
        if ends:
            return ends[-1]
    return len(text)
