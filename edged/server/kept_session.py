"""One conversation by voice beside the calls that serve it: sound in, numbered events out, kept for who comes back."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from edged import wire
from edged.audio.pcm import SAMPLE_RATE, Pcm
from edged.errors import InvalidInput, NotFound
from edged.pipeline.remote_speaker import RemoteSpeaker
from edged.pipeline.voice import VoiceSession
from edged.records import Reader
from edged.v1 import assistant_pb2 as pb
from edged.voice_events import VoiceEvent

AWAY_SECONDS = 60.0
"""How long a session waits for a client whose connection broke."""
MAX_AUDIO_BYTES = 2 * SAMPLE_RATE
"""A second."""
HEARD_SAMPLES = 480
"""Heard at once, whatever a client sends at once: within 30 ms it may become clear that somebody speaks."""
QUEUED_PIECES = 64
"""Pieces of sound that may wait; a client that sends faster than it speaks is made to wait."""
KEPT_BYTES = 8 * 1024 * 1024
"""Events kept for a client that comes back; the oldest go first."""
EVENT_BYTES = 1024
"""What an event takes in memory beside what it takes on the wire."""


class Decoder(Protocol):
    """Turns what a client sends into samples at 16 kHz."""

    def __call__(self, data: bytes) -> Pcm:
        """Raises InvalidInput."""
        ...


class KeptSession:
    """Lives until it is over and its last event was delivered, or nobody came back for it."""

    voice: VoiceSession
    life: asyncio.Task[None]

    def __init__(self, decode: Decoder, device_id: str, reader: Reader) -> None:
        """device_id: of whose it is; empty for the operator. reader: whose conversations it goes on with."""
        self.device_id = device_id
        self.reader = reader
        self.id = secrets.token_urlsafe(12)
        self.speaker = RemoteSpeaker(self.emit, asyncio.get_running_loop().time)
        self.taken = 0
        """Requests after the opening."""
        self.is_over = False
        self.away_since: float | None = None
        """By the loop's clock; None while a call serves it."""
        self.serving = asyncio.Lock()
        """Held by the call that serves it."""
        self.superseded = asyncio.Event()
        """Set for that call when another wants to."""
        self.newest_call = 0
        self._decode = decode
        self._sound: asyncio.Queue[Pcm | None] = asyncio.Queue(QUEUED_PIECES)
        self._kept: deque[pb.ConverseResponse] = deque()
        self._kept_bytes = 0
        self._sequence = 0
        self._changed = asyncio.Event()
        self._away: asyncio.TimerHandle | None = None

    def connected(self) -> None:
        """A client is there, or is back."""
        self.superseded = asyncio.Event()
        self.away_since = None
        if self._away:
            self._away.cancel()

    def left(self, forget: Callable[[], None]) -> None:
        """It has gone: `forget` is called unless it comes back in time."""
        loop = asyncio.get_running_loop()
        self.away_since = loop.time()
        self._away = loop.call_later(AWAY_SECONDS, forget)

    def end(self) -> None:
        """No more events will come."""
        self.is_over = True
        self._changed.set()

    # --- events ---

    def emit(self, event: VoiceEvent) -> None:
        """Number it and keep it."""
        self._sequence += 1
        response = pb.ConverseResponse(sequence=self._sequence, event=wire.voice_event_to_wire(event))
        self._kept.append(response)
        self._kept_bytes += response.ByteSize() + EVENT_BYTES
        while self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= self._kept.popleft().ByteSize() + EVENT_BYTES
        self._changed.set()

    def require_sent(self, sequence: int) -> None:
        """Raises InvalidInput for a number that no event has had."""
        if sequence > self._sequence:
            raise InvalidInput("last_sequence was never sent", field="open.last_sequence")

    async def responses(self, after: int) -> AsyncIterator[pb.ConverseResponse]:
        """Events with numbers above `after`, until the session is over. Raises NotFound where some are gone."""
        while True:
            self._changed.clear()
            while after < self._sequence:
                place = after + 1 - (self._sequence - len(self._kept) + 1)
                if place < 0:
                    raise NotFound("events of this session are lost; open a new one", resource=("session", self.id))
                after += 1
                yield self._kept[place]
            if self.is_over:
                return
            if not self._changed.is_set():
                await self._changed.wait()

    # --- sound ---

    async def take(self, data: bytes) -> None:
        """The next piece of sound; waits while too much is queued. Raises InvalidInput."""
        if len(data) > MAX_AUDIO_BYTES:
            raise InvalidInput(f"a piece of sound has at most {MAX_AUDIO_BYTES} bytes, a second", field="audio.data")
        await self._sound.put(self._decode(data))

    async def settled(self) -> None:
        """The sound that came before is taken: what was said before a button was released belongs to it."""
        await self._sound.join()

    async def finish(self) -> None:
        """The client sends no more sound."""
        await self._sound.put(None)

    async def sound(self) -> AsyncIterator[Pcm]:
        """What the client sends."""
        while (pcm := await self._sound.get()) is not None:
            for start in range(0, len(pcm), HEARD_SAMPLES):
                yield pcm[start : start + HEARD_SAMPLES]
            self._sound.task_done()  # whoever iterates has taken it when asking for the next
