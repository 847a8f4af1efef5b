"""Conversations by voice put together: with clients, and in the room of this machine."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from edged.audio.echo import EchoCanceller
from edged.audio.microphone import Microphone
from edged.audio.opus import OpusDecoder
from edged.audio.pcm import Pcm, from_bytes
from edged.audio.recorder import Recorder
from edged.audio.speaker import Speaker
from edged.config import Config
from edged.daemon.speech import Speech
from edged.errors import ConfigError, InvalidInput
from edged.events import Sampling
from edged.pipeline.barge_in import BargeInSettings
from edged.pipeline.emotion import ModelEmotions
from edged.pipeline.intents import match
from edged.pipeline.ports import LanguageModel, Loudspeaker
from edged.pipeline.remote_speaker import RemoteSpeaker
from edged.pipeline.room import Room
from edged.pipeline.skills import Skills
from edged.pipeline.speakable import speakable
from edged.pipeline.timers import Timers
from edged.pipeline.turn import TurnConductor
from edged.pipeline.vad import Endpointing
from edged.pipeline.voice import VoiceSession
from edged.pipeline.voice_parts import ConversationThread, VoiceParts, VoiceSettings
from edged.pipeline.who_speaks import WhoSpeaks
from edged.records import OPERATOR, Reader
from edged.store import AsyncStore
from edged.voice_events import AudioEncoding, Opening, VoiceEvent, VoiceMode

Emit = Callable[[VoiceEvent], None]


class VoiceComposer:
    """Satisfies `edged.server.converse.Composer`."""

    def __init__(
        self,
        config: Config,
        speech: Speech,
        turns: TurnConductor,
        store: AsyncStore,
        model: LanguageModel,
        timers: Timers,
    ) -> None:
        """timers: those of the room."""
        self._timers = timers
        self._config = config.voice
        self._speech = speech
        self._turns = turns
        self._store = store
        name = config.voice.emotion_model
        if name not in ("", config.engine.default) and config.engine.max_loaded < 2:
            raise ConfigError("voice.emotion_model takes turns with the answering engine: set engine.max_loaded = 2")
        self._emotions = ModelEmotions(model, name) if name else None
        self._settings = VoiceSettings(
            reader=dataclasses.replace(OPERATOR, is_incognito=config.voice.incognito),
            language="zh" if config.voice.language == "zh" else "en",
            endpointing=Endpointing(silence_seconds=config.voice.silence_seconds),
            follow_up_seconds=config.voice.follow_up_seconds,
            sampling=Sampling(**dataclasses.asdict(config.sampling)),
        )

    @property
    def sample_rate(self) -> int:
        """Of what is said aloud."""
        return self._speech.voice.sample_rate

    async def session(self, opening: Opening, speaker: RemoteSpeaker, emit: Emit, reader: Reader) -> VoiceSession:
        """One with a client, once it is clear that there is such an engine and such a conversation."""
        await self._turns.hears(opening.model)
        reader = dataclasses.replace(reader, is_incognito=opening.incognito or self._config.incognito)
        if opening.conversation_id and not reader.is_incognito:
            await self._store.get(opening.conversation_id, reader=reader)
        await asyncio.to_thread(self._speech.load)
        may_interrupt = self._config.barge_in and opening.is_echo_cancelled
        settings = dataclasses.replace(
            self._settings,
            reader=reader,
            model=opening.model,
            has_button=opening.mode is VoiceMode.PUSH_TO_TALK,
            barge_in=BargeInSettings(settling_seconds=0.0) if may_interrupt else None,
        )
        has_wake_word = opening.mode is VoiceMode.WAKE_WORD
        skills = self._skills(Timers(), can_mute=False)
        parts = await asyncio.to_thread(self._parts, speaker, skills, has_wake_word=has_wake_word)
        return VoiceSession(parts, settings, emit, thread=ConversationThread(opening.conversation_id))

    def decoder(self, encoding: AudioEncoding) -> Callable[[bytes], Pcm]:
        """Of one client's sound."""
        return OpusDecoder() if encoding is AudioEncoding.OPUS else _pcm16

    def room(self) -> Room:
        """The one of this machine; nothing is opened yet."""
        config = self._config
        may_interrupt = config.barge_in and config.echo_cancellation
        settings = dataclasses.replace(self._settings, barge_in=BargeInSettings() if may_interrupt else None)
        room: Room
        # They outlive a session, which ends whenever the microphone is closed.
        skills, thread = self._skills(self._timers, can_mute=True), ConversationThread()

        def session(speaker: Speaker, emit: Emit) -> VoiceSession:
            self._speech.load()
            parts = self._parts(speaker, skills, has_wake_word=True, mute=lambda: room.mute(True))
            return VoiceSession(parts, settings, emit, thread=thread)

        recorder = Recorder(Path(config.debug_recording).expanduser()) if config.debug_recording else None
        room = Room(
            Microphone(config.microphone),
            Speaker(config.speaker, volume_percent=config.volume),
            self._canceller,
            session,
            self._speech.activity,
            rings=lambda: skills.has_timers,
            heard=recorder,
        )
        return room

    def _skills(self, timers: Timers, *, can_mute: bool) -> Skills:
        return Skills(
            timers,
            language=self._settings.language,
            clock=lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
            now=lambda: datetime.now().astimezone(),
            can_mute=can_mute,
        )

    def _canceller(self) -> EchoCanceller | None:
        if not self._config.echo_cancellation and not self._config.noise_suppression:
            return None
        return EchoCanceller(noise_suppression=self._config.noise_suppression)

    def _parts(
        self, loudspeaker: Loudspeaker, skills: Skills, *, has_wake_word: bool, mute: Callable[[], None] = lambda: None
    ) -> VoiceParts:
        # Now, rather than between a question and its answer, the patterns of this language are compiled.
        match("", self._settings.language)
        speakable("", self._settings.language)
        words, detector = self._speech.wake_words() if has_wake_word else (None, None)
        return VoiceParts(
            turns=self._turns,
            speech=self._speech.recognizer,
            voice=self._speech.voice,
            activity=self._speech.activity(),
            wake_words=words,
            wake_detector=detector,
            loudspeaker=loudspeaker,
            skills=skills,
            mute=mute,
            emotions=self._emotions,
            who_speaks=WhoSpeaks(self._speech.speakers, self._store) if self._config.identify_speakers else None,
        )


def _pcm16(data: bytes) -> Pcm:
    if len(data) % 2:
        raise InvalidInput("16-bit samples have two bytes each", field="audio.data")
    return from_bytes(data)
