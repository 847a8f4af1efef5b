"""People without voices: how loud a recording is says who speaks, and nothing else of it counts."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import numpy as np

from edged.audio.mel import Samples
from edged.audio.pcm import SAMPLE_RATE, to_wav
from edged.errors import AlreadyExists, EdgedError, InvalidInput, NotFound
from edged.events import Audio
from edged.records import EnrolledSpeaker
from edged.speech.speakers import Voiceprint
from tests.pipeline.stages import speech

ENROLLED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def voiceprint(loudness: int) -> Voiceprint:
    """Of whoever speaks this loudly: of length 1, and at right angles to all others, nearly."""
    vector = np.random.default_rng(loudness).standard_normal(256)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def recording(loudness: int, seconds: float = 2.0) -> Audio:
    return Audio(data=to_wav(speech(seconds, loudness)), media_type="audio/wav")


class LoudnessEncoder:
    """Satisfies SpeakerEncoder."""

    def __init__(self) -> None:
        self.heard: list[float] = []
        self.failure: EdgedError | None = None
        self.cancelled = 0
        self.release = asyncio.Event()
        self.release.set()

    async def embed(self, samples: Samples, *, least_seconds: float) -> Voiceprint:
        self.heard.append(len(samples) / SAMPLE_RATE)
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failure:
            raise self.failure
        if np.count_nonzero(samples) < least_seconds * SAMPLE_RATE:
            raise InvalidInput("too little speech", field="samples")
        return voiceprint(round(float(np.median(samples[samples > 0]) * 32_768)))


class DictPeople:
    """Satisfies People."""

    def __init__(self, **people: int) -> None:
        self.known = {name: voiceprint(loudness) for name, loudness in people.items()}
        self.failure: EdgedError | None = None

    async def voiceprints(self) -> dict[str, Voiceprint]:
        if self.failure:
            raise self.failure
        return self.known

    async def free_name(self, name: str) -> str:
        if not name:
            raise InvalidInput("the name is empty", field="name")
        if name in self.known:
            raise AlreadyExists(f"{name} is enrolled already", resource=("speaker", name))
        return name

    async def add_speaker(self, name: str, voiceprint: Voiceprint) -> EnrolledSpeaker:
        self.known[await self.free_name(name)] = voiceprint
        return EnrolledSpeaker(name=name, created_at=ENROLLED_AT)

    async def speakers(self) -> tuple[EnrolledSpeaker, ...]:
        return tuple(EnrolledSpeaker(name=name, created_at=ENROLLED_AT) for name in sorted(self.known))

    async def delete_speaker(self, name: str) -> None:
        if self.known.pop(name, None) is None:
            raise NotFound(f"nobody named {name} is enrolled", resource=("speaker", name))
