"""Rows and columns, of lines that a test sets on a page and looks at from any side."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.vision.layout import arranged
from edged.vision.markdown import as_markdown, as_text
from edged.vision.ocr import ReadLine
from edged.vision.text_detection import Quad

WIDE = 0.55
"""Of its height, that a character takes."""


def line(text: str, x: float, y: float, height: float = 30.0) -> ReadLine:
    right, bottom = x + WIDE * height * len(text), y + height
    quad = np.array(((x, y), (right, y), (right, bottom), (x, bottom)), np.float32)
    return ReadLine(text=text, confidence=0.9, quad=quad, places=())


def seen(lines: list[ReadLine], transform: np.ndarray) -> list[ReadLine]:
    """As they stand in a photograph, in no order."""
    moved = [
        ReadLine(text=each.text, confidence=each.confidence, quad=_moved(each.quad, transform), places=())
        for each in lines
    ]
    return [moved[index] for index in np.random.default_rng(0).permutation(len(moved))]


def _moved(quad: Quad, transform: np.ndarray) -> Quad:
    return np.asarray(cv2.perspectiveTransform(quad[None], transform)[0], np.float32)


def texts(lines: list[ReadLine]) -> list[list[str]]:
    return [[each.text for each in row] for row in arranged(lines)]


MENU = [
    [line("Lotus Kitchen", 380, 40, 44)],
    [line("Mapo Tofu", 80, 150), line("hot", 700, 150), line("38", 1100, 150)],
    [line("Steamed Fish with Ginger", 80, 240), line("mild", 700, 240), line("62", 1100, 240)],
    [line("Egg Fried Rice", 80, 330), line("mild", 700, 330), line("25", 1100, 330)],
    [line("Tea", 80, 420), line("12", 1100, 420)],
    [line("Hot and Sour Soup", 80, 510), line("hot", 700, 510), line("18", 1100, 510)],
]
EXPECTED = [[each.text for each in row] for row in MENU]
ALL = [each for row in MENU for each in row]
SIDE = 1200.0
SHIFT = st.floats(-0.07, 0.07)


@settings(max_examples=200, deadline=None)
@given(
    degrees=st.floats(-15, 15),
    quarters=st.integers(0, 3),
    corners=st.lists(st.tuples(SHIFT, SHIFT), min_size=4, max_size=4),
)
def test_a_menu_from_any_side(degrees: float, quarters: int, corners: list[tuple[float, float]]) -> None:
    square = np.array(((0, 0), (SIDE, 0), (SIDE, SIDE), (0, SIDE)), np.float32)
    view = cv2.getPerspectiveTransform(square, square + np.array(corners, np.float32) * SIDE)
    turn = np.vstack((cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), degrees + 90 * quarters, 1.0), (0, 0, 1)))
    assert texts(seen(ALL, turn @ view)) == EXPECTED


def test_a_price_far_from_its_dish_shares_its_row() -> None:
    rows = [[line(f"Dish {number}", 50, 60 * number), line(f"{number}.50", 1200, 60 * number)] for number in range(9)]
    assert texts([each for row in rows for each in row]) == [[each.text for each in row] for row in rows]


def prose(x: float, name: str, count: int = 6) -> list[ReadLine]:
    return [line(f"{name} {number} of running text that fills it", x, 40 * number, 22) for number in range(count)]


def test_columns_of_running_text_are_read_one_after_the_other() -> None:
    left, right = prose(40, "left"), prose(640, "right")
    assert texts([*right, *left]) == [[each.text] for each in (*left, *right)]


def test_columns_whose_lines_are_not_level() -> None:
    left = prose(40, "left")
    right = [line(each.text.replace("left", "right"), 640, 13 + 47 * number, 22) for number, each in enumerate(left)]
    assert texts([*right, *left]) == [[each.text] for each in (*left, *right)]


def test_a_title_across_both_columns_comes_first() -> None:
    title = line("A title that is set across both of the columns below it", 100, -80, 34)
    left, right = prose(40, "left"), prose(640, "right")
    assert texts([*right, title, *left]) == [[title.text], *([each.text] for each in (*left, *right))]


def test_two_lists_of_dishes_with_prices_are_two_columns() -> None:
    def dishes(x: float, name: str) -> list[list[ReadLine]]:
        return [
            [line(f"{name} {number}", x, 50 * number), line(f"{10 + number}.00", x + 350, 50 * number)]
            for number in range(5)
        ]

    left, right = dishes(40, "Soup"), dishes(640, "Rice")
    rows = [*left, *right]
    assert texts([each for row in rows for each in row]) == [[each.text for each in row] for row in rows]


def test_a_table_of_words_stays_a_table() -> None:
    rows = [
        [line(name, 40, 50 * number), line(city, 500, 50 * number)]
        for number, (name, city) in enumerate([("Ada", "London"), ("Emmy", "Erlangen"), ("Sofia", "Moscow")])
    ]
    assert texts([each for row in rows for each in row]) == [[each.text for each in row] for row in rows]


def test_nothing_and_a_single_line() -> None:
    assert texts([]) == [] and as_text([]) == as_markdown([]) == ""
    assert texts([line("alone", 5, 5)]) == [["alone"]]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(min_size=1, max_size=9), st.floats(0, 900), st.floats(0, 900), st.floats(3, 90)), max_size=40
    )
)
def test_no_line_is_lost_and_none_comes_twice(places: list[tuple[str, float, float, float]]) -> None:
    lines = [line(*place) for place in places]
    found = [each for row in arranged(lines) for each in row]
    assert sorted(map(id, found)) == sorted(map(id, lines))


def test_markdown_of_a_menu() -> None:
    assert as_text(arranged(ALL)).splitlines()[1] == "Mapo Tofu\thot\t38"
    assert as_markdown(arranged(ALL)).splitlines() == [
        "## Lotus Kitchen",
        "",
        "| Mapo Tofu | hot | 38 |",
        "| --- | --- | --- |",
        "| Steamed Fish with Ginger | mild | 62 |",
        "| Egg Fried Rice | mild | 25 |",
        "| Tea |  | 12 |",
        "| Hot and Sour Soup | hot | 18 |",
    ]


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("a | b", r"a \| b"),
        ("# no heading", r"\# no heading"),
        ("- no list", r"\- no list"),
        ("1. no list", r"1\. no list"),
        ("<script>", r"\<script\>"),
        ("*star* and `tick`", r"\*star\* and \`tick\`"),
        ("[link](x)", r"\[link\](x)"),
    ],
)
def test_what_is_written_is_no_markup(text: str, markdown: str) -> None:
    assert as_markdown([[line(text, 0, 0)]]) == markdown
