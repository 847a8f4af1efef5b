"""What a conversation by voice is made of, and how it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from edged.events import Sampling
from edged.pipeline.barge_in import BargeInSettings
from edged.pipeline.ports import EmotionReader, Loudspeaker, SpeechToText, TextToSpeech, VoiceActivity, WakeWords
from edged.pipeline.skills import Skills
from edged.pipeline.turn import TurnConductor
from edged.pipeline.vad import Endpointing
from edged.pipeline.wake_word import WakeWordDetector
from edged.pipeline.who_speaks import WhoSpeaks
from edged.records import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceSettings:
    """How a conversation by voice goes."""

    reader: Reader
    """Whose conversations it goes on with, and whose those are that it begins."""
    language: str = "en"
    """Of what is said, and of what is answered without the model."""
    endpointing: Endpointing = field(default_factory=Endpointing)
    barge_in: BargeInSettings | None = field(default_factory=BargeInSettings)
    """None: it cannot be interrupted by voice, because its own voice would interrupt it."""
    follow_up_seconds: float = 8.0
    """After an answer one may go on without the wake phrase for so long; 0 asks for it every time."""
    forget_seconds: float = 600.0
    """A question that comes so long after the last answer begins a new conversation in the store."""
    partial_seconds: float = 1.0
    """Between two looks at what somebody is saying; 0 looks only when they pause."""
    has_button: bool = False
    """An utterance begins with `press` and ends with `release`; silence ends nothing."""
    model: str = ""
    """Name of the engine that answers; empty for the default one."""
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(slots=True)
class ConversationThread:
    """Which stored conversation goes on; outlives a session of which the microphone was closed."""

    conversation_id: str = ""
    """Empty until the first turn of a new one."""
    answered_at: float = 0.0
    """By the loop's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceParts:
    """Ears are a conversation's own, the others may be shared."""

    turns: TurnConductor
    speech: SpeechToText
    voice: TextToSpeech
    activity: VoiceActivity
    wake_words: WakeWords | None
    """None: whoever speaks is meant to be heard."""
    wake_detector: WakeWordDetector | None
    loudspeaker: Loudspeaker
    skills: Skills
    mute: Callable[[], None] = lambda: None
    """Closes the microphone for good; called only where the skills can mute."""
    emotions: EmotionReader | None = None
    """Asked after each answer; None where nobody wants to know."""
    who_speaks: WhoSpeaks | None = None
    """Of this conversation; None where nobody wants to know."""
