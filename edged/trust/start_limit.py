"""How often a pairing may be begun: each time costs the daemon some milliseconds of arithmetic."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from edged.errors import QueueFull

WINDOW_SECONDS = 60.0
MAX_STARTS = 60
"""In the window, by all."""
MAX_STARTS_OF_ADDRESS = 20
"""In the window, by one."""


class StartLimit:
    """Remembers the starts of the last minute and nothing else, however many are refused."""

    def __init__(self, time: Callable[[], float]) -> None:
        """time: seconds, of a clock that never goes back."""
        self._time = time
        self._starts: deque[tuple[float, str]] = deque()

    def take(self, address: str) -> None:
        """One start. Raises QueueFull, which says when to try again."""
        now = self._time()
        while self._starts and self._starts[0][0] <= now - WINDOW_SECONDS:
            self._starts.popleft()
        of_address = [began for began, other in self._starts if other == address]
        for starts, limit in (([began for began, _ in self._starts], MAX_STARTS), (of_address, MAX_STARTS_OF_ADDRESS)):
            if len(starts) >= limit:
                wait = starts[-limit] + WINDOW_SECONDS - now
                raise QueueFull(f"too many begin to pair: try again in {wait:.0f} s", retry_seconds=wait)
        self._starts.append((now, address))
