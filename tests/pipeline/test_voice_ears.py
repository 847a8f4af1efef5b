"""A conversation with its real ears, left alone for long: no word is imagined, no byte grows."""

from __future__ import annotations

import gc
import resource
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from edged.audio.pcm import Pcm
from edged.pipeline.skills import Skills
from edged.pipeline.turn import TurnConductor
from edged.pipeline.voice import VoiceSession
from edged.pipeline.voice_parts import VoiceParts, VoiceSettings
from edged.pipeline.wake_word import WakePhrase, WakeWordDetector
from edged.records import OPERATOR
from edged.speech.micro_wake_word import MicroWakeWords
from edged.speech.silero import SileroVad
from edged.speech.weights import silero_file, wake_word_file
from edged.vision.heap import give_back_memory
from edged.voice_events import FinalTranscript, SpeechBegan, VoiceEvent, WakeDetected
from tests.pipeline.stages import EvenVoice, PatientSpeaker, ScriptedSpeech
from tests.server.scripted import DictMemory, ScriptedModel
from tests.speech.voices import chords, hum, noise, spoken

SECOND = 100
"""Frames of 10 ms."""


def session(events: list[VoiceEvent], *, has_wake_word: bool) -> VoiceSession:
    words = MicroWakeWords([wake_word_file("okay_nabu")]) if has_wake_word else None
    phrases = (
        {name: WakePhrase(threshold=one.threshold, window=one.window) for name, one in words.settings.items()}
        if words
        else {}
    )
    parts = VoiceParts(
        turns=TurnConductor(ScriptedModel(), DictMemory(), 1000),
        speech=ScriptedSpeech(""),
        voice=EvenVoice(),
        activity=SileroVad(silero_file()),
        wake_words=words,
        wake_detector=WakeWordDetector(phrases) if words else None,
        loudspeaker=PatientSpeaker(),
        skills=Skills(language="en", clock=lambda: 0.0, now=lambda: datetime(2026, 11, 26, tzinfo=UTC)),
    )
    return VoiceSession(parts, VoiceSettings(reader=OPERATOR, partial_seconds=0), events.append)


async def frames(*sounds: Pcm) -> AsyncIterator[Pcm]:
    for sound in sounds:
        for start in range(0, len(sound), 160):
            yield sound[start : start + 160]


def quiet_minutes(minutes: int) -> list[Pcm]:
    """Silence, a quiet room, a hum, and music without words."""
    minute = [np.zeros(16_000 * 15, np.int16), noise(15.0, 0.002), hum(15.0), chords(15.0)]
    return minute * minutes


def resident_bytes() -> int:
    """What is held, without what is garbage, also of tests before."""
    gc.collect()
    give_back_memory()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def test_five_minutes_without_a_word_wake_nobody_and_grow_nothing() -> None:
    events: list[VoiceEvent] = []
    waiting = session(events, has_wake_word=True)
    await waiting.run(frames(*quiet_minutes(1)))
    before = resident_bytes()
    await waiting.run(frames(*quiet_minutes(5)))
    assert resident_bytes() - before < 2_000_000
    assert events == []


async def test_five_minutes_of_listening_without_a_word_grow_nothing() -> None:
    """Where no wake phrase is asked for, every sound is listened to."""
    events: list[VoiceEvent] = []
    listening = session(events, has_wake_word=False)
    await listening.run(frames(*quiet_minutes(1)))
    before = resident_bytes()
    await listening.run(frames(*quiet_minutes(5)))
    assert resident_bytes() - before < 2_000_000
    assert not any(isinstance(event, SpeechBegan) for event in events)


async def test_the_same_ears_hear_the_phrase_and_a_question() -> None:
    events: list[VoiceEvent] = []
    waiting = session(events, has_wake_word=True)
    await waiting.run(frames(noise(1.0), spoken("Okay Nabu."), noise(0.4), spoken("What time is it?"), noise(1.5)))
    kinds = [type(event) for event in events]
    assert kinds.index(WakeDetected) < kinds.index(SpeechBegan) < kinds.index(FinalTranscript)
