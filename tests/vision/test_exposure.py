from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.vision.exposure import ExposureSettling


def settled_after(*brightness: float, warm_up_frames: int = 0) -> int:
    """Which frame is the first to be shown, from 1 on; 0 for none."""
    settling = ExposureSettling(warm_up_frames=warm_up_frames)
    return next((n for n, one in enumerate(brightness, 1) if settling.push(brightness=one, seconds=0.05)), 0)


def test_it_waits_until_the_light_is_steady() -> None:
    assert settled_after(10, 40, 80, 110, 118, 120, 121, 120) == 8
    assert settled_after(10, 40, 80, 110) == 0


def test_a_steady_light_and_darkness_are_shown_after_the_warm_up() -> None:
    assert settled_after(*[100] * 10) == 4
    assert settled_after(*[100] * 10, warm_up_frames=5) == 6
    assert settled_after(*[1, 3] * 5, warm_up_frames=5) == 6


@given(st.lists(st.floats(0, 255), min_size=40, max_size=40))
def test_a_light_that_never_settles_is_taken_after_a_second(brightness: list[float]) -> None:
    assert 0 < settled_after(*brightness) <= 21
