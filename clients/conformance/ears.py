"""Ears and a mouth without models: whatever is said is understood as one question, and the answer is a tone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import datetime

import numpy as np

from edged.audio.mel import Samples
from edged.audio.opus import OpusDecoder
from edged.audio.pcm import SAMPLE_RATE, Pcm, from_bytes, to_pcm
from edged.pipeline.ports import VAD_SECONDS
from edged.pipeline.remote_speaker import RemoteSpeaker
from edged.pipeline.skills import Skills
from edged.pipeline.turn import TurnConductor
from edged.pipeline.voice import VoiceSession
from edged.pipeline.voice_parts import ConversationThread, VoiceParts, VoiceSettings
from edged.records import Reader
from edged.voice_events import AudioEncoding, Opening, VoiceEvent, VoiceMode

QUESTION = "voice"
TONE_HZ = 440.0


class Understanding:
    """Satisfies SpeechToText."""

    async def transcribe(self, samples: Samples) -> str:
        """Part of SpeechToText."""
        return QUESTION if len(samples) else ""


class Tone:
    """Satisfies TextToSpeech: a tenth of a second for each word."""

    sample_rate = SAMPLE_RATE

    async def say(self, text: str) -> AsyncGenerator[Pcm, None]:
        """Part of TextToSpeech."""
        seconds = np.arange(len(text.split()) * SAMPLE_RATE // 10) / SAMPLE_RATE
        yield to_pcm((0.3 * np.sin(2 * np.pi * TONE_HZ * seconds)).astype(np.float32))


class Loudness:
    """Satisfies VoiceActivity: what is not silence is speech."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.int16)

    def push(self, pcm: Pcm) -> list[float]:
        """Part of VoiceActivity."""
        size = round(VAD_SECONDS * SAMPLE_RATE)
        sound = np.concatenate([self._rest, pcm])
        whole = len(sound) // size * size
        self._rest = sound[whole:]
        return [0.95 if np.abs(piece).max() > 500 else 0.05 for piece in sound[:whole].reshape(-1, size)]

    def reset(self) -> None:
        """Part of VoiceActivity."""
        self._rest = self._rest[:0]


class Composer:
    """Satisfies the server's Composer."""

    sample_rate = Tone.sample_rate

    def __init__(self, turns: TurnConductor) -> None:
        self._turns = turns

    async def session(
        self, opening: Opening, speaker: RemoteSpeaker, emit: Callable[[VoiceEvent], None], reader: Reader
    ) -> VoiceSession:
        """Part of the server's Composer."""
        parts = VoiceParts(
            turns=self._turns,
            speech=Understanding(),
            voice=Tone(),
            activity=Loudness(),
            wake_words=None,
            wake_detector=None,
            loudspeaker=speaker,
            skills=Skills(language="en", clock=lambda: 0.0, now=lambda: datetime.now().astimezone()),
        )
        settings = VoiceSettings(
            reader=reader,
            barge_in=None,
            has_button=opening.mode is VoiceMode.PUSH_TO_TALK,
            partial_seconds=0,
        )
        return VoiceSession(parts, settings, emit, thread=ConversationThread(opening.conversation_id))

    def decoder(self, encoding: AudioEncoding) -> Callable[[bytes], Pcm]:
        """Part of the server's Composer."""
        return OpusDecoder() if encoding is AudioEncoding.OPUS else from_bytes
