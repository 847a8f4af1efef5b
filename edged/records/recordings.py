"""Recordings that are written down: how, and what was heard."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionOptions:
    """How a recording is written down."""

    language: str = ""
    """What is spoken, by its code, such as "en"; empty for what the recognizer is set to."""
    translates: bool = False
    """In English, whatever is spoken."""
    prompt: str = ""
    """What was said before, in words and spelling to go on with."""
    temperature: float = 0.0
    """0 takes the likeliest words; up to 1."""
    has_words: bool = False
    """With the time of each word, which takes about a tenth longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenWord:
    """A word in a recording."""

    text: str
    """With the space before it, where there is one."""
    start_seconds: float
    end_seconds: float
    probability: float
    """0 to 1."""
    tokens: tuple[int, ...]
    """The recognizer's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcription:
    """What was heard."""

    text: str
    """Empty where nobody speaks."""
    language: str
    """Its code, such as "en"; empty where none was heard."""
    is_speech: bool
    """Whether somebody speaks at all."""
    seconds: float
    """How long the sound is that was listened to."""
    log_probability: float
    """Mean of the tokens': near 0 where every word is sure."""
    no_speech_probability: float = 0.0
    """That nobody speaks, as the recognizer has it; mean of what was taken for speech."""
    words: tuple[SpokenWord, ...] = ()
    """Where they were asked for."""
