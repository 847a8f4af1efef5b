"""QR codes in a terminal, two modules a character, readable on dark and on light ones."""

from __future__ import annotations

from itertools import zip_longest

from edged.errors import MissingExtra

QUIET = 2
"""Modules of margin. The standard says four, but phones read these, and a terminal has few lines."""
_HALVES = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}
"""By whether the upper and the lower module are light: those are drawn."""
_WHITE_ON_BLACK = "\x1b[38;5;231;48;5;16m"
"""Of the 256 colours that no theme changes."""
_RESET = "\x1b[0m"


def qr_lines(text: str) -> list[str]:
    """Lines to print; without their colours they are for a dark terminal. Raises MissingExtra."""
    try:
        import segno
    except ImportError as exc:
        raise MissingExtra("showing a QR code needs an extra: pip install 'edged[web]'") from exc
    rows = [[not is_dark for is_dark in row] for row in segno.make_qr(text, error="l").matrix_iter(border=QUIET)]
    pairs = zip_longest(rows[::2], rows[1::2], fillvalue=[False] * len(rows[0]))
    lines = ["".join(_HALVES[halves] for halves in zip(upper, lower, strict=True)) for upper, lower in pairs]
    return [f"{_WHITE_ON_BLACK}{line}{_RESET}" for line in lines]
