"""The daemon's end of a camera's process (`camera_process`)."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple, Self

from edged.errors import DeviceUnavailable, MissingExtra
from edged.vision.camera_process import ASK, FAILED, FRAME, HEAD, MAX_FRAME_BYTES, OPENED, SILENT_SECONDS, Wish

OPEN_SECONDS = 20.0
"""For a new process to open the camera and to wait for its exposure, on a machine that is busy."""
ANSWER_SECONDS = 2 * SILENT_SECONDS
"""A process that gives no picture for so long hangs: it would have said what is wrong with the camera."""
_ERRORS = {error.__name__: error for error in (DeviceUnavailable, MissingExtra)}


class Taken(NamedTuple):
    """A picture."""

    time: float
    """By CLOCK_MONOTONIC, in seconds."""
    jpeg: bytes


class CameraLink:
    """To one process, which lives as long as the block of `started`."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._patience: asyncio.Timeout | None = None
        self._asking: asyncio.TimerHandle | None = None

    @classmethod
    @asynccontextmanager
    async def started(cls, wish: Wish) -> AsyncIterator[Self]:
        """Killed at the end of the block. Raises DeviceUnavailable."""
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        link = None
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "edged.vision.camera_process", str(theirs.fileno())),
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # OpenCV and FFmpeg talk a lot
                )
            link = cls(process, reader, writer)
            writer.write(wish.line())
            yield link
        except OSError as exc:
            raise DeviceUnavailable(f"no process for the camera can be started: {exc.strerror}") from exc
        finally:
            writer.transport.abort()
            if link:
                await link._end()

    def kill(self) -> None:
        """The camera is closed when the block of `started` has ended, which it does at once."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def opened(self) -> None:
        """Raises DeviceUnavailable, MissingExtra."""
        await self._message(OPENED, OPEN_SECONDS)

    def ask_in(self, seconds: float) -> None:
        """For one picture."""
        self._asking = self._loop.call_later(seconds, self._ask)

    async def picture(self) -> Taken:
        """The one that was asked for, or is going to be. Raises DeviceUnavailable."""
        return await self._message(FRAME, None)

    async def _message(self, wanted: bytes, seconds: float | None) -> Taken:
        try:
            async with asyncio.timeout(seconds) as self._patience:
                kind, taken, length = HEAD.unpack(await self._reader.readexactly(HEAD.size))
                if length > MAX_FRAME_BYTES:
                    raise DeviceUnavailable("the process that holds the camera went wrong")
                payload = await self._reader.readexactly(length)
        except TimeoutError:
            raise DeviceUnavailable("the camera hangs; unplug it and plug it in again") from None
        except (OSError, EOFError) as exc:
            raise DeviceUnavailable("the process that holds the camera ended") from exc
        if kind == FAILED:
            failure = json.loads(payload)
            raise _ERRORS.get(failure["error"], DeviceUnavailable)(failure["message"])
        if kind != wanted:
            raise DeviceUnavailable("the process that holds the camera went wrong")
        return Taken(taken, payload)

    def _ask(self) -> None:
        self._writer.write(ASK)
        if self._patience:
            self._patience.reschedule(self._loop.time() + ANSWER_SECONDS)

    async def _end(self) -> None:
        if self._asking:
            self._asking.cancel()
        self.kill()
        await self._process.wait()
