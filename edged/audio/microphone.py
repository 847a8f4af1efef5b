"""A microphone as frames of 10 ms at 16 kHz, muted for real, and back by itself after it was unplugged."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import numpy as np

from edged.audio.device_stream import DeviceState, DeviceStream, Service
from edged.audio.devices import Direction
from edged.audio.pcm import FRAME_SAMPLES, Pcm
from edged.audio.resample import Resampler
from edged.audio.sound_process import INPUT_HEAD, Opened

BLOCKS_PER_SECOND = 50
"""A block of 20 ms wakes half as many threads as one of 10 ms."""
LATENCY_SECONDS = 0.06
"""What the device may buffer: three blocks."""


class Microphone:
    """Muted until opened. One task reads; `run` belongs in the daemon's TaskGroup."""

    def __init__(
        self,
        device: str = "",
        *,
        queue_seconds: float = 2.0,
        on_state: Callable[[DeviceState], None] = lambda state: None,
    ) -> None:
        """device: as `find_device` takes it. queue_seconds: the most that waits to be read.

        on_state: called in the event loop when the state changed.
        """
        self._device = DeviceStream(
            device,
            Direction.INPUT,
            self._begin,
            blocks_per_second=BLOCKS_PER_SECOND,
            latency_seconds=LATENCY_SECONDS,
            on_state=on_state,
        )
        self._most_blocks = max(1, round(queue_seconds * BLOCKS_PER_SECOND))
        self._capture: _Capture | None = None
        self._arrived = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._past_overruns = 0

    @property
    def state(self) -> DeviceState:
        """Open, muted or lost."""
        return self._device.state

    @property
    def overruns(self) -> int:
        """How often sound was lost because nobody took it in time, here or out of the device's own buffer."""
        capture = self._capture
        return self._past_overruns + (capture.overruns if capture else 0)

    @property
    def reconnects(self) -> int:
        """How often the device came back."""
        return self._device.reconnects

    async def open(self) -> None:
        """Begins to listen. Idempotent.

        Raises InvalidInput (no such device), DeviceUnavailable (it does not open): then it is lost and `run` keeps
        trying; MissingExtra.
        """
        await self._device.open()

    async def close(self) -> None:
        """Mutes: afterwards no stream exists, and what was not read yet is gone. Idempotent."""
        await self._device.close()
        self._forget()

    async def run(self) -> None:
        """Brings the device back whenever it is lost, until cancelled; then closes."""
        try:
            await self._device.run()
        finally:
            self._forget()

    async def read(self) -> Pcm:
        """The next frame of 160 samples; waits as long as it takes, muted or lost."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._arrived.clear()
            capture = self._capture
            frame = capture.next_frame() if capture else None
            if frame is not None:
                return frame
            await self._arrived.wait()

    async def __aiter__(self) -> AsyncIterator[Pcm]:
        """Frames without end."""
        while True:
            yield await self.read()

    def _begin(self, opened: Opened) -> Service:
        self._forget()
        self._capture = capture = _Capture(opened, self._most_blocks, self._wake)
        return capture

    def _wake(self) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._arrived.set)

    def _forget(self) -> None:
        capture, self._capture = self._capture, None
        if capture is not None:
            self._past_overruns += capture.overruns


class _Capture:
    """What one opened device gave and nobody read yet."""

    def __init__(self, opened: Opened, most_blocks: int, wake: Callable[[], None]) -> None:
        self.overruns = 0
        self._channels = opened.channels
        self._most_blocks = most_blocks
        self._wake = wake
        self._blocks: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._resampler = Resampler(opened.sample_rate)
        self._rest: Pcm = np.zeros(0, np.int16)
        self._frames: deque[Pcm] = deque()

    def begin(self) -> list[bytes]:
        """Part of `Service`."""
        return []

    def serve(self, packet: bytes) -> None:
        """Part of `Service`. The oldest block makes room."""
        with self._lock:
            self.overruns += INPUT_HEAD.unpack_from(packet)[0]
            self._blocks.append(packet[INPUT_HEAD.size :])
            if len(self._blocks) > self._most_blocks:
                self._blocks.popleft()
                self.overruns += 1
        self._wake()

    def next_frame(self) -> Pcm | None:
        """None where no whole frame is there."""
        while not self._frames:
            with self._lock:
                if not self._blocks:
                    return None
                block = self._blocks.popleft()
            sound = np.frombuffer(block, np.int16).reshape(-1, self._channels)
            joined = np.concatenate([self._rest, self._resampler.push(sound)])
            whole = len(joined) // FRAME_SAMPLES * FRAME_SAMPLES
            self._frames.extend(joined[:whole].reshape(-1, FRAME_SAMPLES))
            self._rest = joined[whole:]
        return self._frames.popleft()
