from __future__ import annotations

import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.engine.kv_cache import KvCache, common_prefix
from edged.errors import Unavailable
from tests.engine.scripted import ScriptedSession


def cache_of(limit_tokens: int) -> tuple[KvCache[dict[int, int]], ScriptedSession]:
    session = ScriptedSession(vocab_size=4)
    return KvCache(session, bytes_per_token=10, limit_bytes=10 * limit_tokens), session


def fill(cache: KvCache[dict[int, int]], prompt: list[int]) -> int:
    """Compute a prompt; returns how much of it was known."""
    with cache.lease(prompt) as sequence:
        known = len(sequence.tokens)
        sequence.prefill(prompt[known:])
        assert sequence.tokens == prompt
        assert [sequence.memory[place] for place in range(len(prompt))] == prompt
    return known


def test_a_continued_sequence_is_taken_over() -> None:
    cache, session = cache_of(100)
    assert fill(cache, [1, 2, 3]) == 0
    assert fill(cache, [1, 2, 3, 4, 5]) == 3
    assert cache.conversations == 1
    assert session.calls == [("prefill", 0, 3), ("prefill", 3, 2)]


def test_a_shared_beginning_is_copied_and_the_other_conversation_stays() -> None:
    cache, session = cache_of(100)
    fill(cache, [1, 2, 3, 4, 5, 6])
    assert fill(cache, [1, 2, 9, 9]) == 2
    assert ("copy", 0, 2) in session.calls
    assert fill(cache, [1, 2, 3, 4, 5, 6, 7]) == 6


def test_an_edited_turn_takes_over_what_it_shares() -> None:
    cache, _ = cache_of(100)
    fill(cache, [1, 2, 3, 4, 5, 6])
    assert fill(cache, [1, 2, 3, 4, 9]) == 4
    assert cache.conversations == 1
    assert cache.used_bytes == 60, "memory once written stays committed"


def test_a_sequence_in_use_is_not_taken_but_copied() -> None:
    cache, _ = cache_of(100)
    fill(cache, [1, 2, 3])
    with cache.lease([1, 2, 3, 4]) as first, cache.lease([1, 2, 3, 4]) as second:
        assert first is not second
        assert len(first.tokens) == len(second.tokens) == 3


def test_the_least_recently_used_is_dropped_when_bytes_run_out() -> None:
    cache, _ = cache_of(10)
    fill(cache, [1] * 4)
    fill(cache, [2] * 4)
    fill(cache, [1] * 4)
    fill(cache, [3] * 4)
    assert cache.used_bytes <= 100
    assert fill(cache, [1] * 4 + [5]) == 4
    assert fill(cache, [2] * 4) == 0, "was dropped"


def test_growing_during_an_answer_is_charged_afterwards() -> None:
    cache, _ = cache_of(10)
    fill(cache, [1] * 4)
    with cache.lease([2, 2, 2]) as sequence:
        sequence.prefill([2, 2, 2])
        for _ in range(5):
            sequence.decode(2)
    assert cache.used_bytes == 80


def test_whole_memories_are_charged_and_room_is_made_before_it_is_taken() -> None:
    """As on a GPU, where a memory takes its full capacity at once."""
    cache, session = cache_of(250)
    session.capacity = 100
    session.committed_positions = lambda tokens: session.capacity  # type: ignore[method-assign]
    allocate, held = session.allocate, []
    session.allocate = lambda: held.append(cache.used_bytes) or allocate()  # type: ignore[method-assign,func-returns-value]
    for first in range(4):
        fill(cache, [first] * 3)
        assert cache.used_bytes == 1000 * min(2, first + 1)
    assert held == [0, 1000, 1000, 1000]


class SmallDevice(ScriptedSession):
    """Has room for two memories, whatever the limit says."""

    def __init__(self) -> None:
        super().__init__(vocab_size=4)
        self.given: list[weakref.ref[Cells]] = []

    def allocate(self) -> Cells:
        if sum(memory() is not None for memory in self.given) == 2:
            raise Unavailable("the GPU has no room left")
        cells = Cells()
        self.given.append(weakref.ref(cells))
        return cells


class Cells(dict[int, int]):
    """Unlike a dict, it can be seen to go."""


def test_a_device_that_is_full_below_the_limit_gets_room_from_what_is_free() -> None:
    cache = KvCache(SmallDevice(), bytes_per_token=10, limit_bytes=10**6)
    fill(cache, [1, 2, 3])
    fill(cache, [4, 5, 6])
    assert fill(cache, [7, 8, 9]) == 0 and cache.conversations == 2
    assert fill(cache, [4, 5, 6, 7]) == 3, "the least recently used one went"
    with cache.lease([9]) as first, cache.lease([8]) as second, pytest.raises(Unavailable):
        assert first is not second
        fill(cache, [7])


def test_a_device_with_room_for_no_copy_gives_up_the_conversation_that_is_closest() -> None:
    cache = KvCache(SmallDevice(), bytes_per_token=10, limit_bytes=10**6)
    with cache.lease([9]):
        fill(cache, [1, 2, 3, 4, 5, 6])
        assert fill(cache, [1, 2, 7]) == 2 and cache.conversations == 2


def test_without_a_limit_nothing_is_kept() -> None:
    cache, _ = cache_of(0)
    fill(cache, [1, 2, 3])
    assert (cache.conversations, cache.used_bytes) == (0, 0)


def test_a_sequence_survives_an_error_with_what_it_holds() -> None:
    cache, _ = cache_of(100)
    with pytest.raises(RuntimeError), cache.lease([1, 2, 3]) as sequence:
        sequence.prefill([1, 2])
        raise RuntimeError
    assert fill(cache, [1, 2, 3]) == 2


@given(prompts=st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), max_size=12), limit=st.integers(0, 30))
def test_any_history_keeps_tokens_and_memory_in_step(prompts: list[list[int]], limit: int) -> None:
    cache, _ = cache_of(limit)
    for prompt in prompts:
        assert fill(cache, prompt) < len(prompt)
        assert cache.used_bytes <= 10 * limit


@given(left=st.lists(st.integers(0, 2)), right=st.lists(st.integers(0, 2)))
def test_common_prefix(left: list[int], right: list[int]) -> None:
    length = common_prefix(left, right)
    assert left[:length] == right[:length]
    assert length == min(len(left), len(right)) or left[length] != right[length]
