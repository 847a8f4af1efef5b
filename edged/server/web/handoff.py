"""From the coroutine that writes responses to the iterator that sends them on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from google.protobuf.message import Message


class Handoff:
    """Holds one response at a time, so that a caller who reads slowly slows down who writes."""

    def __init__(self) -> None:
        self._response: Message | None = None
        self._has_ended = False
        self._changed = asyncio.Event()
        self._sent = asyncio.Event()

    async def write(self, response: Message) -> None:
        """Returns when it was sent."""
        self._response = response
        self._sent.clear()
        self._changed.set()
        await self._sent.wait()

    def end(self) -> None:
        """There will be no more."""
        self._has_ended = True
        self._changed.set()

    async def responses(self) -> AsyncIterator[Message]:
        """Until the end."""
        while True:
            if self._response is not None:
                response, self._response = self._response, None
                yield response
                self._sent.set()
            elif self._has_ended:
                return
            else:
                self._changed.clear()
                await self._changed.wait()
