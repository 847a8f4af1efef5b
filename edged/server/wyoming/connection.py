"""One client: events in and out, with an end to its patience and to ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

from wyoming.error import Error
from wyoming.event import Event, Eventable, async_write_event

from edged.errors import EdgedError, Unavailable
from edged.server.wyoming.reading import read_event

FIRST_SECONDS = 10.0
"""A client that has connected says something before that."""
SILENT_SECONDS = 60.0
"""And again before that, unless it waits for an answer; Home Assistant asks a satellite every two seconds."""
SEND_SECONDS = 20.0
"""How long a client may leave an event unread, once the connection holds no more."""
LINGER_SECONDS = 1.0
"""For a client to read what went wrong; a connection with unread input would be reset, and the reason lost."""


class Connection:
    """Used by the tasks of one client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._writing = asyncio.Lock()

    async def events(self, *, is_busy: Callable[[], bool] = lambda: False) -> AsyncGenerator[Event, None]:
        """What the client sends until it leaves, or is silent for too long while nobody works for it.

        Raises InvalidInput for what is no event.
        """
        patience = FIRST_SECONDS
        while True:
            reading = asyncio.create_task(read_event(self._reader))
            try:
                while not (await asyncio.wait({reading}, timeout=patience))[0]:
                    if not is_busy():
                        return
                event = await reading
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)  # the reader is free again
            if event is None:
                return
            patience = SILENT_SECONDS
            yield event

    async def send(self, *events: Eventable) -> None:
        """One after another. Raises Unavailable where the client does not read, ConnectionError where it has gone."""
        try:
            async with asyncio.timeout(SEND_SECONDS), self._writing:
                for event in events:
                    await async_write_event(event.event(), self._writer)
        except TimeoutError as exc:
            raise Unavailable("the client stopped reading") from exc

    async def fail(self, problem: EdgedError) -> None:
        """Say what went wrong; the client is not listened to any more."""
        with suppress(EdgedError, OSError, TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await self.send(Error(text=problem.message, code=problem.reason))
                self._writer.write_eof()
                while await self._reader.read(1 << 16):
                    pass

    def close(self) -> None:
        """At once; what the system has taken is still delivered."""
        self._writer.transport.abort()
