"""Rules that replace written patterns by words, one after another.

Every pattern in this package starts at the start of a run of digits or letters (a look-behind says so) and
repeats possessively or a bounded number of times, so that a text takes time in proportion to its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

Say = str | Callable[[re.Match[str]], str]
"""What is said for a match; text may name its groups as in `re.sub`."""
Rule = tuple[re.Pattern[str], Say]

START = r"(?<![A-Za-z0-9_.])(?<!\d[,/:-])"
"""In front of a number: it is not the rest of a word, a date or a longer number."""
NUMBER = r"(?:\d{1,3}+(?:,\d{3})++(?!\d)|\d++)(?:\.\d++)?+"
DASH = r" ?(?:[-–—~]|–-) ?"
"""Between the ends of a range."""
SCALES = r"(?:thousand|million|billion|trillion|bn)(?![A-Za-z])|(?<=\d)[kKMBT](?![A-Za-z-])"


def rule(pattern: str, say: Say) -> Rule:
    """What is said for every match of the pattern."""
    return re.compile(pattern), say


def rewrite(text: str, rules: Iterable[Rule]) -> str:
    """The text after each rule in turn."""
    for pattern, say in rules:
        text = pattern.sub(say, text)
    return text


def words_pattern(words: Iterable[str]) -> str:
    """An alternative of literal words, the longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
