"""Timers are set, cancelled and come due on the clock that they are told."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.errors import InvalidInput
from edged.pipeline.timers import MAX_NAME_CHARACTERS, MAX_SECONDS, MAX_TIMERS, Timer, Timers


def test_a_timer_comes_due_once() -> None:
    timers = Timers()
    tea = timers.set(100.0, 60, "tea")
    assert tea == Timer(seconds=60, name="tea", due=160.0)
    assert timers.due(159.9) == []
    assert timers.due(160.0) == [tea]
    assert timers.due(161.0) == []


def test_several_come_due_in_their_order() -> None:
    timers = Timers()
    late, early, middle = timers.set(0, 30), timers.set(0, 10), timers.set(5, 15)
    assert timers.due(10) == [early]
    assert timers.due(1000) == [middle, late]
    assert len(timers) == 0


def test_what_is_left_is_told_soonest_first() -> None:
    timers = Timers()
    pasta, tea = timers.set(0, 600, "pasta"), timers.set(60, 120, "tea")
    assert timers.left(100) == [(tea, 80), (pasta, 500)]
    assert timers.left(200) == [(tea, 0), (pasta, 400)]
    assert len(timers) == 2


def test_the_only_timer_needs_no_name() -> None:
    timers = Timers()
    tea = timers.set(0, 60, "tea")
    assert timers.cancel() == [tea]
    assert timers.cancel() == []


def test_of_several_only_the_one_that_is_meant_is_cancelled() -> None:
    timers = Timers()
    tea, pasta, plain = timers.set(0, 60, "tea"), timers.set(0, 600, "Pasta"), timers.set(0, 300)
    assert timers.cancel() == []
    assert timers.cancel("eggs") == []
    assert timers.cancel(" pasta") == [pasta]
    assert timers.cancel(seconds=300) == [plain]
    assert timers.cancel("tea", 61) == []
    assert timers.left(0) == [(tea, 60)]


def test_two_of_the_same_name_are_kept_until_one_is_meant() -> None:
    timers = Timers()
    first, second = timers.set(0, 60, "tea"), timers.set(0, 90, "tea")
    assert timers.cancel("tea") == []
    assert timers.cancel("tea", 90) == [second]
    assert timers.cancel("tea") == [first]


def test_equal_timers_are_told_apart() -> None:
    timers = Timers()
    timer = timers.set(0, 60)
    assert timers.set(0, 60) == timer
    assert timers.due(60) == [timer, timer]


def test_all_are_cancelled_together() -> None:
    timers = Timers()
    tea, pasta = timers.set(0, 60, "tea"), timers.set(0, 600, "pasta")
    assert timers.cancel_all() == [tea, pasta]
    assert timers.left(0) == []


@pytest.mark.parametrize("seconds", [1, 1.5, 60, MAX_SECONDS])
def test_the_limits_themselves_are_taken(seconds: float) -> None:
    assert Timers().set(0, seconds).due == seconds


@pytest.mark.parametrize("seconds", [0, 0.5, -1, MAX_SECONDS + 1, math.inf, math.nan])
def test_other_lengths_are_refused(seconds: float) -> None:
    timers = Timers()
    with pytest.raises(InvalidInput, match="1 to 86400 seconds") as raised:
        timers.set(0, seconds)
    assert raised.value.field == "seconds"
    assert len(timers) == 0


def test_long_names_are_refused() -> None:
    with pytest.raises(InvalidInput) as raised:
        Timers().set(0, 60, "x" * (MAX_NAME_CHARACTERS + 1))
    assert raised.value.field == "name"


def test_so_many_run_and_no_more() -> None:
    timers = Timers()
    for seconds in range(1, MAX_TIMERS + 1):
        timers.set(0, seconds)
    with pytest.raises(InvalidInput, match="50 timers") as raised:
        timers.set(0, 60)
    assert raised.value.field == "timers"
    timers.due(1)
    timers.set(1, 60)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(1, MAX_SECONDS)), max_size=MAX_TIMERS), st.floats(0, 2e6))
def test_each_is_either_due_or_left(settings: list[tuple[float, float]], now: float) -> None:
    timers = Timers()
    running = [timers.set(start, seconds) for start, seconds in settings]
    done = timers.due(now)
    left = timers.left(now)
    assert sorted([*done, *(timer for timer, _ in left)], key=id) == sorted(running, key=id)
    assert all(timer.due <= now for timer in done)
    assert all(seconds > 0 for _, seconds in left)
    assert [timer.due for timer in done] == sorted(timer.due for timer in done)
