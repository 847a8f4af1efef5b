"""Recordings of every kind, and files that lie."""

from __future__ import annotations

import resource
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.audio.decode import RecordingFormat, begin_samples, read_length, read_samples
from edged.audio.mel import Samples
from edged.errors import InvalidInput, MissingExtra
from tests.audio.recordings import AT_16_KHZ, encoded, tone, wav

KINDS = [
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "PCM_32"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("WAV", "ULAW"),
    ("WAVEX", "PCM_24"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
@pytest.mark.parametrize(("kind", "encoding"), KINDS)
def test_the_sound_is_the_same_from_every_kind_of_file(kind: str, encoding: str, rate: int, channels: int) -> None:
    data = encoded(tone(0.7, rate, channels=channels), rate, kind, encoding)
    found = read_samples(data, AT_16_KHZ)
    assert found.dtype == np.float32 and len(found) == read_length(data, AT_16_KHZ) == 11_200
    expected = tone(0.7)[:, 0] / channels
    middle = slice(1_600, -1_600)  # codecs fade in and out
    assert np.abs(found - expected)[middle].max() < (0.08 if kind in ("OGG", "MP3") else 0.02)


@pytest.mark.parametrize("rate", [1_000, 7_350, 11_025, 22_050, 37_800, 44_100, 96_000, 192_000])
def test_odd_rates_are_resampled(rate: int) -> None:
    data = encoded(tone(0.5, rate, hertz=200), rate)
    found = read_samples(data, AT_16_KHZ)
    assert len(found) == read_length(data, AT_16_KHZ) == 8_000
    assert np.abs(found - tone(0.5, hertz=200)[:, 0])[1_600:-1_600].max() < 0.01


def test_what_lies_above_the_band_does_not_come_back_as_noise() -> None:
    found = read_samples(encoded(tone(0.5, 48_000, hertz=10_000), 48_000), AT_16_KHZ)
    assert np.abs(found[800:-800]).max() < 1e-3


def test_too_long_a_recording_is_told_its_length() -> None:
    data = encoded(np.zeros((8_000 * 31, 1), np.float32), 8_000)
    for read in (read_length, read_samples):
        with pytest.raises(InvalidInput, match=r"30 seconds at most, this one is 31\.0 seconds long") as error:
            read(data, AT_16_KHZ)
        assert error.value.field == "parts"
    assert len(read_samples(data, RecordingFormat(sample_rate=16_000, max_seconds=31))) == 16_000 * 31


@pytest.mark.parametrize(("kind", "encoding"), [pair for pair in KINDS if pair[0] != "MP3"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_that_breaks_off_is_refused(kind: str, encoding: str, share: float) -> None:
    data = encoded(tone(2, 48_000), 48_000, kind, encoding)
    with pytest.raises(InvalidInput, match="the recording is damaged") as error:
        read_samples(data[: int(len(data) * share)], AT_16_KHZ)
    assert "\n" not in error.value.message and "0x" not in error.value.message


def test_half_an_mp3_is_refused() -> None:
    data = encoded(tone(4, 44_100), 44_100, "MP3")
    with pytest.raises(InvalidInput, match="breaks off"):
        read_samples(data[: len(data) // 2], AT_16_KHZ)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("encoding", ["FLOAT", "DOUBLE"])
def test_samples_that_are_no_numbers_are_refused(value: float, encoding: str) -> None:
    wave = tone(1)
    wave[5_000] = value
    with pytest.raises(InvalidInput, match="no numbers"):
        read_samples(encoded(wave, encoding=encoding), AT_16_KHZ)


def test_samples_beyond_full_scale_are_cut() -> None:
    found = read_samples(encoded(np.full((800, 1), 1e30, np.float32), encoding="FLOAT"), AT_16_KHZ)
    assert (found == 1).all()


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG"])
def test_no_samples_are_no_recording(kind: str) -> None:
    with pytest.raises(InvalidInput, match=r"the recording (is|does)"):
        read_samples(encoded(np.zeros((0, 1), np.float32), kind=kind), AT_16_KHZ)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"RIFF\0\0\0\0WAVE",
        b"RIFF\xff\xff\xff\xffWAVE" + bytes(200),
        b"hello",
        b"fLaC" + bytes(100),
        b"OggS",
        b"OggS" + bytes(300),
        b"ID3",
        b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(100),
        b"\xff\xfb\x90\xc4",
        b"\xff\xfb\x90\xc4" + bytes(1000),
        b"FORM\0\0\0\0AIFF" + bytes(100),
        wav(b"", channels=0),
        wav(bytes(100), rate=0),
        wav(bytes(100), rate=2**32 - 1),
        wav(bytes(100), rate=999),
        wav(bytes(900), channels=9),
        wav(bytes(100), bits=0),
        wav(bytes(100), code=0x55),
        wav(bytes(100), code=0x31),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(data: bytes) -> None:
    for read in (read_length, read_samples):
        with pytest.raises(InvalidInput, match="recording") as error:
            read(data, AT_16_KHZ)
        assert "\n" not in error.value.message and "0x" not in error.value.message


def test_lengths_that_lie_take_no_memory() -> None:
    flac = bytearray(encoded(tone(0.5), kind="FLAC"))
    flac[21:26] = bytes([flac[21] | 0x0F, 0xFF, 0xFF, 0xFF, 0xFF])  # 2**36 - 1 samples
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for data in (bytes(flac), wav(bytes(3200), size=0x7FFE_FFFF), wav(bytes(3200), channels=8, size=0x7000_0000)):
        with pytest.raises(InvalidInput, match="recording"):
            read_samples(data, AT_16_KHZ)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


@pytest.mark.parametrize("size", [0x7FFF_FFFF, 0xFFFF_FFFF, 0x8000_0000])
def test_a_wav_that_was_streamed_does_not_know_its_length(size: int) -> None:
    samples = (tone(0.5)[:, 0] * 32767).astype("<i2").tobytes()
    assert len(read_samples(wav(samples, size=size), AT_16_KHZ)) == 8_000


def test_a_flac_that_was_streamed_is_refused() -> None:
    """libsndfile cannot seek in it."""
    flac = bytearray(encoded(tone(0.5), kind="FLAC"))
    flac[21:26] = bytes([flac[21] & 0xF0, 0, 0, 0, 0])
    with pytest.raises(InvalidInput, match="does not say how long it is"):
        read_samples(bytes(flac), AT_16_KHZ)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["WAV", "FLAC", "OGG", "MP3"]),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=12),
    within=st.sampled_from([64, 10**6]),
)
def test_changed_bytes_give_a_recording_or_one_line(kind: str, changes: list[tuple[int, int]], within: int) -> None:
    data = bytearray(encoded(tone(0.2), kind=kind))
    for place, value in changes:
        data[place % min(within, len(data))] = value
    for read in (read_length, read_samples):
        try:
            read(bytes(data), AT_16_KHZ)
        except InvalidInput as exc:
            assert "\n" not in exc.message


def test_files_are_decoded_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order they came, and those that nobody wants any more not at all."""
    order: list[bytes] = []
    entered, leave = threading.Event(), threading.Event()

    def decoded(data: bytes, recording_format: RecordingFormat) -> Samples:
        order.append(data)
        entered.set()
        assert leave.wait(10)
        return np.zeros(0, np.float32)

    monkeypatch.setattr("edged.audio.decode.read_samples", decoded)
    first, second, third = (begin_samples(name, AT_16_KHZ) for name in (b"1", b"2", b"3"))
    assert entered.wait(10) and not second.running()
    assert second.cancel()
    leave.set()
    third.result(10)
    assert first.done() and order == [b"1", b"3"]


def test_the_library_is_loaded_by_the_first_recording_only() -> None:
    code = "import sys, edged.audio.decode; sys.exit('soundfile' in sys.modules or 'soxr' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("library", ["soundfile", "soxr"])
def test_without_the_libraries_the_extra_is_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=r"pip install 'edged\[media\]'"):
        read_length(struct.pack("<I", 0), AT_16_KHZ)
