"""What a speaker has still to play, to the sample: order, cuts, ramps and counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.audio.pcm import Pcm
from edged.audio.playback import PlaybackQueue

RATE, BLOCK = 48_000, 480


def loud(samples: int, value: int = 10_000) -> Pcm:
    return np.full(samples, value, np.int16)


def taken(queue: PlaybackQueue, blocks: int) -> Pcm:
    return np.concatenate([queue.take(BLOCK) for _ in range(blocks)])


@given(lengths=st.lists(st.integers(0, 1_500), max_size=8), block=st.integers(1, 900))
def test_sounds_come_one_after_another_without_a_gap(lengths: list[int], block: int) -> None:
    queue, sound = PlaybackQueue(RATE), np.arange(1, sum(lengths) + 1, dtype=np.int16)
    ends = np.cumsum(lengths)
    playbacks = [
        queue.add(sound[end - length : end], length, goes_on=False) for end, length in zip(ends, lengths, strict=True)
    ]
    found = np.concatenate([queue.take(block) for _ in range(sum(lengths) // block + 1)])
    np.testing.assert_array_equal(found[: len(sound)], sound)
    assert not found[len(sound) :].any()
    assert queue.is_empty and all(playback.is_done for playback in playbacks)
    assert [playback.played_samples for playback in playbacks] == lengths
    assert queue.underruns == 0


def test_how_far_each_sound_got_is_known_at_its_own_rate() -> None:
    queue = PlaybackQueue(RATE)
    first, second = queue.add(loud(960), 441, goes_on=False), queue.add(loud(960), 441, goes_on=False)
    taken(queue, 1)
    assert (first.played_samples, second.played_samples) == (220, 0) and not first.is_done
    taken(queue, 2)
    assert (first.played_samples, second.played_samples) == (441, 220) and first.is_done and not second.is_done


def test_a_cut_fades_out_within_a_block_and_drops_the_rest() -> None:
    queue = PlaybackQueue(RATE)
    first, second = queue.add(loud(4_800), 4_800, goes_on=True), queue.add(loud(4_800), 4_800, goes_on=False)
    taken(queue, 2)
    queue.cut()
    block = queue.take(BLOCK)
    assert np.diff(block).min() > -100 and not block[240:].any() and block[0] > 9_900
    assert queue.is_empty and not queue.take(BLOCK).any()
    assert first.is_done and second.is_done
    assert (first.played_samples, second.played_samples) == (960 + 240, 0)
    assert queue.underruns == 0


def test_what_comes_after_a_cut_is_played() -> None:
    queue = PlaybackQueue(RATE)
    queue.cut()
    queue.add(loud(BLOCK), BLOCK, goes_on=False)
    assert (queue.take(BLOCK) == 10_000).all()
    assert not queue.take(BLOCK).any()


def test_a_device_that_is_gone_drops_everything_at_once() -> None:
    queue = PlaybackQueue(RATE)
    playback = queue.add(loud(BLOCK), BLOCK, goes_on=False)
    queue.drop()
    assert playback.is_done and playback.played_samples == 0 and not queue.take(BLOCK).any()


@pytest.mark.parametrize("first", [BLOCK, BLOCK - 100, 3 * BLOCK])
def test_a_sound_that_was_to_go_on_and_does_not_is_one_underrun(first: int) -> None:
    queue = PlaybackQueue(RATE)
    queue.add(loud(first), first, goes_on=True)
    taken(queue, 9)
    assert queue.underruns == 1
    queue.add(loud(100), 100, goes_on=False)
    taken(queue, 3)
    assert queue.underruns == 1


def test_silence_is_counted_from_the_last_sample_on() -> None:
    queue = PlaybackQueue(RATE)
    queue.add(loud(BLOCK + 80), 80, goes_on=False)
    taken(queue, 1)
    assert queue.silent_samples == 0
    taken(queue, 2)
    assert queue.silent_samples == 2 * BLOCK - 80


def test_a_new_volume_comes_with_a_ramp() -> None:
    queue = PlaybackQueue(RATE, gain=0.0)
    queue.add(loud(RATE), RATE, goes_on=False)
    assert not queue.take(BLOCK).any()
    queue.set_gain(1)
    up = taken(queue, 3)
    assert up[0] == 0 and up[-1] == 10_000 and np.diff(up).min() >= 0 and np.diff(up).max() < 20
    assert up[960:].min() == 10_000  # 20 ms for the whole way
    queue.set_gain(0.25)
    down = taken(queue, 3)
    assert down[-1] == 2_500 and np.diff(down).min() > -20


def test_what_is_played_is_left_untouched() -> None:
    queue, sound = PlaybackQueue(RATE), loud(BLOCK)
    queue.add(sound, BLOCK, goes_on=False)
    queue.set_gain(0)
    queue.take(BLOCK)
    assert (sound == 10_000).all()
