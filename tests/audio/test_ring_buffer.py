"""The last seconds, no more, and nothing after they were cleared."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.audio.ring_buffer import RingBuffer


@given(pieces=st.lists(st.integers(0, 70), max_size=20), wanted=st.integers(-1, 60))
def test_the_last_samples_come_back(pieces: list[int], wanted: int) -> None:
    ring, everything = RingBuffer(40 / 16_000), np.arange(sum(pieces), dtype=np.int16)
    done = 0
    for samples in pieces:
        ring.push(everything[done : done + samples])
        done += samples
        assert len(ring) == min(done, 40)
    held = everything[-40:]
    np.testing.assert_array_equal(ring.last(wanted), held[max(0, len(held) - max(0, wanted)) :])


def test_what_is_read_is_a_copy() -> None:
    ring = RingBuffer(0.01)
    ring.push(np.ones(100, np.int16))
    found = ring.last(100)
    ring.clear()
    assert found.all()


def test_clearing_leaves_nothing_in_memory() -> None:
    ring = RingBuffer(0.5)
    memory = ring._ring
    ring.push(np.full(9_000, 7, np.int16))
    assert memory.all()
    ring.clear()
    assert ring._ring is memory and not memory.any()
    assert len(ring) == 0 and len(ring.last(5)) == 0


def test_its_memory_does_not_grow() -> None:
    ring = RingBuffer(2)
    for _ in range(1_000):
        ring.push(np.ones(320, np.int16))
    assert len(ring) == ring.capacity == 32_000 and ring._ring.nbytes == 64_000


@pytest.mark.parametrize("seconds", [0, -1, 0.00001])
def test_a_buffer_of_nothing_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="at least one"):
        RingBuffer(seconds)
