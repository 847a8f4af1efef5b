"""Who computes next: a pure round robin over what is active, first come first served for the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Job = TypeVar("Job")


class RoundRobin(Generic[Job]):
    """At most `max_active` jobs take turns, a step each; the others wait in order."""

    def __init__(self, max_active: int) -> None:
        self._max_active = max_active
        self._waiting: deque[Job] = deque()
        self._active: deque[Job] = deque()

    @property
    def active(self) -> tuple[Job, ...]:
        """Jobs taking turns."""
        return tuple(self._active)

    @property
    def waiting(self) -> tuple[Job, ...]:
        """Jobs not started, oldest first."""
        return tuple(self._waiting)

    def submit(self, job: Job) -> None:
        """Put a job at the end of the queue."""
        self._waiting.append(job)

    def admit(self, can_start: Callable[[Job], bool]) -> Job | None:
        """Move the oldest waiting job among the active ones, if there is room and it can start.

        A job that cannot start yet holds back the later ones: nobody is overtaken for ever.
        """
        if not self._waiting or len(self._active) >= self._max_active or not can_start(self._waiting[0]):
            return None
        job = self._waiting.popleft()
        self._active.append(job)
        return job

    def next_turn(self) -> Job | None:
        """The active job whose turn it is; it goes to the end of the round."""
        if not self._active:
            return None
        self._active.rotate(-1)
        return self._active[-1]

    def remove(self, job: Job) -> None:
        """Forget a job, wherever it is."""
        for jobs in (self._active, self._waiting):
            if job in jobs:
                jobs.remove(job)
