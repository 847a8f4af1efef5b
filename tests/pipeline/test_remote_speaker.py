"""What was heard at the other end, by the clock or by what it reports."""

from __future__ import annotations

import numpy as np
import pytest

from edged.pipeline.remote_speaker import RemoteSpeaker
from edged.voice_events import SpokenAudio

RATE = 1000
SECOND = np.ones(RATE, np.int16)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def made() -> tuple[RemoteSpeaker, Clock, list[SpokenAudio]]:
    clock, sent = Clock(), list[SpokenAudio]()
    return RemoteSpeaker(sent.append, clock), clock, sent


def test_sounds_are_sent_at_once_and_heard_one_after_another() -> None:
    speaker, clock, sent = made()
    first, second = (speaker.play(SECOND, sample_rate=RATE) for _ in range(2))
    assert [len(sound.data) for sound in sent] == [2000, 2000]
    clock.now += 1.25
    assert (first.played_samples, second.played_samples) == (1000, 250)
    assert (first.is_done, second.is_done) == (True, False)


def test_cut_keeps_what_was_heard() -> None:
    speaker, clock, _ = made()
    first, second = (speaker.play(SECOND, sample_rate=RATE) for _ in range(2))
    clock.now += 0.5
    speaker.cut()
    clock.now += 5
    assert (first.played_samples, second.played_samples) == (500, 0)
    assert first.is_done and second.is_done
    third = speaker.play(SECOND, sample_rate=RATE)
    clock.now += 0.25
    assert third.played_samples == 250


@pytest.mark.parametrize(("report", "heard"), [(0.4, 400), (0.0, 0), (-1.0, 500), (9.0, 500), (float("nan"), 500)])
def test_a_report_corrects_the_clock_unless_it_cannot_be(report: float, heard: int) -> None:
    speaker, clock, _ = made()
    sound = speaker.play(SECOND, sample_rate=RATE)
    clock.now += 0.5
    speaker.report(report)
    assert sound.played_samples == pytest.approx(heard, abs=1)


async def test_drained_waits_for_the_lag() -> None:
    speaker, clock, _ = made()
    speaker.play(SECOND, sample_rate=RATE)
    clock.now += 1.0
    await speaker.drained()
