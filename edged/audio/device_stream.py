"""One stream of sound from or to a device that may be unplugged at any time, and comes back by itself."""

from __future__ import annotations

import asyncio
import enum
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Protocol

from edged.audio.devices import Direction
from edged.audio.sound_process import Opened
from edged.errors import DeviceUnavailable, EdgedError, InvalidInput, MissingExtra

WATCH_SECONDS = 0.2
SILENT_SECONDS = 1.0
"""A device that has not given or taken a block for so long is lost."""
FIRST_SECONDS = 4.0
"""The same for the first block: some devices take their time to wake up."""
OPEN_SECONDS = 15.0
"""For a new process to open the device, on a machine that is busy."""
RETRY_SECONDS = (0.3, 10.0)
"""From the first try to have a lost device back to the next one, and the most; it doubles from try to try."""
_ERRORS = {error.__name__: error for error in (InvalidInput, DeviceUnavailable, MissingExtra)}
_PACKET_BYTES = 1 << 17
_logger = logging.getLogger(__name__)


class DeviceState(enum.StrEnum):
    """Of a microphone or a speaker."""

    OPEN = "open"
    MUTED = "muted"
    """Closed on purpose: no stream exists."""
    LOST = "lost"
    """Wanted, but its device is not there; tried again until it is."""


class Service(Protocol):
    """What a microphone or a speaker does with one opened device; called by a thread of the stream's own."""

    def begin(self) -> list[bytes]:
        """Packets to send at once."""

    def serve(self, packet: bytes) -> bytes | None:
        """A packet from the device, and the answer to it."""


class DeviceStream:
    """Opens a device in a process of its own (`sound_process`), and again whenever it was lost."""

    def __init__(
        self,
        device: str,
        direction: Direction,
        serve: Callable[[Opened], Service],
        *,
        blocks_per_second: int,
        latency_seconds: float,
        on_state: Callable[[DeviceState], None] = lambda state: None,
    ) -> None:
        """serve: called for each device that opens. on_state: called in the event loop when the state changed."""
        self._command = [sys.executable, "-P", "-m", "edged.audio.sound_process", direction]
        self._command += [str(blocks_per_second), str(latency_seconds)]
        self._device = device
        self._noun = direction.noun
        self._serve = serve
        self._on_state = on_state
        self._told = DeviceState.MUTED
        self._lock = threading.Lock()
        self._is_wanted = False
        self._is_lost = False
        self._process: _SoundProcess | None = None
        self.reconnects = 0
        """How often it came back."""

    @property
    def state(self) -> DeviceState:
        """Open, muted or lost."""
        if self._process is not None:
            return DeviceState.OPEN
        return DeviceState.LOST if self._is_lost else DeviceState.MUTED

    async def open(self) -> None:
        """Idempotent.

        Raises InvalidInput (no such device), DeviceUnavailable (it does not open): then it is lost and `run` keeps
        trying; MissingExtra.
        """
        self._is_wanted = True
        try:
            await asyncio.to_thread(self._open)
        except MissingExtra:
            self._is_wanted = False
            raise
        except EdgedError:
            self._is_lost = self._is_wanted
            raise
        finally:
            self._tell()

    async def close(self) -> None:
        """Afterwards no stream exists. Idempotent."""
        self._is_wanted = self._is_lost = False
        await asyncio.to_thread(self._close)
        self._tell()

    async def run(self) -> None:
        """Brings the device back whenever it is lost, until cancelled; then closes."""
        wait, retry_at = RETRY_SECONDS[0], 0.0
        try:
            while True:
                await asyncio.sleep(WATCH_SECONDS)
                process = self._process
                if process is not None and process.is_gone:
                    await asyncio.to_thread(self._lose, process)
                    wait, retry_at = RETRY_SECONDS[0], 0.0
                    self._tell()
                if self.state is DeviceState.LOST and time.monotonic() >= retry_at:
                    await asyncio.to_thread(self._try_again)
                    retry_at = time.monotonic() + wait
                    wait = min(2 * wait, RETRY_SECONDS[1])
                self._tell()
        finally:
            await self.close()

    def _open(self) -> None:
        """Unless it is open, or no longer wanted."""
        with self._lock:
            if self._is_wanted and self._process is None:
                self._process = _SoundProcess(self._command, self._device, self._serve)
                self._is_lost = False

    def _close(self) -> None:
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                process.end()

    def _lose(self, process: _SoundProcess) -> None:
        """Unless it was closed meanwhile."""
        with self._lock:
            if self._process is not process:
                return
            self._is_lost, self._process = self._is_wanted, None
            process.end()
        _logger.warning("the %s is lost", self._noun)

    def _try_again(self) -> None:
        try:
            self._open()
        except EdgedError as exc:
            _logger.debug("%s", exc.message)
            return
        if self.state is DeviceState.OPEN:
            self.reconnects += 1
            _logger.warning("the %s is back", self._noun)

    def _tell(self) -> None:
        state = self.state
        if state is not self._told:
            self._told = state
            self._on_state(state)


class _SoundProcess:
    """One opened device, and the thread that serves it."""

    def __init__(self, command: list[str], device: str, serve: Callable[[Opened], Service]) -> None:
        """Raises as `DeviceStream.open` does."""
        with ExitStack() as undone:
            try:
                self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                undone.callback(self._socket.close)
                with theirs:
                    self._process = subprocess.Popen(
                        [*command, str(theirs.fileno()), device],
                        pass_fds=[theirs.fileno()],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,  # PortAudio and ALSA talk a lot
                    )
            except OSError as exc:
                raise DeviceUnavailable(f"no process for a sound device can be started: {exc.strerror}") from exc
            undone.pop_all()
        try:
            self._service = serve(self._wait_until_open())
        except EdgedError:
            self._kill()
            self._socket.close()
            raise
        self._deadline = time.monotonic() + FIRST_SECONDS
        self._thread = threading.Thread(target=self._run, name="edged-sound", daemon=True)
        self._thread.start()

    @property
    def is_gone(self) -> bool:
        """The device gives and takes nothing any more."""
        return time.monotonic() > self._deadline

    def end(self) -> None:
        """Takes some milliseconds."""
        self._kill()
        self._thread.join()
        self._socket.close()

    def _wait_until_open(self) -> Opened:
        self._socket.settimeout(OPEN_SECONDS)
        try:
            said = json.loads(self._socket.recv(_PACKET_BYTES))
        except (OSError, ValueError) as exc:
            raise DeviceUnavailable("the process that opens sound devices ended, or does not answer") from exc
        if "error" in said:
            raise _ERRORS[said["error"]](said["message"], field="device")
        self._socket.settimeout(None)
        return Opened(**said)

    def _run(self) -> None:
        """The thread: until the process is gone."""
        with suppress(OSError):
            for packet in self._service.begin():
                self._socket.send(packet)
            while packet := self._socket.recv(_PACKET_BYTES):
                self._deadline = time.monotonic() + SILENT_SECONDS
                answer = self._service.serve(packet)
                if answer is not None:
                    self._socket.send(answer)
        self._deadline = 0.0

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
