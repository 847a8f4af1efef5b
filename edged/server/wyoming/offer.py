"""What is on offer, and how Wyoming describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wyoming.info import (
    AsrModel,
    AsrProgram,
    Attribution,
    Info,
    Satellite,
    TtsProgram,
    TtsVoice,
    WakeModel,
    WakeProgram,
)

from edged import __version__

NAME = "edged"
_EDGED = Attribution(name=NAME, url="")
_WHISPER = Attribution(name="OpenAI", url="https://github.com/openai/whisper")
_WAKE_WORDS = Attribution(name="microWakeWord", url="https://github.com/kahrendt/microWakeWord")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Names of the speech models."""

    recognizer: str
    languages: tuple[str, ...]
    """That it understands, such as "en"."""
    voice: str
    voice_language: str
    phrases: Mapping[str, str]
    """Each wake word as it is said, by its name."""


def services(offer: Offer) -> Info:
    """Of the door for services."""
    recognizer = AsrModel(
        name=offer.recognizer,
        attribution=_WHISPER,
        installed=True,
        description=offer.recognizer,
        version=None,
        languages=list(offer.languages),
    )
    voice = TtsVoice(
        name=offer.voice,
        attribution=_EDGED,
        installed=True,
        description=offer.voice,
        version=None,
        languages=[offer.voice_language],
    )
    return Info(
        asr=[AsrProgram(**_program("speech to text"), models=[recognizer])],
        tts=[TtsProgram(**_program("text to speech"), voices=[voice], supports_synthesize_streaming=True)],
        wake=[_wake(offer)],
    )


def satellite(offer: Offer) -> Info:
    """Of the room's door."""
    room = Satellite(
        **_program("this machine's microphone and speaker"),
        has_vad=False,
        active_wake_words=list(offer.phrases),
        max_active_wake_words=len(offer.phrases),
        supports_trigger=False,
    )
    return Info(satellite=room, wake=[_wake(offer)])


def _wake(offer: Offer) -> WakeProgram:
    models = [
        WakeModel(
            name=name,
            attribution=_WAKE_WORDS,
            installed=True,
            description=phrase,
            version=None,
            languages=list(offer.languages),
            phrase=phrase,
        )
        for name, phrase in offer.phrases.items()
    ]
    return WakeProgram(**_program("wake words"), models=models)


def _program(description: str) -> dict[str, Any]:
    return {
        "name": NAME,
        "attribution": _EDGED,
        "installed": True,
        "description": f"edged: {description}",
        "version": __version__,
    }
