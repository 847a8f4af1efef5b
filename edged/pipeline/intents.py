"""Recognises the few things that work by voice without a language model.

Strict on purpose: what is not certainly one of them goes to the model.
"""

from __future__ import annotations

from edged.pipeline.heard.intent import (
    CancelTimer,
    ChangeVolume,
    Intent,
    Mute,
    SetTimer,
    Stop,
    TellDate,
    TellTime,
    TimeLeft,
)
from edged.pipeline.language import primary_language

__all__ = [
    "CancelTimer",
    "ChangeVolume",
    "Intent",
    "Mute",
    "SetTimer",
    "Stop",
    "TellDate",
    "TellTime",
    "TimeLeft",
    "match",
]

MAX_CHARACTERS = 160
"""Nobody says a plain command with more."""


def match(utterance: str, language: str) -> Intent | None:
    """What the utterance asks for, as speech recognition wrote it; None when that is for the model to find out.

    `language` is a tag such as "en" or "zh-CN"; other languages have no plain commands. Volumes are clamped to
    what there is; the length of a timer is as it was said (`Timers` refuses).
    """
    if len(utterance) > MAX_CHARACTERS:
        return None
    primary = primary_language(language)
    # Each is a long list of patterns, and only the language that is spoken is needed.
    if primary == "en":
        from edged.pipeline.heard.english import match_english

        return match_english(utterance)
    if primary == "zh":
        from edged.pipeline.heard.chinese import match_chinese

        return match_chinese(utterance)
    return None
