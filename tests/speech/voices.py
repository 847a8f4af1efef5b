"""Speech for tests: sentences read aloud by Piper, and sounds that are no speech. 16 kHz throughout."""

from __future__ import annotations

import functools
import hashlib
import re
import tempfile
import wave
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnxruntime
import soxr

from edged import audio, speech
from edged.audio.mel import Samples
from edged.audio.pcm import SAMPLE_RATE, Pcm, to_pcm, to_samples
from edged.speech.piper import PiperVoice
from edged.speech.weights import piper_voice_file

SPOKEN = Path(__file__).parents[2] / "build" / "spoken"
LIBRIVOX = Path("/usr/share/pocketsphinx/test/data/librivox")
"""Debian's pocketsphinx-testdata."""
QUESTIONS = (
    "What time is it?",
    "Turn on the kitchen light.",
    "What is the capital of France?",
    "How is the weather in London today?",
    "Remind me to call my mother tomorrow.",
    "Who wrote the play about Hamlet?",
    "Play some quiet music in the bedroom.",
    "How many days are there in February?",
    "Please close the garage door.",
    "What did I ask you yesterday evening?",
    "Tell me a short story about a dragon.",
    "Stop talking now.",
    "Read the last message again.",
    "Add butter and eggs to my shopping list.",
    "Why is the sky blue?",
    "Where did I leave my keys?",
    "Can you repeat that a little slower?",
    "Who is at the front door?",
    "When does the next train leave?",
    "Thank you very much for your help.",
)


@functools.cache
def voice() -> PiperVoice:
    return _fresh_voice()


def _fresh_voice() -> PiperVoice:
    onnxruntime.set_seed(1)  # Piper draws its noise from where a session's generator stands
    return PiperVoice(piper_voice_file(), threads=2)


@functools.cache
def spoken(text: str) -> Pcm:
    """Read aloud by an American man: the same sound whatever was read before, kept for whoever tests beside or after.

    It is read anew when anything that reads it has changed.
    """
    kept = SPOKEN / _reader() / f"{hashlib.sha256(text.encode()).hexdigest()}.npy"
    if not kept.is_file():
        sound = _read_aloud(text)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as file:
            np.save(file, sound)
        Path(file.name).replace(kept)
    return np.asarray(np.load(kept), np.int16)


def _read_aloud(text: str) -> Pcm:
    reader = _fresh_voice()
    sound = np.concatenate(list(reader.synthesize(text)))
    return to_pcm(np.asarray(soxr.resample(to_samples(sound), reader.sample_rate, SAMPLE_RATE), np.float32))


@functools.cache
def _reader() -> str:
    """A name for all that decides how a text sounds; files of weights are pinned by their hashes in the code."""
    modules = (audio, speech)
    code = [path for module in modules for path in sorted(Path(module.__path__[0]).glob("*.py"))]
    versions = [onnxruntime.__version__, *map(version, ("numpy", "piper-tts", "soxr"))]
    parts = [*(path.read_bytes() for path in (Path(__file__), *code)), " ".join(versions).encode()]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def noise(seconds: float, loudness: float = 0.001, seed: int = 0) -> Pcm:
    """White; loudness is its root mean square, of 1."""
    count = round(seconds * SAMPLE_RATE)
    return to_pcm((loudness * np.random.default_rng(seed).standard_normal(count)).astype(np.float32))


def hum(seconds: float) -> Pcm:
    """Of the mains, and what it makes others do."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    wave_ = 0.1 * np.sin(2 * np.pi * 50 * time) + 0.05 * np.sin(2 * np.pi * 150 * time)
    return to_pcm(wave_.astype(np.float32)) + noise(seconds, 0.002)


def chords(seconds: float) -> Pcm:
    """Struck twice a second."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tones = sum(np.sin(2 * np.pi * hertz * time) for hertz in (262, 330, 392, 523))
    return to_pcm(np.asarray(0.1 * tones * np.exp(-3 * (2 * time % 1)), np.float32))


def in_a_quiet_room(pcm: Pcm, seconds: float = 1.5) -> Pcm:
    """With low noise before and after."""
    return np.concatenate((noise(seconds), pcm, noise(seconds, seed=1)))


def librivox() -> list[tuple[str, Samples]]:
    """A woman reading Jane Austen: what she says and the sound of it."""
    lines = (LIBRIVOX / "transcription").read_text(encoding="ascii").splitlines()
    found = [re.fullmatch(r"<s> (.*) </s> \((.*)\)", line) for line in lines]
    return [(match[1], to_samples(_wav(LIBRIVOX / f"{match[2]}.wav"))) for match in found if match]


def _wav(path: Path) -> Pcm:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def words(text: str) -> list[str]:
    plain = text.lower().replace("mr.", "mister").replace("-", " ")
    return re.sub(r"[^a-z0-9' ]", " ", plain).split()


def wrong_words(said: str, heard: str) -> int:
    """Words to replace, put in or take out."""
    expected, found = words(said), words(heard)
    costs = list(range(len(found) + 1))
    for row, word in enumerate(expected, 1):
        diagonal, costs[0] = costs[0], row
        for column, other in enumerate(found, 1):
            diagonal, costs[column] = (
                costs[column],
                min(costs[column] + 1, costs[column - 1] + 1, diagonal + (word != other)),
            )
    return costs[-1]
