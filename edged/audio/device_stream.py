"""One stream of sound from or to a device that may be unplugged at any time, and comes back by itself."""

from __future__ import annotations

import asyncio
import enum
import logging
import time
from collections.abc import Callable

from edged.audio.devices import Direction, SoundDevice, find_device
from edged.audio.portaudio import PORT_AUDIO, Stream, load
from edged.errors import DeviceUnavailable, EdgedError, InvalidInput

WATCH_SECONDS = 0.2
SILENT_SECONDS = 1.0
"""A stream whose device has not called for so long is lost."""
FIRST_SECONDS = 4.0
"""The same for the first call: some devices take their time to wake up."""
RETRY_SECONDS = (0.3, 8.0)
"""From the first try to have a lost device back to the next one, and the most; it doubles from try to try."""
_logger = logging.getLogger(__name__)


class DeviceState(enum.StrEnum):
    """Of a microphone or a speaker."""

    OPEN = "open"
    MUTED = "muted"
    """Closed on purpose: no stream exists."""
    LOST = "lost"
    """Wanted, but its device is not there; tried again until it is."""


class DeviceStream:
    """Opens what `make` gives for the device, and again whenever it was lost. A holder of PortAudio."""

    def __init__(
        self,
        device: str,
        direction: Direction,
        make: Callable[[SoundDevice], Stream],
        *,
        is_busy: Callable[[], bool] = lambda: False,
        on_state: Callable[[DeviceState], None] = lambda state: None,
    ) -> None:
        """make: a new stream that is not started yet. on_state: called in the event loop when the state changed."""
        self._device = device
        self._direction = direction
        self._make = make
        self._is_busy = is_busy
        self._on_state = on_state
        self._told = DeviceState.MUTED
        self._is_wanted = False
        self._stream: Stream | None = None
        self._deadline = 0.0
        self.losses = 0
        """How often the device was lost."""
        self.reconnects = 0
        """How often it came back."""

    @property
    def state(self) -> DeviceState:
        """Open, muted or lost."""
        if not self._is_wanted:
            return DeviceState.MUTED
        return DeviceState.OPEN if self._stream is not None else DeviceState.LOST

    @property
    def is_busy(self) -> bool:
        """A pause would be heard now."""
        return self._is_busy()

    @property
    def latency_seconds(self) -> float:
        """What the device says that it buffers; 0 while it is not open."""
        stream = self._stream
        return 0.0 if stream is None else float(stream.latency)

    def beat(self) -> None:
        """For the stream's callback: the device is alive."""
        self._deadline = time.monotonic() + SILENT_SECONDS

    async def open(self) -> None:
        """Idempotent.

        Raises InvalidInput (no such device), DeviceUnavailable (it does not open): then it is lost and `run` keeps
        trying; MissingExtra.
        """
        load()
        self._is_wanted = True
        try:
            await asyncio.to_thread(self._open)
        finally:
            self._tell()

    async def close(self) -> None:
        """Afterwards no stream exists. Idempotent."""
        await asyncio.to_thread(self.close_now)
        self._tell()

    async def run(self) -> None:
        """Brings the device back whenever it is lost, until cancelled; then closes."""
        wait, retry_at = RETRY_SECONDS[0], 0.0
        try:
            while True:
                await asyncio.sleep(WATCH_SECONDS)
                if self._is_gone():
                    await asyncio.to_thread(self._lose)
                    wait, retry_at = RETRY_SECONDS[0], 0.0
                if self.state is DeviceState.LOST and time.monotonic() >= retry_at:
                    await asyncio.to_thread(self._try_again)
                    retry_at = time.monotonic() + wait
                    wait = min(2 * wait, RETRY_SECONDS[1])
                self._tell()
        finally:
            self.close_now()
            self._tell()

    def close_now(self) -> None:
        """The same as `close` for who cannot wait; takes some milliseconds."""
        with PORT_AUDIO.lock:
            self._is_wanted = False
            self.suspend()

    def suspend(self) -> None:
        """Closes the stream for now. Part of `Holder`."""
        with PORT_AUDIO.lock:
            stream, self._stream = self._stream, None
            PORT_AUDIO.release(self)
            if stream is not None:
                stream.abort()
                stream.close()

    def resume(self) -> None:
        """Opens it again, or is lost. Part of `Holder`."""
        try:
            self._open()
        except EdgedError as exc:
            _logger.warning("%s", exc.message)

    def _open(self) -> None:
        """Unless it is open, or no longer wanted."""
        with PORT_AUDIO.lock:
            if not self._is_wanted or self._stream is not None:
                return
            device = find_device(self._device, self._direction)
            stream = None
            try:
                stream = self._make(device)
                self._deadline = time.monotonic() + FIRST_SECONDS
                stream.start()
            except load().PortAudioError as exc:
                if stream is not None:
                    stream.close()
                reason = " ".join(str(exc).split())
                raise DeviceUnavailable(
                    f'the {self._direction.noun} "{device.name}" does not open ({reason}); is it plugged in, and does '
                    "no other program hold it?"
                ) from exc
            self._stream = stream
            PORT_AUDIO.hold(self)

    def _is_gone(self) -> bool:
        """Asked by the event loop: while another thread opens or closes something, it says no rather than wait."""
        if not PORT_AUDIO.lock.acquire(blocking=False):
            return False
        try:
            stream = self._stream
            return stream is not None and (not stream.active or time.monotonic() > self._deadline)
        finally:
            PORT_AUDIO.lock.release()

    def _lose(self) -> None:
        with PORT_AUDIO.lock:
            if self._is_gone():
                self.losses += 1
                self.suspend()
                _logger.warning("the %s is lost", self._direction.noun)

    def _try_again(self) -> None:
        """As PortAudio knows its devices; then as they are now."""
        with PORT_AUDIO.lock:
            for _ in range(2):
                try:
                    self._open()
                except (InvalidInput, DeviceUnavailable) as exc:
                    _logger.debug("%s", exc.message)
                    if not PORT_AUDIO.refresh():
                        return
                else:
                    break
            if self._stream is not None:
                self.reconnects += 1
                _logger.warning("the %s is back", self._direction.noun)

    def _tell(self) -> None:
        state = self.state
        if state is not self._told:
            self._told = state
            self._on_state(state)
