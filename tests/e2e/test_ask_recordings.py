"""`edged ask --audio` with a model that reads text alone: speech is written down, what is none is refused."""

from __future__ import annotations

import asyncio
import io
import json
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from edged.audio.mel import Samples
from edged.audio.pcm import SAMPLE_RATE, Pcm, to_samples
from edged.client import Client
from edged.events import Audio
from tests.e2e.program import Home
from tests.speech.voices import QUESTIONS, noise, spoken

QUESTION = "What is the capital of France?"


def said() -> Samples:
    return np.concatenate([to_samples(noise(0.5)), to_samples(spoken(QUESTION)), to_samples(noise(0.5))])


def written(
    samples: Samples | Pcm, path: Path, rate: int = SAMPLE_RATE, kind: str = "WAV", subtype: str = "PCM_16"
) -> Path:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    path.write_bytes(buffer.getvalue())
    return path


KINDS: dict[str, Callable[[Path], Path]] = {
    "wav": lambda path: written(said(), path),
    "8 kHz": lambda path: written(soxr.resample(said(), SAMPLE_RATE, 8000), path, 8000),
    "48 kHz stereo": lambda path: written(
        np.stack([soxr.resample(said(), SAMPLE_RATE, 48_000)] * 2, axis=1), path, 48_000
    ),
    "clipped": lambda path: written(np.clip(said() * 20, -1, 1), path),
    "mp3": lambda path: written(said(), path, kind="MP3", subtype="MPEG_LAYER_III"),
    "flac": lambda path: written(said(), path, kind="FLAC"),
    "ogg": lambda path: written(said(), path, kind="OGG", subtype="OPUS"),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_said_is_written_down_and_answered(served: Home, tmp_path: Path, kind: str) -> None:
    path = await asyncio.to_thread(KINDS[kind], tmp_path / "question")
    done = await asyncio.to_thread(served.run, "ask", "--json", "--max-tokens", "4", "--audio", str(path))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert "capital of france" in report["transcript"].lower()
    assert report["text"]
    async with Client(served.address) as client:
        transcript = await client.get_conversation(report["conversation_id"])
        hits = (await client.search("capital")).hits
    (recording,) = [part for part in transcript.messages[0].parts if isinstance(part, Audio)]
    assert recording.transcript == report["transcript"]
    assert report["conversation_id"] in [hit.conversation.id for hit in hits]


def test_what_was_said_is_shown_and_found(served: Home, tmp_path: Path) -> None:
    path = KINDS["wav"](tmp_path / "question")
    report = json.loads(served.run("ask", "--json", "--max-tokens", "4", "--audio", str(path)).stdout)
    assert report["transcript"] in served.run("conversations", "show", report["conversation_id"]).stdout
    assert report["conversation_id"] in served.run("conversations", "search", "capital").stdout


BROKEN: dict[str, tuple[Callable[[Path], Path], str]] = {
    "silence": (lambda path: written(np.zeros(3 * SAMPLE_RATE, np.float32), path), "nobody says anything"),
    "noise": (lambda path: written(to_samples(noise(3.0, 0.05)), path), "nobody says anything"),
    "zero length": (lambda path: written(np.zeros(0, np.float32), path), "empty"),
    "two hours": (lambda path: written(np.zeros(7200 * 8000, np.int16), path, 8000, "FLAC"), "600 seconds at most"),
    "no sound": (lambda path: path.with_suffix(".wav"), "not a WAV"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_speech_is_refused_in_a_line(served: Home, tmp_path: Path, kind: str) -> None:
    make, problem = BROKEN[kind]
    if kind == "no sound":
        (tmp_path / "recording.wav").write_bytes(b"<html>not found</html>")
    done = served.run("ask", "--audio", str(make(tmp_path / "recording")))
    assert done.returncode == 1
    assert problem in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_long_recordings_leave_memory_as_it_was(home: Home, tmp_path: Path) -> None:
    """A minute and a half of speech, again and again: the fourth time costs no more than the second."""
    questions = [np.concatenate([to_samples(spoken(question)), to_samples(noise(0.5))]) for question in QUESTIONS]
    path = written(np.concatenate(questions * 2), tmp_path / "long", kind="FLAC")
    with home.daemon() as daemon:
        peaks = []
        for _ in range(4):
            done = home.run("ask", "--json", "--max-tokens", "2", "--audio", str(path))
            assert json.loads(done.stdout)["transcript"].lower().count("capital of france") == 2
            peaks.append(resident_bytes(daemon.process.pid))
        assert peaks[3] < peaks[1] * 1.1


def resident_bytes(process_id: int) -> int:
    return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * resource.getpagesize()
