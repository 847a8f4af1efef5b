"""Positions in time, height and width: by hand here, against transformers in tests/engines_build/test_glm4v.py."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edged.engine.positions import Area, rope_positions, rope_shift


def test_text_stands_where_it_stands() -> None:
    np.testing.assert_array_equal(rope_positions(4, []), [[0, 1, 2, 3]] * 3)
    assert rope_shift([]) == 0


def test_a_picture_stays_in_time_and_spreads_over_its_grid() -> None:
    area = Area(start=2, rows=2, columns=3)
    time, height, width = rope_positions(10, [area])
    assert time.tolist() == [0, 1, 2, 2, 2, 2, 2, 2, 5, 6]
    assert height.tolist() == [0, 1, 2, 2, 2, 3, 3, 3, 5, 6]
    assert width.tolist() == [0, 1, 2, 3, 4, 2, 3, 4, 5, 6]
    assert (area.stop, rope_shift([area])) == (8, -3)


def test_a_screenshot_takes_84_positions() -> None:
    area = Area(start=1, rows=84, columns=37)
    positions = rope_positions(3110, [area])
    assert positions[:, -1].tolist() == [85, 85, 85]
    assert rope_shift([area]) == 84 - 3108


@given(
    gaps=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    grids=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), max_size=3),
)
def test_each_piece_goes_on_behind_the_largest_position_before_it(
    gaps: list[int], grids: list[tuple[int, int]]
) -> None:
    areas: list[Area] = []
    end = 0
    for gap, (rows, columns) in zip(gaps, grids, strict=False):
        areas.append(Area(start=end + gap, rows=rows, columns=columns))
        end = areas[-1].stop
    total = end + gaps[-1]
    positions = rope_positions(total, areas)
    assert positions.shape == (3, total)
    for area in areas:
        before = positions[:, : area.start].max(initial=-1)
        inside = positions[:, area.start : area.stop]
        assert inside.min() == before + 1
        assert inside.max() == before + max(area.rows, area.columns)
    text = np.ones(total, bool)
    for area in areas:
        text[area.start : area.stop] = False
    assert (positions[:, text] == positions[0, text]).all()
    assert total + rope_shift(areas) == positions.max(initial=-1) + 1


@given(st.integers(1, 4), st.integers(1, 4))
def test_the_shift_leads_to_the_next_token(rows: int, columns: int) -> None:
    area = Area(start=3, rows=rows, columns=columns)
    longer = rope_positions(area.stop + 5, [area])
    assert (longer[:, area.stop] == area.stop + rope_shift([area])).all()
