"""Written text as a voice should be given it: words for figures, units and symbols, no Markdown, no emoji."""

from __future__ import annotations

import re

from edged.pipeline.language import primary_language
from edged.pipeline.spoken.markup import is_ended, lines_to_say

_REPEATED = re.compile(r"([^\w\s.。…])\1{2,}+")
_UNSPOKEN = re.compile(r"[*_^|~\\{}\[\]<>`$#/%+=@&]")
_BEFORE_PUNCTUATION = re.compile(r" +(?=[,.;:!?)\]”’。，！？；：）])")
_AFTER_OPENING = re.compile(r"(?<=[(\[“‘（]) +")
_COMMAS = re.compile(r",(?: ?,)++")
_COMMA_END = re.compile(r", ?(?=[.;:!?])")
_GLUED = re.compile(r",(?=[A-Za-z])")
_DOTS = re.compile(r"(?<!\.)\.\.(?!\.)|\.{4,}+")


def speakable(text: str, language: str) -> str:
    """One line of text to say; empty where nothing is to be heard, as for a block of code or a row of dots.

    `language` is a tag such as "en" or "zh-CN". Of other languages than these two only the markup is removed.
    Any text gives a text, in time proportional to its length.
    """
    lines = [_REPEATED.sub(_once, line) for line in lines_to_say(text)]
    primary = primary_language(language)
    # Each is a long list of patterns, and only the language that is spoken is needed.
    if primary == "zh":
        from edged.pipeline.spoken.chinese import say_chinese

        said = [_tidy(say_chinese(line)) for line in lines]
        return _joined(said, stop="。", space="")
    if primary == "en":
        from edged.pipeline.spoken.english import say_english

        lines = [say_english(line) for line in lines]
    return _joined([_tidy(line) for line in lines], stop=".", space=" ")


def _once(found: re.Match[str]) -> str:
    """Of a character that stands there three times or more."""
    return found[1] if found[1] in "!?！？" else " "


def _joined(lines: list[str], *, stop: str, space: str) -> str:
    lines = [line for line in lines if any(map(str.isalnum, line))]
    ended = [line if is_ended(line) else line + stop for line in lines[:-1]]
    return space.join([*ended, *lines[-1:]])


def _tidy(line: str) -> str:
    """Without symbols that nobody says, and with punctuation where it belongs."""
    line = " ".join(_UNSPOKEN.sub(" ", line).split())
    line = _AFTER_OPENING.sub("", _BEFORE_PUNCTUATION.sub("", line))
    line = _GLUED.sub(", ", _COMMA_END.sub("", _COMMAS.sub(",", line)))
    return _DOTS.sub(lambda dots: "." if len(dots[0]) == 2 else "...", line).strip()
