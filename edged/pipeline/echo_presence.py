"""Whether the microphone hears the speaker at all.

An echo canceller that has no echo to cancel takes whoever speaks for one, and for seconds lets little of them through.
With headphones, or the speaker in another corner, what the microphone hears needs no cancelling.
"""

from __future__ import annotations

SURE_SECONDS = 0.4
"""Of loud sound from the speaker without a voice in the microphone, after which there is no echo."""
DELAY_SECONDS = 0.25
"""Until a sound that was handed to the speaker may be back."""
VOICE = 0.3
"""Probability of speech from which on the microphone hears a voice: its own, for all one knows."""


class EchoPresence:
    """Follows one playback; `reset` begins the next."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Nothing is known of what comes."""
        self._loud_seconds = 0.0
        self._elapsed = 0.0
        self._is_heard = False

    @property
    def is_absent(self) -> bool:
        """The speaker is not heard: a voice in the microphone is somebody's."""
        return (
            not self._is_heard and self._loud_seconds >= SURE_SECONDS and self._elapsed >= SURE_SECONDS + DELAY_SECONDS
        )

    def push(self, *, speech_probability: float, is_loud: bool, seconds: float) -> None:
        """The microphone's next piece as it is, and whether the speaker was handed something to hear meanwhile."""
        if self.is_absent:
            return
        self._elapsed += seconds if self._loud_seconds else 0.0
        self._loud_seconds += seconds if is_loud else 0.0
        self._is_heard = self._is_heard or speech_probability >= VOICE
