"""Synthetic voices: espeak-ng's accents and variants, flite's and festival's speakers, from Debian's packages."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
import wave
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edged.errors import NotFound

Samples = NDArray[np.float32]
"""-1 to 1 at 16 kHz."""
Style = Literal["neutral", "excited", "quiet"]
STYLES: tuple[Style, ...] = ("neutral", "excited", "quiet")
SAMPLE_RATE = 16000
PACKAGES = "espeak-ng flite"
_ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-us-nyc", "en-gb-x-gbclan")
_VARIANTS = (
    "", "", "m1", "m2", "m3", "m4", "m7", "f1", "f2", "f4", "klatt2", "klatt4", "Alex", "Andy", "Annie", "Belinda",
    "Boris", "Caleb", "Denis", "Ed", "Edward", "Gene", "Hugo", "Jacky", "John", "Lee", "Linda", "Mario", "Max",
    "Michael", "Mike", "Paul", "Pedro", "Robert", "Steph", "Steph2", "Tweaky", "Zac", "grandma", "norbert", "victor",
)  # fmt: skip
_HELD_OUT_VARIANTS = (
    "m5",
    "m6",
    "f3",
    "f5",
    "klatt3",
    "Adam",
    "Alicia",
    "Auntie",
    "David",
    "Marco",
    "Quincy",
    "travis",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One speaker."""

    program: Literal["espeak-ng", "flite"]
    name: str


TRAINING = (
    *(
        Voice(program="espeak-ng", name=f"{accent}+{variant}" if variant else accent)
        for accent in _ACCENTS
        for variant in dict.fromkeys(_VARIANTS)
    ),
    *(Voice(program="flite", name=name) for name in ("awb", "rms", "kal16")),
)
HELD_OUT = (
    *(
        Voice(program="espeak-ng", name=f"{accent}+{variant}")
        for accent in ("en-us", "en-gb", "en-us-nyc")
        for variant in _HELD_OUT_VARIANTS
    ),
    Voice(program="flite", name="slt"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How something is said."""

    words_per_minute: int
    pitch: int
    """0 to 99."""
    loudness: float
    """Peak of the samples."""


def manner(rng: random.Random, style: Style) -> Manner:
    """Excited is fast, high and loud; quiet is slow, low and soft."""
    match style:
        case "neutral":
            return Manner(
                words_per_minute=rng.randint(120, 175), pitch=rng.randint(30, 60), loudness=rng.uniform(0.15, 0.5)
            )
        case "excited":
            return Manner(
                words_per_minute=rng.randint(185, 240), pitch=rng.randint(72, 99), loudness=rng.uniform(0.7, 0.99)
            )
        case "quiet":
            return Manner(
                words_per_minute=rng.randint(90, 130), pitch=rng.randint(15, 40), loudness=rng.uniform(0.02, 0.06)
            )


def say(text: str, voice: Voice, how: Manner) -> Samples:
    """Speak. Raises NotFound naming the packages where a program is missing."""
    if shutil.which(voice.program) is None:
        raise NotFound(f"{voice.program} is missing, which speaks what is learned from: apt-get install {PACKAGES}")
    if voice.program == "espeak-ng":
        command = [
            "espeak-ng",
            "--stdout",
            "-v",
            voice.name,
            "-s",
            str(how.words_per_minute),
            "-p",
            str(how.pitch),
            text,
        ]
    else:
        stretch = 150 / how.words_per_minute
        hertz = {"slt": 150, "awb": 105, "rms": 85, "kal16": 85}[voice.name] * (0.7 + how.pitch / 100)
        settings = ["--setf", f"duration_stretch={stretch:.2f}", "--setf", f"int_f0_target_mean={hertz:.0f}"]
        command = ["flite", "-voice", voice.name, *settings, "-t", text, "-o", "/dev/stdout"]
    audio = subprocess.run(command, capture_output=True, check=True).stdout
    samples = _trimmed(_read(audio))
    return samples * np.float32(how.loudness / max(float(np.abs(samples).max(initial=0)), 1e-4))


def _read(audio: bytes) -> Samples:
    with wave.open(io.BytesIO(audio)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(2**30), "<i2").astype(np.float32) * np.float32(1 / 32768)
    return samples if rate == SAMPLE_RATE else resampled(samples, rate / SAMPLE_RATE)


def resampled(samples: Samples, step: float) -> Samples:
    """Every `step`-th sample, low-passed before when that is above 1: another rate, or another speed and pitch."""
    if step > 1:
        size = 1 << len(samples).bit_length()  # a power of two: other lengths take several times as long
        spectrum = np.fft.rfft(samples, size)
        spectrum[int(len(spectrum) / step) :] = 0
        samples = np.fft.irfft(spectrum, size)[: len(samples)].astype(np.float32)
    places = np.arange(0, max(len(samples) - 1, 1), step)
    return np.asarray(np.interp(places, np.arange(len(samples)), samples), np.float32)


def _trimmed(samples: Samples) -> Samples:
    """Without the silence around."""
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max(initial=1e-6))
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples[:1]
