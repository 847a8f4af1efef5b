"""Timers as plain state: times are seconds on whatever clock the caller keeps to."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edged.errors import InvalidInput

MAX_TIMERS = 50
MIN_SECONDS = 1.0
MAX_SECONDS = 24 * 3600.0
MAX_NAME_CHARACTERS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """One that runs, or did."""

    seconds: float
    """How long it was set to."""
    name: str
    """What it is for; may be empty, and several may share it."""
    due: float
    """When it is done, on the caller's clock."""

    def left(self, now: float) -> float:
        """Seconds until it is done, at least 0."""
        return max(self.due - now, 0.0)

    def fits(self, name: str = "", seconds: float | None = None) -> bool:
        """Whether it is meant by this name and length, where given. Case and outer spaces do not matter."""
        wanted = name.strip().casefold()
        same_name = not wanted or self.name.strip().casefold() == wanted
        return same_name and (seconds is None or self.seconds == seconds)


class Timers:
    """Those that run, the next one first."""

    def __init__(self) -> None:
        self._running: list[Timer] = []

    def __len__(self) -> int:
        return len(self._running)

    def set(self, now: float, seconds: float, name: str = "") -> Timer:
        """Start one. Raises InvalidInput: "seconds" or "name" out of range, or "timers" when too many run."""
        if not (math.isfinite(seconds) and MIN_SECONDS <= seconds <= MAX_SECONDS):
            raise InvalidInput(
                f"a timer runs from {MIN_SECONDS:g} to {MAX_SECONDS:g} seconds, not {seconds:g}", field="seconds"
            )
        if len(name) > MAX_NAME_CHARACTERS:
            raise InvalidInput(f"the name has {len(name)} characters; the limit is {MAX_NAME_CHARACTERS}", field="name")
        if len(self._running) >= MAX_TIMERS:
            raise InvalidInput(f"{MAX_TIMERS} timers are running already", field="timers")
        timer = Timer(seconds=seconds, name=name, due=now + seconds)
        self._running = sorted([*self._running, timer], key=lambda running: running.due)
        return timer

    def cancel(self, name: str = "", seconds: float | None = None) -> list[Timer]:
        """Remove the timer that is meant, and return it.

        Where several fit, none is removed: nobody can tell which one was meant.
        """
        found = [timer for timer in self._running if timer.fits(name, seconds)]
        if len(found) != 1:
            return []
        self._running.remove(found[0])
        return found

    def cancel_all(self) -> list[Timer]:
        """Remove and return every one."""
        cancelled, self._running = self._running, []
        return cancelled

    def due(self, now: float) -> list[Timer]:
        """Remove and return those that are done, the earliest first."""
        done = [timer for timer in self._running if timer.due <= now]
        self._running = self._running[len(done) :]
        return done

    def left(self, now: float) -> list[tuple[Timer, float]]:
        """Each with the seconds that it still runs, the next one first."""
        return [(timer, timer.left(now)) for timer in self._running]
