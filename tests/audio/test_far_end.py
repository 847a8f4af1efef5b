"""What the echo canceller is told of the speaker: the same whether silence is resampled or known to be silence."""

from __future__ import annotations

import numpy as np
import pytest

from edged.audio.pcm import FRAME_SAMPLES, SAMPLE_RATE, Pcm
from edged.audio.resample import Resampler
from edged.audio.sound_process import Opened
from edged.audio.speaker import _Output


def played(rate: int, blocks: list[Pcm]) -> Pcm:
    output = _Output(Opened(name="", sample_rate=rate, channels=1, block_samples=len(blocks[0])), 1.0)
    frames: list[Pcm] = []
    for block in blocks:
        output._far.append(block)
        frames += output.far_frames()
    return np.concatenate(frames)


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100, 48_000])
def test_silence_is_as_long_as_it_was_and_what_follows_it_is_unchanged(rate: int) -> None:
    block = rate // 100
    tone = (8000 * np.sin(2 * np.pi * 500 * np.arange(20 * block) / rate)).astype(np.int16).reshape(20, block)
    silence = [np.zeros(block, np.int16)] * 200
    blocks = [*silence, *tone, *silence, *tone, *silence]
    found, whole = played(rate, blocks), Resampler(rate).push(np.concatenate(blocks))
    length = min(len(found), len(whole)) // FRAME_SAMPLES * FRAME_SAMPLES
    assert length >= len(blocks) * block * SAMPLE_RATE // rate - 3 * FRAME_SAMPLES
    assert np.abs(found[:length].astype(np.int32) - whole[:length]).max() <= 2
