"""The life of the daemon as its callers see it: loading, serving, draining."""

from __future__ import annotations

import asyncio

from edged.errors import Unavailable
from edged.records import DaemonState
from edged.server.health import HealthServicer

RETRY_SECONDS = 1.0
"""When a caller that was refused may try again."""


class Lifecycle:
    """Which calls are taken now; health follows."""

    def __init__(self, health: HealthServicer) -> None:
        self._health = health
        self._state = DaemonState.LOADING
        self.draining = asyncio.Event()
        """Set when calls that would go on for ever must come to their end."""

    @property
    def state(self) -> DaemonState:
        """LOADING at first."""
        return self._state

    def enter(self, state: DaemonState) -> None:
        """Change the state and tell those who watch the health."""
        self._state = state
        if state is DaemonState.DRAINING:
            self.draining.set()
        self._health.set_serving(state is DaemonState.SERVING)

    def admit(self, method: str) -> None:
        """Raise Unavailable unless the method ("/edged.v1.Service/Method") is answered in this state.

        Status always is; while the engine loads, everything but questions.
        """
        if self._state is DaemonState.SERVING or "StatusService" in method:
            return
        if self._state is DaemonState.DRAINING:
            raise Unavailable("the daemon is shutting down; try again when it is back", retry_seconds=RETRY_SECONDS)
        if "AssistantService" in method:
            raise Unavailable("the daemon is still loading its engine; try again soon", retry_seconds=RETRY_SECONDS)
