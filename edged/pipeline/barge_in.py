"""Somebody speaks while the assistant does: first it lowers its voice, then it stops; and what of its answer was heard.

What reaches this stage has been through echo cancellation, so voice is somebody else's.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class Reaction(enum.Enum):
    """What to do about it."""

    DUCK = "duck"
    """Perhaps somebody speaks: play more softly."""
    GO_ON = "go on"
    """It was nothing: play as before."""
    STOP = "stop"
    """Somebody speaks: stop playing, stop thinking, listen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BargeInSettings:
    """How easily the assistant is interrupted."""

    speech_probability: float = 0.7
    """What counts as a voice while it speaks itself; what is left of an echo may sound a little like one."""
    duck_seconds: float = 0.06
    stop_seconds: float = 0.15
    """Voice within the last half second after which playback stops."""
    settling_seconds: float = 0.4
    """At the beginning of playback the echo canceller still learns: nothing counts."""


class BargeIn:
    """Follows one time of speaking; make a new one for the next."""

    def __init__(self, settings: BargeInSettings) -> None:
        self._settings = settings
        self._elapsed = 0.0
        self._voice = 0.0
        self._is_ducked = False

    @property
    def has_voice(self) -> bool:
        """Perhaps somebody has just begun to speak."""
        return self._voice > 0

    def push(self, *, speech_probability: float, seconds: float) -> Reaction | None:
        """Take the next piece of sound from the microphone."""
        self._elapsed += seconds
        if self._elapsed < self._settings.settling_seconds:
            return None
        if speech_probability >= self._settings.speech_probability:
            self._voice += seconds
        else:
            self._voice = max(0.0, self._voice - seconds / 2)
        if self._voice >= self._settings.stop_seconds:
            return Reaction.STOP
        if not self._is_ducked and self._voice >= self._settings.duck_seconds:
            self._is_ducked = True
            return Reaction.DUCK
        if self._is_ducked and self._voice == 0.0:
            self._is_ducked = False
            return Reaction.GO_ON
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenPiece:
    """A piece of an answer and what became of its sound."""

    text: str
    samples: int
    """Of its sound, as far as that is made; a piece without words has none."""
    played: int
    """Of them, those that were heard."""
    is_whole: bool = True
    """All of its sound is made."""


PACE = 15
"""Characters a second, of a piece whose sound is not all made yet."""


def heard_text(pieces: Iterable[SpokenPiece], sample_rate: int) -> str:
    """What was said aloud: whole pieces, and of the last one whole words.

    Within a piece, characters are taken to be spoken at an even pace.
    """
    heard: list[str] = []
    for piece in pieces:
        if piece.is_whole and piece.played >= piece.samples:
            heard.append(piece.text)
            continue
        length = piece.samples if piece.is_whole else max(piece.samples, len(piece.text) * sample_rate // PACE)
        heard.append(_words_before(piece.text, len(piece.text) * piece.played // max(length, 1)))
        break
    return "".join(heard).rstrip()


def _words_before(text: str, position: int) -> str:
    """The words that end before the position; Chinese has a word a character, for this purpose."""
    cut = text[:position]
    if len(cut) == len(text) or (cut and text[len(cut)].isspace()):
        return cut
    for place in range(len(cut), 0, -1):
        last = cut[place - 1]
        if last.isspace():
            return cut[: place - 1]
        if last > "\u2e80":
            return cut[:place]
    return ""
