"""What works by voice without a language model: the time, timers, volume, silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from edged.errors import InvalidInput
from edged.pipeline.intents import CancelTimer, ChangeVolume, Mute, SetTimer, Stop, match
from edged.pipeline.replies import cannot_mute, done, refusal, reply
from edged.pipeline.timers import Timer, Timers


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of an utterance that needed no model."""

    reply: str
    """What is said back; empty where silence was asked for."""
    volume: ChangeVolume | None = None
    mutes: bool = False
    """Close the microphone once the reply was heard."""
    is_over: bool = False
    """Nothing more is expected: wait for the wake phrase."""


class Skills:
    """Those of one conversation: its timers are its own."""

    def __init__(
        self,
        timers: Timers | None = None,
        *,
        language: str,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        can_mute: bool = False,
    ) -> None:
        """timers: shared with who else sets them, by the same clock; None for some of its own.

        language: a tag. clock: seconds that go on while the machine sleeps. now: the local time.

        can_mute: whether the microphone is one's own to close.
        """
        self._can_mute = can_mute
        self._language = language
        self._clock = clock
        self._now = now
        self._timers = Timers() if timers is None else timers
        self._is_announcing = False

    def respond(self, utterance: str) -> Done | None:
        """None where the model is asked."""
        intent = match(utterance, self._language)
        if intent is None:
            return None
        if isinstance(intent, Mute) and not self._can_mute:
            return Done(reply=cannot_mute(self._language))
        cancelled: list[Timer] = []
        if isinstance(intent, SetTimer):
            try:
                self._timers.set(self._clock(), intent.seconds, intent.name)
            except InvalidInput as exc:
                return Done(reply=refusal(exc, self._language))
        elif isinstance(intent, CancelTimer):
            cancelled = self._timers.cancel_all() if intent.all else self._timers.cancel(intent.name, intent.seconds)
        left = self._timers.left(self._clock())
        return Done(
            reply=reply(intent, self._language, now=self._now(), timers=left, cancelled=cancelled),
            volume=intent if isinstance(intent, ChangeVolume) else None,
            mutes=isinstance(intent, Mute),
            is_over=isinstance(intent, Stop | Mute),
        )

    @property
    def has_timers(self) -> bool:
        """Some are running, or being announced."""
        return len(self._timers) > 0 or self._is_announcing

    def due(self) -> str:
        """What to announce of timers that ran out; each is announced once. Call `announced` when that was done."""
        due = self._timers.due(self._clock())
        self._is_announcing = self._is_announcing or bool(due)
        return " ".join(done(timer, self._language) for timer in due)

    def announced(self) -> None:
        """What was due was said."""
        self._is_announcing = False
