"""The bridge from the device thread to one asyncio consumer.

Waking the consumer, and behind it a server's connection and a client, takes the cores from the model for a
moment: half a millisecond of processor time, a tenth of a small model's token. So it happens at most every
`WAKE_SECONDS`, twenty times a second: a fast model's tokens arrive a few at a time, a slow one's one by one, the
first and the last at once.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from edged.events import Finished, GenerationEvent, ReasoningDelta, TextDelta, ToolCallDelta

WAKE_SECONDS = 0.05


class EventStream:
    """Events put by a thread, taken by a coroutine.

    The thread never waits: what a slow consumer has not taken yet is merged into few large deltas, so the
    memory held is that of the text itself, which the context bounds.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._lock = threading.Lock()
        self._events: list[GenerationEvent] = []
        self._error: BaseException | None = None
        self._woken = 0.0

    def put(self, events: Sequence[GenerationEvent]) -> None:
        """Called by the thread. The last event of all is Finished."""
        if not events:
            return
        with self._lock:
            self._events.extend(events)
        now = time.monotonic()
        if now - self._woken >= WAKE_SECONDS or isinstance(events[-1], Finished):
            self._woken = now
            self._wake()

    def fail(self, error: BaseException) -> None:
        """Called by the thread: end the stream with an error, after the events put before it."""
        with self._lock:
            self._error = error
        self._wake()

    async def batch(self) -> list[GenerationEvent]:
        """Wait for events; all there are, coalesced. Raises what `fail` was given once they are taken."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            with self._lock:
                events, self._events, error = self._events, [], self._error
            if events and error is not None:
                self._ready.set()
            if events:
                return list(coalesce(events))
            if error is not None:
                raise error

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._ready.set)
        except RuntimeError:  # the loop is closed: nobody listens any more
            return


def coalesce(events: Iterable[GenerationEvent]) -> Iterator[GenerationEvent]:
    """The same events with neighbouring deltas of a kind joined."""
    for kind, group in groupby(events, key=type):
        if kind is TextDelta:
            said = [delta for delta in group if isinstance(delta, TextDelta)]
            text = "".join(delta.text for delta in said)
            yield TextDelta(text=text, logprobs=tuple(token for delta in said for token in delta.logprobs))
        elif kind is ReasoningDelta:
            yield ReasoningDelta(text="".join(delta.text for delta in group if isinstance(delta, ReasoningDelta)))
        elif kind is ToolCallDelta:
            pieces = [delta for delta in group if isinstance(delta, ToolCallDelta)]  # those of one call: another starts
            yield ToolCallDelta(index=pieces[0].index, text="".join(delta.text for delta in pieces))
        else:
            yield from group
