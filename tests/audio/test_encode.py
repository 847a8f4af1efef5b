from __future__ import annotations

import io

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.audio.decode import RecordingFormat, read_samples
from edged.audio.encode import ENCODINGS, SoundEncoder
from edged.audio.pcm import Pcm, to_bytes

RATE = 22_050
TONE = (8000 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.int16)


def encoded(kind: str, *pieces: Pcm, sample_rate: int = RATE) -> bytes:
    encoder = SoundEncoder(ENCODINGS[kind], sample_rate=sample_rate)
    return b"".join([*map(encoder.push, pieces), encoder.flush()])


@pytest.mark.parametrize("kind", ["mp3", "opus", "aac", "flac", "wav"])
def test_players_hear_the_tone_that_went_in(kind: str) -> None:
    with av.open(io.BytesIO(encoded(kind, *np.array_split(TONE, 7)))) as container:
        stream = container.streams.audio[0]
        frames = [frame.to_ndarray().reshape(-1).astype(np.float64) for frame in container.decode(stream)]
    sound = np.concatenate(frames)
    loudest = np.abs(np.fft.rfft(sound)).argmax() * stream.rate / len(sound)
    assert loudest == pytest.approx(440, abs=2) and len(sound) / stream.rate == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("kind", ["mp3", "opus", "flac", "wav"])
def test_what_is_spoken_can_be_written_down_again(kind: str) -> None:
    heard = read_samples(encoded(kind, TONE), RecordingFormat(sample_rate=16_000, max_seconds=2))
    assert len(heard) == pytest.approx(16_000, rel=0.1)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 4000), max_size=8))
def test_how_it_comes_changes_nothing(sizes: list[int]) -> None:
    pieces = np.split(TONE[: sum(sizes)], np.cumsum(sizes)[:-1]) if sizes else []
    assert encoded("pcm", *pieces) == to_bytes(TONE[: sum(sizes)])
    assert encoded("wav", *pieces) == encoded("wav", TONE[: sum(sizes)])


def test_the_beginning_is_there_before_the_end() -> None:
    for kind in ("mp3", "opus", "aac", "wav"):
        encoder = SoundEncoder(ENCODINGS[kind], sample_rate=RATE)
        assert any(encoder.push(piece) for piece in [TONE] * 3), kind
