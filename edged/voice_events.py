"""What happens while somebody talks with the assistant: around each turn's events, those of ears and mouth.

Standard library only. A client that converses gets all of them; whoever watches the room gets all but `SpokenAudio`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from edged.events import TurnEvent


class VoiceMode(enum.StrEnum):
    """What makes the assistant listen to a client."""

    WAKE_WORD = "wake word"
    """A wake phrase; after an answer one may go on without it for some seconds."""
    OPEN = "open"
    """Whoever speaks is meant."""
    PUSH_TO_TALK = "push to talk"
    """A button, for as long as it is down."""


class AudioEncoding(enum.StrEnum):
    """How a client sends sound."""

    PCM16 = "pcm16"
    """16-bit little-endian samples of one channel, 16,000 a second."""
    OPUS = "opus"
    """Packets of RFC 6716, one at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How a client wants to converse."""

    mode: VoiceMode
    encoding: AudioEncoding = AudioEncoding.PCM16
    conversation_id: str = ""
    """Empty starts a conversation."""
    model: str = ""
    """Name of an installed engine; empty means the default one."""
    is_echo_cancelled: bool = False
    """What it sends is free of what it plays, so that speaking may interrupt the answer."""
    incognito: bool = False
    """A conversation that begins is never written to disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenInput:
    """The next piece of what a client hears, a second at most."""

    data: bytes
    """As its `Opening` says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """Of a client that pushes to talk."""

    is_pressed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Be quiet, and wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackReport:
    """How much of the sound since the last `Interrupted` a client has played."""

    played_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EndOfSpeech:
    """Nothing more will be said: the conversation ends with the last answer."""


VoiceInput = SpokenInput | Button | Stop | PlaybackReport | EndOfSpeech
"""What a client sends during a conversation."""


class VoiceState(enum.StrEnum):
    """What the assistant does now."""

    WAITING = "waiting"
    """For a wake word, or for the button to be pressed."""
    LISTENING = "listening"
    """To somebody, or whether somebody goes on talking."""
    THINKING = "thinking"
    SPEAKING = "speaking"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged:
    """The assistant does something else now."""

    state: VoiceState


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeDetected:
    """A wake phrase was said."""

    phrase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechBegan:
    """Somebody speaks to the assistant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechEnded:
    """The utterance is over and will be answered."""

    seconds: float
    """Its length, with the silence that ended it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialTranscript:
    """What was said so far; the next one or the final one replaces it."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalTranscript:
    """What was said; empty where nothing was understood."""

    text: str
    speaker: str = ""
    """Name of the enrolled person whose voice it was, empty if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmotionHeard:
    """How the last question was said, as a model that hears has it; after its answer."""

    emotion: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaking:
    """The next piece of the answer, about to be heard."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenAudio:
    """A piece of the answer's sound: 16-bit little-endian samples of one channel."""

    data: bytes
    sample_rate: int
    is_last: bool
    """The piece of the answer ends here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """Somebody spoke while the assistant did: playback was cut and the rest of the answer dropped."""

    heard: str
    """What was said aloud until then; this much is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeChanged:
    """Somebody asked for it."""

    percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnTimings:
    """Where the time went, in milliseconds after the last sample of speech; once per answer, when it is first heard."""

    endpoint_ms: float
    """The silence that showed that the utterance was over."""
    transcript_ms: float
    """Until it was written down; the same as endpoint_ms where the model hears for itself."""
    first_token_ms: float
    """Until the model's first words; the same as transcript_ms where no model was asked."""
    first_audio_ms: float
    """Until the first sample of the answer was handed to the speaker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnFailed:
    """There is no answer; the conversation goes on."""

    code: str
    """Name of `edged.errors.Code`."""
    message: str


VoiceEvent = (
    StateChanged
    | WakeDetected
    | SpeechBegan
    | SpeechEnded
    | PartialTranscript
    | FinalTranscript
    | EmotionHeard
    | Speaking
    | SpokenAudio
    | Interrupted
    | VolumeChanged
    | TurnTimings
    | TurnFailed
    | TurnEvent
)
