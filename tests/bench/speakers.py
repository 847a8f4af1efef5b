"""How often an enrolled person is named, and how often somebody else is: `python -m tests.bench.speakers`.

Ten voices: three recordings of people (packages pocketsphinx-testdata and alsa-utils), Piper's, two of espeak-ng and
four of flite. Each draw enrols everybody by three sentences in a quiet room and asks of each other sentence whose it
is, with its speaker and one other person enrolled, and with two others.
"""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import numpy as np
import soundfile
import soxr

from edged.audio.pcm import SAMPLE_RATE, Pcm, to_pcm, to_samples
from edged.pipeline import speaker_identity
from edged.pipeline.speaker_identity import identify, mean_voice
from edged.speech.silero import SileroVad
from edged.speech.speakers import SpeakerEncoder, Voiceprint
from edged.speech.voiceprints import Voiceprints
from edged.speech.weights import silero_file, speakers_file
from tests.speech.voices import LIBRIVOX, QUESTIONS, in_a_quiet_room, librivox, spoken

DRAWS = 30
NOISY_DB = 15
THRESHOLDS = (0.70, 0.75, 0.80)


def voices() -> dict[str, list[Pcm]]:
    """What each says."""
    said = {"librivox": [to_pcm(samples) for _, samples in librivox()], "joe": [spoken(text) for text in QUESTIONS]}
    for name, files in (
        ("cards", sorted((LIBRIVOX.parent / "cards").glob("*.wav"))),
        ("alsa", sorted(Path("/usr/share/sounds/alsa").glob("*_*.wav"))),
    ):
        said[name] = [_decoded(file.read_bytes()) for file in files]
    for name in ("en-us", "en-us+f3"):
        said[f"espeak {name}"] = [_made("espeak-ng", "-v", name, "--stdout", text) for text in QUESTIONS]
    for name in ("slt", "rms", "awb", "kal16"):
        said[f"flite {name}"] = [_made("flite", "-voice", name, "-t", text, "-o", "/dev/stdout") for text in QUESTIONS]
    return said


def _made(*command: str) -> Pcm:
    return _decoded(subprocess.run(command, capture_output=True, check=True).stdout)


def _decoded(data: bytes) -> Pcm:
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return to_pcm(np.asarray(soxr.resample(samples.mean(axis=1), rate, SAMPLE_RATE), np.float32))


def noisy(pcm: Pcm, random: np.random.Generator) -> Pcm:
    samples = to_samples(pcm)
    loudness = np.sqrt(np.square(samples).mean()) / 10 ** (NOISY_DB / 20)
    return to_pcm(np.asarray(samples + loudness * random.standard_normal(len(samples)), np.float32))


def judged(enrolled: dict[str, list[Voiceprint]], asked: dict[str, list[Voiceprint]], threshold: float) -> str:
    """Of what enrolled people and strangers say, the share that gets no name, a wrong one, or any."""
    speaker_identity.ALIKE = threshold
    random = np.random.default_rng(0)
    own, strangers = [], []
    for _ in range(DRAWS):
        order = {name: random.permutation(len(prints)) for name, prints in asked.items()}
        people = {name: mean_voice([enrolled[name][place] for place in order[name][:3]]) for name in asked}
        for name, places in order.items():
            for place in places[3:]:
                one, two = random.choice([other for other in people if other != name], 2, replace=False)
                voice = asked[name][place]
                own.append((name, identify(voice, {name: people[name], one: people[one]})))
                strangers.append(identify(voice, {one: people[one], two: people[two]}))
    unnamed = np.mean([not found for _, found in own])
    wrong = np.mean([found not in ("", name) for name, found in own])
    return f"no name {unnamed:6.1%}, another's {wrong:5.2%}; strangers named {np.mean([*map(bool, strangers)]):5.1%}"


def main() -> None:
    encoder, random = Voiceprints(SpeakerEncoder(speakers_file()), SileroVad(silero_file())), np.random.default_rng(1)
    rooms = {name: [in_a_quiet_room(pcm, 0.6) for pcm in said] for name, said in voices().items()}
    quiet, loud = (
        {
            name: [encoder.embed(to_samples(change(pcm)), least_seconds=0.5) for pcm in said]
            for name, said in rooms.items()
        }
        for change in (lambda pcm: pcm, lambda pcm: noisy(pcm, random))
    )
    for label, asked in (("quiet room", quiet), (f"noise {NOISY_DB} dB", loud)):
        for threshold in THRESHOLDS:
            print(f"{label}, {threshold:.2f}: {judged(quiet, asked, threshold)}")


if __name__ == "__main__":
    main()
