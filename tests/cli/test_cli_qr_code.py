"""QR codes as a terminal shows them, read back by whoever sees it."""

from __future__ import annotations

import re
import sys

import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st

from edged.cli.qr_code import QUIET, qr_lines
from edged.errors import MissingExtra

LINK = "https://192.168.178.120:8443/#pair=AAAAAAAAAAAAAAAAAAAAAA&fp=" + "0123456789ABCDEF" * 4
LIGHT = {"█": (True, True), "▀": (True, False), "▄": (False, True), " ": (False, False)}
STYLED = re.compile("\x1b\\[38;5;231;48;5;16m([█▀▄ ]+)\x1b\\[0m")
"""White on black by the fixed colours: light is light on dark and on light terminals."""


def pixels(lines: list[str]) -> list[list[bool]]:
    """Whether each half of a cell is white."""
    rows: list[list[bool]] = []
    for line in lines:
        found = STYLED.fullmatch(line)
        assert found
        cells = [LIGHT[cell] for cell in found[1]]
        rows += [[upper for upper, _ in cells], [lower for _, lower in cells]]
    return rows


@given(st.text(min_size=1, max_size=120))
def test_what_is_shown_is_the_code(text: str) -> None:
    expected = [[not module for module in row] for row in segno.make_qr(text, error="l").matrix_iter(border=QUIET)]
    shown = pixels(qr_lines(text))
    assert shown[: len(expected)] == expected
    assert not any(any(row) for row in shown[len(expected) :])


def test_a_link_fits_a_terminal() -> None:
    lines = qr_lines(LINK)
    assert len(lines) <= 24 and all(len(STYLED.fullmatch(line)[1]) <= 80 for line in lines)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segno", None)
    with pytest.raises(MissingExtra, match=r"edged\[web\]"):
        qr_lines(LINK)
