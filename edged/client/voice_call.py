"""A conversation by voice from the client's side, taken up again by itself when the connection breaks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from edged import wire
from edged.client.remote_error import encodable, remote_errors
from edged.errors import EdgedError, Unavailable
from edged.v1 import assistant_pb2, voice_pb2
from edged.voice_events import Opening, SpokenInput, VoiceEvent, VoiceInput

AGAIN_SECONDS = 45.0
"""How long a broken connection is tried again; the daemon keeps the session for a minute."""
PAUSE_SECONDS = 0.25
KEPT_PIECES = 512
"""Pieces of sound kept until the daemon has taken them for sure."""


class VoiceCall:
    """Feed it with `send`, read it with `events`; both within one event loop."""

    def __init__(self, stub: Any, address: str, opening: Opening) -> None:
        self._stub = stub
        self._address = address
        self._opening = opening
        self._inputs: asyncio.Queue[VoiceInput | None] = asyncio.Queue(KEPT_PIECES)
        self._sent: deque[tuple[int, SpokenInput]] = deque(maxlen=KEPT_PIECES)
        self._sent_audio = 0
        self._is_finished = False
        self._opened = asyncio.Event()
        self._taken_audio = 0
        self._session_id = ""
        self._last_sequence = 0
        self.sample_rate = 0
        """Of the sound that comes back; 0 before the first event."""

    async def send(self, piece: VoiceInput) -> None:
        """Say or do the next thing; waits while the daemon does not keep up."""
        await self._inputs.put(piece)

    async def finish(self) -> None:
        """Nothing more will be said; `events` ends when the last answer does."""
        await self._inputs.put(None)

    async def events(self) -> AsyncGenerator[VoiceEvent, None]:
        """What the daemon tells. Raises RemoteError, Unavailable when the connection does not come back."""
        clock = asyncio.get_running_loop().time
        broken_at: float | None = None
        while True:
            try:
                async for event in self._one_call():
                    broken_at = None
                    yield event
                return
            except EdgedError as exc:
                broken_at = broken_at if broken_at is not None else clock()
                may_come_back = self._session_id and exc.reason == Unavailable.reason
                if not may_come_back or clock() - broken_at > AGAIN_SECONDS:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def _one_call(self) -> AsyncGenerator[VoiceEvent, None]:
        self._opened.clear()
        call = self._stub.Converse(self._requests())
        try:
            with remote_errors(self._address):
                async for response in call:
                    if response.WhichOneof("response") == "opened":
                        self._take_opened(response.opened)
                    elif response.event.WhichOneof("event"):  # a newer daemon may send kinds this client does not know
                        self._last_sequence = response.sequence
                        yield wire.voice_event_from_wire(response.event)
        finally:
            call.cancel()

    def _take_opened(self, opened: voice_pb2.ConversationOpened) -> None:
        self._session_id = opened.session_id
        self._taken_audio = opened.taken_audio
        self.sample_rate = opened.sample_rate
        self._opened.set()

    async def _requests(self) -> AsyncIterator[assistant_pb2.ConverseRequest]:
        with encodable():
            opening = wire.opening_to_wire(self._opening)
        opening.session_id, opening.last_sequence = self._session_id, self._last_sequence
        yield assistant_pb2.ConverseRequest(open=opening)
        await self._opened.wait()
        for number, piece in tuple(self._sent):
            if number > self._taken_audio:
                yield wire.input_to_wire(piece)
        while not self._is_finished:
            piece_or_end = await self._inputs.get()
            if piece_or_end is None:
                self._is_finished = True
                return
            if isinstance(piece_or_end, SpokenInput):
                self._sent_audio += 1
                self._sent.append((self._sent_audio, piece_or_end))
            yield wire.input_to_wire(piece_or_end)
