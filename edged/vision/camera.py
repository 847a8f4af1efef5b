"""The eye of this machine: open while somebody looks through it and nobody switched it off, and closed otherwise.

A camera without a process sees nothing. While it is open its process (`camera_process`) drains it, and hands over a
picture when one is asked for, taken after that.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edged.config.camera_source import CameraSource
from edged.errors import CameraOff, DeviceUnavailable, EdgedError, where_it_broke
from edged.records import CameraFrame, CameraState, CameraStatus
from edged.vision.camera_link import CameraLink, Taken
from edged.vision.camera_process import Wish

LINGER_SECONDS = 3.0
"""It stays open for so long after the last who looked: questions about what is seen follow each other."""
FRESH_SECONDS = 0.1
"""A picture that young is shared by those who ask for one."""
RETRY_SECONDS = (0.5, 10.0)
"""From losing the camera to the next try to have it back, and the most; it doubles from try to try."""
_log = logging.getLogger(__name__)


class Camera:
    """Closed until somebody looks; `run` belongs in the daemon's TaskGroup. All within one event loop."""

    def __init__(
        self, source: CameraSource, *, max_fps: float = 10.0, warm_up_frames: int = 5, led: Path | None = None
    ) -> None:
        """max_fps: most pictures a second taken from it, for all who look together.

        warm_up_frames: dropped after it was opened. led: a file that is "1" while it may see, else "0".
        """
        self._wish = Wish(source=source, warm_up_frames=warm_up_frames)
        self._seconds = 1 / max_fps
        self._led = led
        self._wanted = 0
        self._left_at = 0.0
        self._is_on = True
        self._obstacle: EdgedError | None = None
        self._process: CameraLink | None = None
        self._taken: Taken | None = None
        self._asked_at = 0.0
        self._is_asked = True  # nobody is there to be asked
        self._happened = asyncio.Event()

    # --- what others ask of it ---

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Somebody wants to look for as long as the block lasts."""
        self._wanted += 1
        self._tell()
        try:
            yield
        finally:
            self._wanted -= 1
            self._left_at = time.monotonic()
            self._tell()

    @property
    def is_wanted(self) -> bool:
        """Whether somebody looks."""
        return self._wanted > 0

    async def snapshot(self) -> CameraFrame:
        """The newest picture. Raises CameraOff; DeviceUnavailable, MissingExtra where it cannot be opened."""
        with self.watching():
            return _frame(await self._next(time.monotonic() - FRESH_SECONDS, waits_for_lost=False))

    async def frames(self, max_per_second: float) -> AsyncGenerator[CameraFrame, None]:
        """Pictures without end, each newer than the one before; none while the camera is lost. Raises CameraOff."""
        with self.watching():
            last = 0.0
            while True:
                taken = await self._next(max(last, time.monotonic() - FRESH_SECONDS), waits_for_lost=True)
                last = taken.time
                due = time.monotonic() + 1 / max_per_second
                yield _frame(taken)
                await self._sleep_until(due)

    def status(self) -> CameraStatus:
        """As of now."""
        obstacle = self._obstacle.message if self._obstacle else ""
        return CameraStatus(state=self._state, source=self._wish.source.name, obstacle=obstacle)

    async def changes(self) -> AsyncGenerator[CameraStatus, None]:
        """The status now, and whenever it is another one."""
        last: CameraStatus | None = None
        while True:
            happened = self._happened
            if (now := self.status()) != last:
                last = now
                yield now
            else:
                await happened.wait()

    async def switch(self, is_on: bool) -> None:
        """Off, it is closed when this returns, and stays so whoever looks; on, it opens when somebody wants to."""
        self._is_on = is_on
        if not is_on and self._process:
            self._process.kill()
        self._tell()
        while not self._is_on and self._process:
            await self._happened.wait()

    # --- its life ---

    async def run(self) -> None:
        """Open whenever that is wanted, until cancelled; then closed."""
        with suppress(EdgedError):  # it may still shine from a daemon that was killed
            self._light(False)
        while True:
            happened = self._happened
            if self._is_needed:
                await self._keep_open()
            else:
                await happened.wait()

    @property
    def _state(self) -> CameraState:
        if not self._is_on:
            return CameraState.OFF
        if self._obstacle:
            return CameraState.LOST
        return CameraState.OPEN if self._process else CameraState.CLOSED

    @property
    def _is_needed(self) -> bool:
        return self._is_on and (self._wanted > 0 or (self._process is not None and self._lingers > 0))

    @property
    def _lingers(self) -> float:
        """Seconds until nobody is expected to come back."""
        return self._left_at + LINGER_SECONDS - time.monotonic()

    async def _keep_open(self) -> None:
        holding = asyncio.create_task(self._hold())
        holding.add_done_callback(lambda _: self._tell())
        try:
            while self._is_needed and not holding.done():
                happened = self._happened
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if self._wanted else self._lingers):
                        await happened.wait()
        finally:
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)
            self._obstacle = None
            self._tell()
        if not holding.cancelled() and (failure := holding.exception()):
            # The process border: a camera that broke takes nothing else down.
            _log.error("the camera broke\n%s", where_it_broke(failure))
            await asyncio.sleep(RETRY_SECONDS[1])

    async def _hold(self) -> None:
        """Open it, and again whenever it was lost."""
        pause, longest = RETRY_SECONDS
        while True:
            try:
                await self._see()
            except EdgedError as exc:
                if self._obstacle is None:
                    _log.warning("the camera is lost: %s", exc.message)
                    pause = RETRY_SECONDS[0]
                self._obstacle = exc
            self._tell()
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)

    async def _see(self) -> None:
        """One opening, to its end. Raises EdgedError, which says why it ended."""
        self._light(True)
        try:
            async with CameraLink.started(self._wish) as process:
                self._process = process
                self._tell()
                await process.opened()
                if self._obstacle:
                    _log.warning("the camera is back")
                self._obstacle, self._is_asked = None, False
                self._tell()
                while True:
                    self._taken = await process.picture()
                    self._is_asked = False
                    self._tell()
        finally:
            self._process = self._taken = None
            self._is_asked = True
            with suppress(EdgedError):
                self._light(False)
            self._tell()

    async def _next(self, after: float, *, waits_for_lost: bool) -> Taken:
        """A picture that was taken after that."""
        while True:
            happened = self._happened
            if not self._is_on:
                raise CameraOff("the camera is switched off: `edged camera on` allows it to open")
            if self._taken and self._taken.time > after:
                return self._taken
            if self._obstacle and not waits_for_lost:
                raise type(self._obstacle)(self._obstacle.message)
            self._ask()
            await happened.wait()

    def _ask(self) -> None:
        """For another picture, unless one is on its way."""
        if self._process is None or self._is_asked:
            return
        self._is_asked = True
        self._asked_at = max(self._asked_at + self._seconds, time.monotonic())
        self._process.ask_in(self._asked_at - time.monotonic())

    async def _sleep_until(self, due: float) -> None:
        """Or until the camera is switched off."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, due - time.monotonic())):
                while self._is_on:
                    await self._happened.wait()

    def _light(self, is_open: bool) -> None:
        """Raises DeviceUnavailable: a camera that is to be seen when it sees does not open in the dark."""
        if self._led is None:
            return
        try:
            descriptor = os.open(self._led, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(descriptor, b"1" if is_open else b"0")
            finally:
                os.close(descriptor)
        except OSError as exc:
            remedy = "is its path right?"
            if exc.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
                remedy = "let this user write it, the system service by its drop-in camera-led.conf (systemd/README.md)"
            message = f"camera.led cannot be written ({exc.strerror}), so the camera stays closed: {remedy}"
            raise DeviceUnavailable(message) from exc

    def _tell(self) -> None:
        """Whoever waits looks again."""
        happened, self._happened = self._happened, asyncio.Event()
        happened.set()


def _frame(taken: Taken) -> CameraFrame:
    age = timedelta(seconds=max(0.0, time.monotonic() - taken.time))
    return CameraFrame(jpeg=taken.jpeg, taken_at=datetime.now(UTC) - age)
