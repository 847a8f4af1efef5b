"""A corpus of phrases in many voices, and what can be asked about a recording."""

from __future__ import annotations

import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from . import acoustics, vocabulary
from .canvas import Look
from .charts import chart
from .pictures import shapes, written
from .samples import Sample, Sound, Turn
from .voices import SAMPLE_RATE, STYLES, Samples, Style, Voice, manner, say

TRANSCRIBING = ("What was said?", "What did you hear?", "Transcribe the recording.", "录音里说了什么？")
FEELING = ("How does the speaker sound?", "What is the mood of the speaker?", "说话人听起来怎么样？")
MOODS = {"neutral": "平静", "excited": "激动", "quiet": "轻声"}
_DEVICES = {"light": "灯", "fan": "风扇", "heater": "暖气", "radio": "收音机", "camera": "摄像头", "television": "电视"}

READ = ("what is written in the picture", "what does it say", "read the text")
NAME = ("what is in the picture", "describe the picture")
COLOUR = ("what colour is it", "what colour is the shape")
SHAPE = ("what shape is it", "which shape is it")
COUNT = ("how many shapes are there",)
HIGHEST = ("which bar is the highest",)
LOWEST = ("which bar is the lowest",)
QUESTIONS = (*READ, *NAME, *COLOUR, *SHAPE, *COUNT, *HIGHEST, *LOWEST)

WORDS = tuple(
    dict.fromkeys(
        (*vocabulary.DIGITS, *vocabulary.SWITCHES, *vocabulary.DIRECTIONS, *vocabulary.COLOURS, *vocabulary.ROOMS)
    )
)
"""Those that have to be known in any voice."""
PAIRS = (
    "lights on", "lights off", "volume up", "volume down", "turn left", "turn right", "go up", "go down", "play music",
    "stop music", "good morning", "good night", "yes please", "no thanks", "open door", "close door", "next song",
    "wake up",
)  # fmt: skip
NUMBERS = tuple(vocabulary.number_words(value) for value in range(10, 100))
COMMANDS = tuple(
    [
        f"turn {switch} the {room} {device}"
        for switch in ("on", "off")
        for room in vocabulary.ROOMS
        for device in _DEVICES
    ]
    + [f"set a timer for {vocabulary.number_words(count)} minutes" for count in (1, 2, 3, 5, 8, 10, 15, 20, 30, 45)]
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Utterance:
    """Something said by somebody."""

    text: str
    style: Style
    samples: Samples
    number: int = 0
    """Its place in its corpus, which gives it."""


class Corpus:
    """Utterances by their words."""

    def __init__(self, utterances: list[Utterance]) -> None:
        self.utterances = [replace(utterance, number=number) for number, utterance in enumerate(utterances)]
        self.by_text: dict[str, list[Utterance]] = {}
        for utterance in self.utterances:
            self.by_text.setdefault(utterance.text, []).append(utterance)

    def pick(self, rng: random.Random, texts: tuple[str, ...]) -> Utterance:
        """One of them, said by anybody."""
        return rng.choice(self.by_text[rng.choice(texts)])


def spoken(voices: tuple[Voice, ...], seed: int, per_text: int, cache: Path | None = None) -> Corpus:
    """Every phrase in so many voices (commands in a third), a third of them in each style.

    cache: a file to keep it in, since speaking takes minutes.
    """
    rng = random.Random(seed)
    orders = [
        (text, voice, style)
        for text in (*WORDS, *PAIRS, *NUMBERS, *COMMANDS, *QUESTIONS)
        for voice in rng.choices(voices, k=per_text if text in (*WORDS, *PAIRS, *QUESTIONS) else max(per_text // 3, 1))
        for style in rng.choices(STYLES, weights=(2, 1, 1))
    ]
    if cache is not None and (kept := _load(cache)) is not None and len(kept) == len(orders):
        return _corpus(orders, kept)
    texts = [f"{text}!" if style == "excited" else text for text, _, style in orders]
    manners = [manner(rng, style) for _, _, style in orders]
    with ProcessPoolExecutor() as pool:
        voiced = pool.map(say, texts, [voice for _, voice, _ in orders], manners, chunksize=32)
        samples = list(tqdm(voiced, total=len(orders), desc="speaking", unit="phrase", disable=None))
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        ends = np.cumsum([len(values) for values in samples])
        quantized = np.concatenate([np.clip(values * 32767, -32768, 32767).astype(np.int16) for values in samples])
        np.savez(cache, samples=quantized, ends=ends)
    return _corpus(orders, samples)


def _load(cache: Path) -> list[Samples] | None:
    if not cache.is_file():
        return None
    with np.load(cache) as stored:
        return np.split(stored["samples"].astype(np.float32) / np.float32(32767), stored["ends"][:-1])


def _corpus(orders: list[tuple[str, Voice, Style]], samples: list[Samples]) -> Corpus:
    return Corpus(
        [
            Utterance(text=text, style=style, samples=values)
            for (text, _, style), values in zip(orders, samples, strict=True)
        ]
    )


def recorded(rng: random.Random, utterance: Utterance, look: Look, seconds: float) -> Sound:
    """As a microphone hears it, or as it is to be heard in a batch."""
    if look.noise is None:
        silence = np.broadcast_to(np.float32(0), int(seconds * SAMPLE_RATE))
        return Sound(samples=silence, words=utterance.text, utterance=utterance.number)
    noise = np.random.default_rng(rng.getrandbits(32))
    return Sound(samples=acoustics.heard(noise, utterance.samples, look.noise, seconds), words=utterance.text)


def listening(rng: random.Random, corpus: Corpus, look: Look, task: str, seconds: float) -> Sample:
    """task: "word", "number" or "command": what was said, in which mood, about which device?"""
    texts = {"word": (*WORDS, *PAIRS), "number": NUMBERS, "command": COMMANDS}[task]
    utterance = corpus.pick(rng, texts)
    asked = [(rng.choice(TRANSCRIBING), utterance.text), _mood(rng, utterance)]
    if (parsed := _parsed(rng, utterance.text)) is not None:
        asked.append(parsed)
    rng.shuffle(asked)
    turns = [Turn(parts=(words,), answer=answer) for words, answer in asked]
    turns[0] = Turn(parts=(recorded(rng, utterance, look, seconds), *turns[0].parts), answer=turns[0].answer)
    return Sample(task=task, turns=tuple(turns))


def _mood(rng: random.Random, utterance: Utterance) -> tuple[str, str]:
    words = rng.choice(FEELING)
    return words, MOODS[utterance.style] if words[0] > "\x7f" else utterance.style


def _parsed(rng: random.Random, text: str) -> tuple[str, str] | None:
    """A command's device, room or switch."""
    for device, chinese in _DEVICES.items():
        if text.endswith(device):
            switch, room = text.split()[1], text.split(" the ")[1].removesuffix(f" {device}")
            return rng.choice(
                (
                    ("Which device is meant?", device),
                    ("Which room is meant?", room),
                    ("On or off?", switch),
                    ("是什么设备？", chinese),
                )
            )
    return None


def asking(rng: random.Random, corpus: Corpus, look: Look, seconds: float) -> Sample:
    """A spoken question about a picture."""
    kind = rng.choice(("read", "shape", "shape", "chart"))
    texts: tuple[str, ...]
    if kind == "read":
        picture, answer = written(rng, look)
        texts = READ
    elif kind == "chart":
        picture, bars = chart(rng, look)
        texts = rng.choice((HIGHEST, LOWEST))
        answer = (max if texts is HIGHEST else min)(bars, key=bars.__getitem__)
    else:
        picture, found = shapes(rng, look)
        texts, answer = _about(rng, found)
    sound = recorded(rng, corpus.pick(rng, texts), look, seconds)
    return Sample(task="spoken question", turns=(Turn(parts=(picture, sound), answer=answer),))


def _about(rng: random.Random, found: list[tuple[str, str]]) -> tuple[tuple[str, ...], str]:
    named = [f"{'an' if hue[0] in 'aeio' else 'a'} {hue} {shape}" for hue, shape in found]
    listed = ", ".join(named[:-1]) + (" and " if named[:-1] else "") + named[-1]
    choices = [(NAME, listed), (COUNT, str(len(found)))]
    if len(found) == 1:
        choices += [(COLOUR, found[0][0]), (SHAPE, found[0][1])] * 2
    return rng.choice(choices)
