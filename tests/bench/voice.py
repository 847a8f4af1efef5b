"""`make bench-voice`: how well it hears, how fast it answers, and what waiting costs.

Needs the sound server of tests/audio/sound_server.py. Prints Markdown:
what share of words is misheard, wake phrases missed and false ones in an hour of speech and noise made on the spot,
time of each stage as a share of the sound's length, and from the last sample of a question to the first of its answer
in a room with a virtual microphone and speaker. `--hours 0.02 --questions 2` tries the program itself.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the daemon does

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from pathlib import Path

import numpy as np

from edged.audio.echo import EchoCanceller
from edged.audio.pcm import FRAME_SAMPLES, SAMPLE_RATE, Pcm, to_pcm, to_samples
from edged.cli.bench import percentile
from edged.pipeline.wake_word import WakePhrase, WakeWordDetector
from edged.speech.espeak import EspeakVoice
from edged.speech.micro_wake_word import MicroWakeWords
from edged.speech.silero import SileroVad
from edged.speech.weights import silero_file, wake_word_file, whisper_folder
from edged.speech.whisper import Whisper
from tests.bench.conditions import commit, processor
from tests.bench.voice_room import Answered, answers, waiting_cost
from tests.docs import ROOT
from tests.speech.voices import (
    QUESTIONS,
    chords,
    hum,
    librivox,
    noise,
    spoken,
    voice,
    words,
    wrong_words,
)

SAYINGS = 60
"""Of the wake phrase."""
BLOCK = 10 * FRAME_SAMPLES


def main() -> None:
    """Measure all of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.voice", description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0, help="of speech and noise without a wake phrase (1)")
    parser.add_argument("--questions", type=int, default=len(QUESTIONS), help="asked in the room (20)")
    options = parser.parse_args()
    print(f"{processor()}, {os.cpu_count()} cores, {date.today()}, commit {commit()}\n", flush=True)
    whisper = Whisper(whisper_folder(), threads=2)
    print(_words(whisper), flush=True)
    print(_stages(whisper), flush=True)
    print(_wake_words(options.hours), flush=True)
    found = asyncio.run(answers(options.questions))
    print(_latency(found), flush=True)
    print(_waiting(*asyncio.run(waiting_cost(20.0))), flush=True)


def _words(whisper: Whisper) -> str:
    """Misheard, of what people read and what Piper says."""
    rows = ["| words misheard | of | % |", "|---|---|---|"]
    sets: dict[str, list[tuple[str, np.ndarray]]] = {  # type: ignore[type-arg]
        "LibriVox, a woman reading": librivox(),
        "Piper, short questions": [(text, to_samples(spoken(text))) for text in QUESTIONS],
    }
    for name, clips in sets.items():
        wrong = sum(wrong_words(text, whisper.transcribe(samples).text) for text, samples in clips)
        count = sum(len(words(text)) for text, _ in clips)
        rows.append(f"| {name}: {wrong} | {count} | {100 * wrong / count:.1f} |")
    return "\n".join(rows) + "\n"


def _stages(whisper: Whisper) -> str:
    """Time of each stage over the length of the sound, and of the processor's."""
    sound = np.concatenate([spoken(text) for text in QUESTIONS])
    vad, canceller = SileroVad(silero_file()), EchoCanceller(noise_suppression=True)
    wake = MicroWakeWords([wake_word_file("okay_nabu")])
    text = " ".join(QUESTIONS)

    def through_canceller() -> None:
        for start in range(0, len(sound) - FRAME_SAMPLES, FRAME_SAMPLES):
            frame = sound[start : start + FRAME_SAMPLES]
            canceller.far(frame)
            canceller.process(frame)

    def questions() -> None:
        for question in QUESTIONS:
            whisper.transcribe(to_samples(spoken(question)))

    stages: dict[str, Callable[[], object]] = {
        "wake word": lambda: [wake.push(sound[start : start + BLOCK]) for start in range(0, len(sound), BLOCK)],
        "voice activity": lambda: [vad.push(sound[start : start + BLOCK]) for start in range(0, len(sound), BLOCK)],
        "echo cancellation and noise suppression": through_canceller,
        "speech to text, short questions": questions,
        "text to speech": lambda: list(voice().synthesize(text)),
    }
    seconds = len(sound) / SAMPLE_RATE
    rows = ["| stage | time / length of the sound | processor time / length |", "|---|---|---|"]
    for name, run in stages.items():
        run()
        clock, processor_clock = time.perf_counter(), time.process_time()
        run()
        elapsed, used = time.perf_counter() - clock, time.process_time() - processor_clock
        rows.append(f"| {name} | {elapsed / seconds:.4f} | {used / seconds:.4f} |")
    return "\n".join(rows) + "\n"


def _wake_words(hours: float) -> str:
    missed = {snr: _missed(snr) for snr in (30, 20, 10)}
    false, heard_hours = _false_accepts(hours)
    rows = ["| okay nabu | |", "|---|---|"]
    rows += [f"| missed, noise {snr} dB below | {count} of {SAYINGS} |" for snr, count in missed.items()]
    rows.append(f"| false accepts | {false} in {heard_hours:.2f} h ({false / heard_hours:.2f} an hour) |")
    return "\n".join(rows) + "\n"


def _detector() -> tuple[MicroWakeWords, WakeWordDetector]:
    heard = MicroWakeWords([wake_word_file("okay_nabu")])
    phrases = {name: WakePhrase(threshold=each.threshold, window=each.window) for name, each in heard.settings.items()}
    return heard, WakeWordDetector(phrases)


def _detections(sound: Pcm, ears: tuple[MicroWakeWords, WakeWordDetector]) -> int:
    heard, detector = ears
    return sum(
        detector.push(heard.push(sound[start : start + BLOCK]), seconds=BLOCK / SAMPLE_RATE) is not None
        for start in range(0, len(sound), BLOCK)
    )


def _missed(snr_db: float) -> int:
    """Sayings that were not heard; Piper says none twice alike, some faster and some slower."""
    missed = 0
    for number in range(SAYINGS):
        saying = np.concatenate(list(voice().synthesize("Okay Nabu.")))
        pace = (0.9, 1.0, 1.1)[number % 3]
        samples = to_samples(_at_16_khz(saying, int(voice().sample_rate * pace)))
        loudness = np.sqrt(np.mean(samples**2)) / 10 ** (snr_db / 20)
        padded = np.concatenate([noise(1.5, 0.0), to_pcm(samples), noise(1.5, 0.0)])
        background = noise(len(padded) / SAMPLE_RATE + 0.1, float(loudness), seed=number)[: len(padded)]
        missed += _detections(to_pcm(to_samples(padded) + to_samples(background)), _detector()) == 0
    return missed


def _false_accepts(hours: float) -> tuple[int, float]:
    """Detections in speech and noise without the phrase, and how long that was."""
    found, samples = 0, 0
    ears = _detector()
    for sound in _without_the_phrase():
        found += _detections(sound, ears)
        samples += len(sound)
        if samples >= hours * 3600 * SAMPLE_RATE:
            break
    return found, samples / 3600 / SAMPLE_RATE


def _without_the_phrase() -> Iterator[Pcm]:
    """People, Piper at three paces and in noise, espeak, hum, chords, and noise; without end."""
    for _, samples in librivox():
        yield to_pcm(samples)
    sentences = [sentence for file in sorted((ROOT / "engines" / "texts").glob("*.txt")) for sentence in _cut(file)]
    espeak, number = EspeakVoice("en"), 0
    yield from (spoken(question) for question in QUESTIONS)
    while True:
        for sentence in sentences:
            number += 1
            if number % 5 == 0:
                yield _at_16_khz(np.concatenate(list(espeak.synthesize(sentence))), espeak.sample_rate)
            else:
                pace = (0.9, 1.0, 1.1)[number % 3]
                said = np.concatenate(list(voice().synthesize(sentence)))
                pcm = _at_16_khz(said, int(voice().sample_rate * pace))
                yield pcm if number % 2 else pcm + noise(len(pcm) / SAMPLE_RATE + 0.1, 0.02, seed=number)[: len(pcm)]
            if number % 20 == 0:
                yield from (hum(5.0), chords(5.0), noise(10.0, 0.05, seed=number))


def _cut(file: Path) -> list[str]:
    text = " ".join(file.read_text(encoding="utf-8").split())
    return [f"{sentence.strip()}." for sentence in text.split(". ") if len(sentence) > 20]


def _at_16_khz(pcm: Pcm, rate: int) -> Pcm:
    import soxr

    return to_pcm(np.asarray(soxr.resample(to_samples(pcm), rate, SAMPLE_RATE), np.float32))


def _latency(found: Iterable[Answered]) -> str:
    answered = list(found)
    heard = [1000 * one.seconds for one in answered]
    steps = {
        "silence that ends the question": [one.timings.endpoint_ms for one in answered],
        "rest of the transcript": [one.timings.transcript_ms - one.timings.endpoint_ms for one in answered],
        "model, first words": [one.timings.first_token_ms - one.timings.transcript_ms for one in answered],
        "voice, first sound": [one.timings.first_audio_ms - one.timings.first_token_ms for one in answered],
    }
    devices = [milliseconds - one.timings.first_audio_ms for milliseconds, one in zip(heard, answered, strict=True)]
    rows = ["| from the last sample of the question | p50, ms | p95, ms |", "|---|---|---|"]
    for name, values in {**steps, "sound server and devices, both ways": devices}.items():
        rows.append(f"| {name} | {statistics.median(values):.0f} | {percentile(values, 0.95):.0f} |")
    total = f"**{statistics.median(heard):.0f}** | **{percentile(heard, 0.95):.0f}**"
    rows.append(f"| **to the first sample of the answer** ({len(heard)} questions) | {total} |")
    return "\n".join(rows) + "\n"


def _waiting(processor_share: float, resident_bytes: int) -> str:
    return (
        f"While it waits for the wake word, the daemon and its sound process use {100 * processor_share:.1f} % of one "
        f"core and {resident_bytes / 1e6:.0f} MB.\n"
    )


if __name__ == "__main__":
    main()
