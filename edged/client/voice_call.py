"""A conversation by voice from the client's side, taken up again by itself when the connection breaks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager
from typing import Any

import grpc

from edged import wire
from edged.client.remote_error import encodable
from edged.errors import EdgedError, Unavailable
from edged.v1 import assistant_pb2, voice_pb2
from edged.voice_events import EndOfSpeech, Opening, VoiceEvent, VoiceInput

AGAIN_SECONDS = 45.0
"""How long a broken connection is tried again; the daemon keeps the session for a minute."""
PAUSE_SECONDS = 0.25
KEPT_PIECES = 512
"""Inputs kept until the daemon has taken them for sure."""


class VoiceCall:
    """Feed it with `send`, read it with `events`; both within one event loop."""

    def __init__(self, stub: Any, remote_errors: Callable[[], AbstractContextManager[None]], opening: Opening) -> None:
        """remote_errors: makes an EdgedError of what a call raises."""
        self._stub = stub
        self._remote_errors = remote_errors
        self._opening = opening
        self._inputs: asyncio.Queue[assistant_pb2.ConverseRequest] = asyncio.Queue(KEPT_PIECES)
        self._sent: deque[tuple[int, assistant_pb2.ConverseRequest]] = deque(maxlen=KEPT_PIECES)
        """The last ones, each with its number."""
        self._count = 0
        self._session_id = ""
        self._last_sequence = 0
        self._broken_at = 0.0
        """Since when the connection is broken, by the loop's clock; 0 while it is not."""
        self.sample_rate = 0
        """Of the sound that comes back; 0 before the first event."""

    async def send(self, piece: VoiceInput) -> None:
        """Say or do the next thing; waits while the daemon does not keep up. Raises InvalidInput."""
        with encodable():
            request = wire.input_to_wire(piece)
        await self._inputs.put(request)

    async def finish(self) -> None:
        """Nothing more will be said; `events` ends when the last answer does."""
        await self.send(EndOfSpeech())

    async def events(self) -> AsyncGenerator[VoiceEvent, None]:
        """What the daemon tells. Raises RemoteError, Unavailable when the connection does not come back."""
        clock = asyncio.get_running_loop().time
        while True:
            try:
                async for event in self._one_call():
                    yield event
                return
            except EdgedError as exc:
                self._broken_at = self._broken_at or clock()
                may_come_back = self._session_id and exc.reason == Unavailable.reason
                if not may_come_back or clock() - self._broken_at > AGAIN_SECONDS:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def _one_call(self) -> AsyncGenerator[VoiceEvent, None]:
        call = self._stub.Converse()
        sending: asyncio.Task[None] | None = None
        try:
            with self._remote_errors():
                await call.write(assistant_pb2.ConverseRequest(open=self._open()))
                async for response in call:
                    if response.WhichOneof("response") == "opened":
                        self._broken_at = 0.0
                        self._session_id, self.sample_rate = response.opened.session_id, response.opened.sample_rate
                        sending = asyncio.create_task(self._send(call, response.opened.taken))
                    elif response.event.WhichOneof("event"):  # a newer daemon may send kinds this client does not know
                        self._last_sequence = response.sequence
                        yield wire.voice_event_from_wire(response.event)
        finally:
            if sending:
                sending.cancel()
                await asyncio.wait({sending})
            call.cancel()

    def _open(self) -> voice_pb2.OpenConversation:
        with encodable():
            opening = wire.opening_to_wire(self._opening)
        opening.session_id, opening.last_sequence = self._session_id, self._last_sequence
        return opening

    async def _send(self, call: Any, taken: int) -> None:
        """First what the daemon has not taken of an earlier call. A broken call shows in what is read of it."""
        try:
            for number, piece in tuple(self._sent):
                if number > taken:
                    await call.write(piece)
            while True:
                next_piece = await self._inputs.get()
                self._count += 1
                self._sent.append((self._count, next_piece))
                await call.write(next_piece)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return
