"""Ears and a mouth without a sound card: speech is loud, silence is not, and time is what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from edged.audio.mel import Samples
from edged.audio.pcm import SAMPLE_RATE, Pcm
from edged.errors import EdgedError
from edged.pipeline.ports import EmotionReader
from edged.pipeline.skills import Skills
from edged.pipeline.turn import TurnConductor
from edged.pipeline.voice import VoiceSession
from edged.pipeline.voice_parts import VoiceParts, VoiceSettings
from edged.pipeline.wake_word import WakePhrase, WakeWordDetector
from edged.pipeline.who_speaks import WhoSpeaks
from edged.records import OPERATOR
from edged.voice_events import VoiceEvent
from tests.server.scripted import DictMemory, ScriptedModel

WAKE = 20_000
"""Loudness of a wake phrase."""
LOUD = 8_000
PIECE = 512


def speech(seconds: float, loudness: int = LOUD) -> Pcm:
    return np.full(int(seconds * SAMPLE_RATE), loudness, np.int16)


def silence(seconds: float) -> Pcm:
    return np.zeros(int(seconds * SAMPLE_RATE), np.int16)


def wake() -> Pcm:
    return speech(0.01, WAKE)


class LoudnessActivity:
    """Satisfies VoiceActivity."""

    def __init__(self) -> None:
        self._rest = silence(0)

    def push(self, pcm: Pcm) -> list[float]:
        whole = np.concatenate([self._rest, pcm])
        count = len(whole) // PIECE
        self._rest = whole[count * PIECE :]
        return [0.95 if whole[index * PIECE] >= LOUD else 0.05 for index in range(count)]

    def reset(self) -> None:
        self._rest = silence(0)


class LoudnessWakeWords:
    """Satisfies WakeWords."""

    def push(self, pcm: Pcm) -> list[tuple[str, float]]:
        return [("okay_nabu", 0.99 if len(pcm) and pcm.max() >= WAKE else 0.01)]

    def reset(self) -> None:
        pass


class ScriptedSpeech:
    """Satisfies SpeechToText: hears `texts`, the last one for ever."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts) or ["What is the capital of France?"]
        self.seconds: list[float] = []
        self.failure: EdgedError | None = None
        self.release = asyncio.Event()
        self.release.set()
        self.cancelled = 0

    async def transcribe(self, samples: Samples) -> str:
        self.seconds.append(len(samples) / SAMPLE_RATE)
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failure:
            raise self.failure
        return self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]


class EvenVoice:
    """Satisfies TextToSpeech: a tenth of a second a character."""

    sample_rate = 1000

    def __init__(self) -> None:
        self.said: list[str] = []
        self.failure: EdgedError | None = None

    async def say(self, text: str) -> AsyncGenerator[Pcm, None]:
        self.said.append(text)
        if self.failure:
            raise self.failure
        yield np.ones(len(text) * self.sample_rate // 10, np.int16)


@dataclass
class Sound:
    """Satisfies Playback."""

    samples: int
    played_samples: int = 0
    is_cut: bool = False

    @property
    def is_done(self) -> bool:
        return self.is_cut or self.played_samples >= self.samples


@dataclass
class PatientSpeaker:
    """Satisfies Loudspeaker: plays when it is told to."""

    volume_percent: int = 50
    sounds: list[Sound] = field(default_factory=list)
    ducks: list[float] = field(default_factory=list)
    cuts: int = 0
    plays_at_once: bool = True
    _heard: asyncio.Event = field(default_factory=asyncio.Event)

    def play(self, pcm: Pcm, *, sample_rate: int, last: bool = True) -> Sound:
        sound = Sound(len(pcm), played_samples=len(pcm) if self.plays_at_once else 0)
        self.sounds.append(sound)
        return sound

    def hear(self, seconds: float) -> None:
        """So much of what is queued is played now."""
        left = int(seconds * EvenVoice.sample_rate)
        for sound in self.sounds:
            step = min(left, 0 if sound.is_cut else sound.samples - sound.played_samples)
            sound.played_samples += step
            left -= step
        self._heard.set()

    def cut(self) -> None:
        self.cuts += 1
        for sound in self.sounds:
            sound.is_cut = sound.is_cut or not sound.is_done
        self._heard.set()

    def duck(self, factor: float) -> None:
        self.ducks.append(factor)

    async def drained(self) -> None:
        while not all(sound.is_done for sound in self.sounds):
            self._heard.clear()
            await self._heard.wait()


class Talk:
    """A session with all its parts, fed by `hears`."""

    def __init__(
        self,
        *,
        settings: VoiceSettings | None = None,
        has_wake_word: bool = True,
        heard: str = "",
        who_speaks: WhoSpeaks | None = None,
        emotions: EmotionReader | None = None,
    ) -> None:
        self.model = ScriptedModel()
        self.memory = DictMemory()
        self.speech = ScriptedSpeech(*([heard] if heard else []))
        self.voice = EvenVoice()
        self.speaker = PatientSpeaker()
        self.events: list[VoiceEvent] = []
        self.now = 0.0
        self.mutes = 0
        self._sound: asyncio.Queue[Pcm | None] = asyncio.Queue()
        parts = VoiceParts(
            turns=TurnConductor(self.model, self.memory, max_text_bytes=10_000),
            speech=self.speech,
            voice=self.voice,
            activity=LoudnessActivity(),
            wake_words=LoudnessWakeWords() if has_wake_word else None,
            wake_detector=WakeWordDetector({"okay_nabu": WakePhrase(threshold=0.5, window=1)})
            if has_wake_word
            else None,
            loudspeaker=self.speaker,
            skills=Skills(
                language="en",
                clock=lambda: self.now,
                now=lambda: datetime(2026, 11, 26, 15, 5, tzinfo=UTC),
                can_mute=True,
            ),
            mute=self._mute,
            who_speaks=who_speaks,
            emotions=emotions,
        )
        self.session = VoiceSession(
            parts, settings or VoiceSettings(reader=OPERATOR, partial_seconds=0), self.events.append
        )

    async def __aenter__(self) -> Talk:
        self._running = asyncio.create_task(self.session.run(self._pieces()))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    async def hears(self, *sounds: Pcm) -> None:
        """The sounds one after another in frames of 10 ms; returns when they were taken."""
        for sound in sounds:
            for start in range(0, len(sound), 160):
                self._sound.put_nowait(sound[start : start + 160])
                await self._sound.join()
                await settle(10)
        await settle()

    async def ends(self) -> None:
        """No more sound comes; what was begun is finished."""
        self._sound.put_nowait(None)
        await self._running

    def of(self, kind: type[VoiceEvent]) -> list[VoiceEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    def _mute(self) -> None:
        self.mutes += 1

    async def _pieces(self) -> AsyncIterator[Pcm]:
        while (pcm := await self._sound.get()) is not None:
            yield pcm
            self._sound.task_done()


async def settle(rounds: int = 200) -> None:
    """Everything that can happen without time passing has happened."""
    for _ in range(rounds):
        await asyncio.sleep(0)
