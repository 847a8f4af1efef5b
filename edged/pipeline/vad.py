"""From probabilities of speech to utterances: when somebody begins to speak, pauses, and has finished.

Pure: it is told what the voice activity model says of each piece of sound, and how long the piece is.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Heard(enum.Enum):
    """What just became clear."""

    SPEECH = "speech"
    """Somebody speaks."""
    PAUSE = "pause"
    """They stopped, perhaps only to breathe: the time to look at what was said so far."""
    RESUMED = "resumed"
    """They went on."""
    END = "end"
    """The utterance is over."""
    NOTHING = "nothing"
    """Nobody spoke for as long as one waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpointing:
    """How patient the listener is."""

    speech_probability: float = 0.5
    """From here on a piece of sound is speech."""
    silence_probability: float = 0.35
    """Below this it no longer is; in between it stays what it was."""
    min_speech_seconds: float = 0.09
    """Shorter noises are no speech."""
    pause_seconds: float = 0.2
    """Silence after which PAUSE is said."""
    silence_seconds: float = 0.6
    """Silence that ends an utterance, unless `end_after` says otherwise."""
    wait_seconds: float = 6.0
    """How long nobody may say anything."""
    max_seconds: float = 30.0
    """An utterance this long ends where it is."""


class Segmenter:
    """Follows one utterance; `reset` begins the next."""

    def __init__(self, settings: Endpointing) -> None:
        self._settings = settings
        self.reset()

    def reset(self, *, wait_seconds: float | None = None) -> None:
        """Wait for an utterance, for as long as the settings or the argument say."""
        self._wait_seconds = self._settings.wait_seconds if wait_seconds is None else wait_seconds
        self._end_seconds = self._settings.silence_seconds
        self._elapsed = 0.0
        self._voiced = 0.0
        self._silent = 0.0
        self._is_voice = False
        self.has_begun = False
        """Whether somebody has spoken."""
        self._has_paused = False

    def begin(self) -> None:
        """Somebody speaks already, as is known from elsewhere."""
        self.has_begun = self._is_voice = True

    def end_after(self, silence_seconds: float) -> None:
        """What was said so far sounds finished, or does not: end this utterance after so much silence."""
        self._end_seconds = silence_seconds

    @property
    def silent_seconds(self) -> float:
        """Since the last speech."""
        return self._silent

    def push(self, *, speech_probability: float, seconds: float) -> Heard | None:
        """Take the next piece of sound. After END and NOTHING, call `reset`."""
        settings = self._settings
        self._elapsed += seconds
        threshold = settings.silence_probability if self._is_voice else settings.speech_probability
        self._is_voice = speech_probability >= threshold
        if self._is_voice:
            return self._voice(seconds)
        self._silent += seconds
        if not self.has_begun:
            self._voiced = max(0.0, self._voiced - seconds)
            return Heard.NOTHING if self._elapsed >= self._wait_seconds else None
        if self._silent >= self._end_seconds or self._elapsed >= settings.max_seconds:
            return Heard.END
        if self._silent >= settings.pause_seconds and not self._has_paused:
            self._has_paused = True
            return Heard.PAUSE
        return None

    def _voice(self, seconds: float) -> Heard | None:
        self._silent = 0.0
        self._voiced += seconds
        if self.has_begun:
            if self._elapsed >= self._settings.max_seconds:
                return Heard.END
            if self._has_paused:
                self._has_paused = False
                self._end_seconds = self._settings.silence_seconds
                return Heard.RESUMED
        elif self._voiced >= self._settings.min_speech_seconds:
            self.has_begun = True
            self._elapsed = self._voiced
            return Heard.SPEECH
        return None


_HANGING = frozenset(
    (  # articles, conjunctions, prepositions, forms of "to be", possessives, hesitations, and how commands begin
        *("a", "an", "the", "and", "or", "but", "so", "because", "if", "when", "while", "that", "which", "who", "than"),
        *("with", "without", "of", "in", "on", "at", "to", "for", "from", "by", "about", "into", "as", "like"),
        *("is", "are", "was", "were", "am", "be", "been", "i'm", "it's", "what's", "where's", "who's", "how's"),
        *("my", "your", "his", "her", "our", "their", "its", "this", "these", "those", "um", "uh", "er", "hmm"),
        *("please", "set", "call", "tell", "play", "turn"),
    )
)
"""Words after which an English speaker goes on."""
_HANGING_ZH = ("的", "和", "跟", "与", "或", "但是", "因为", "如果", "把", "被", "在", "给", "对", "嗯", "那个", "就是")


def patience(transcript: str, silence_seconds: float) -> float:
    """Silence that should end an utterance of which this was heard so far, given the usual one.

    A question that sounds complete is answered sooner; somebody who stops at "set a timer for" is waited for.
    """
    text = transcript.strip().rstrip("\"'”’)")
    words = text.rstrip(".…!?,;:-—").lower().split()
    if not words:
        return silence_seconds
    if text.endswith(("…", "...", ",", "，", "、", "-", "—")) or _hangs(words[-1]):
        return 2.0 * silence_seconds
    if text.endswith(("?", "？")) and (len(words) >= 3 or len(words[-1]) >= 5):
        return 0.75 * silence_seconds
    return silence_seconds


def _hangs(word: str) -> bool:
    return word in _HANGING or word.endswith(_HANGING_ZH)
