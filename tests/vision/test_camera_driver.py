"""A camera on a cable, whose driver is scripted: its exposure, and a driver or a library that goes wrong."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from edged.errors import DeviceUnavailable, EdgedError, MissingExtra
from edged.records import CameraState
from tests.vision.test_camera import living, until

DRIVER = """
import ctypes, time
import numpy as np
CAP_V4L2 = CAP_PROP_BUFFERSIZE = IMWRITE_JPEG_QUALITY = 1
class error(Exception): pass
def setNumThreads(count): pass
def imencode(kind, picture, options): return True, np.array([picture[0, 0, 0]])
class VideoCapture:
    taken = 0
    def __init__(self, place, kind): assert (place, kind) == ("/dev/null", CAP_V4L2)
    def set(self, key, value): pass
    def isOpened(self): return True
    def grab(self):
        self.taken += 1
        time.sleep(0.02)
        return self.taken < 40 or again()
    def retrieve(self): return True, np.full((2, 2, 3), min(200, 20 * self.taken), np.uint8)
def again(): return True
"""
"""What stands for OpenCV in the process: it sees brighter and brighter up to 200, and encodes brightness alone."""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Takes the code that the process finds for the module cv2."""

    def write(code: str) -> None:
        (tmp_path / "cv2.py").write_text(code)

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return write


@pytest.mark.parametrize("warm_up_frames", [0, 20])
async def test_the_first_picture_is_as_bright_as_the_others(
    library: Callable[[str], None], warm_up_frames: int
) -> None:
    library(DRIVER)
    async with living("/dev/null", warm_up_frames=warm_up_frames) as camera:
        assert (await camera.snapshot()).jpeg == bytes([200])


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("raise ImportError", MissingExtra, r"pip install 'edged\[vision\]'"),
        ("import os; os._exit(3)", DeviceUnavailable, "the process that holds the camera ended"),
        (DRIVER.replace("isOpened(self): return True", "isOpened(self): return False"), DeviceUnavailable, "no other"),
    ],
)
async def test_why_it_does_not_open_is_told(
    library: Callable[[str], None], code: str, error: type[EdgedError], message: str
) -> None:
    library(code)
    async with living("/dev/null") as camera:
        with pytest.raises(error, match=message) as raised:
            await camera.snapshot()
    assert "\n" not in raised.value.message


@pytest.mark.parametrize(
    ("again", "message"),
    [
        ("return False", "gives no pictures any more"),
        ("time.sleep(60)", "gives no pictures; is it still plugged in"),
        ("ctypes.PyDLL(None).sleep(60)", "hangs"),  # with the interpreter's lock
        ("ctypes.string_at(0)", "the process that holds the camera ended"),
    ],
)
async def test_a_driver_that_goes_wrong_hurts_nobody_and_the_camera_is_opened_again(
    library: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, again: str, message: str
) -> None:
    monkeypatch.setattr("edged.vision.camera_link.ANSWER_SECONDS", 3.0)
    library(DRIVER.replace("again(): return True", f"again(): {again}"))
    async with living("/dev/null") as camera, aclosing(camera.frames(10)) as frames, aclosing(camera.changes()) as seen:
        await anext(frames)
        looking = asyncio.create_task(_look(frames))
        async for status in seen:
            if status.state is CameraState.LOST:
                break
        assert message in status.obstacle
        await until(lambda: camera.status().state is CameraState.OPEN)
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def _look(frames: object) -> None:
    async for _ in frames:  # type: ignore[attr-defined]
        pass


async def test_switching_off_does_not_wait_for_a_driver_that_hangs(library: Callable[[str], None]) -> None:
    library(DRIVER.replace("taken = 0", "taken = 39").replace("again(): return True", "again(): time.sleep(60)"))
    async with living("/dev/null") as camera:
        looking = asyncio.create_task(camera.snapshot())
        await until(lambda: camera.status().state is CameraState.OPEN)
        process = camera._process._process.pid
        await camera.switch(False)
        assert not Path(f"/proc/{process}").exists()  # noqa: ASYNC240
        await asyncio.gather(looking, return_exceptions=True)


def test_nothing_looks_once_the_daemon_was_killed(library: Callable[[str], None]) -> None:
    library(DRIVER)
    code = """
import asyncio, os, signal
from edged.config import parse_camera
from edged.vision.camera import Camera
async def main():
    camera = Camera(parse_camera("/dev/null"))
    running = asyncio.create_task(camera.run())
    with camera.watching():
        await camera.snapshot()
        print(camera._process._process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    daemon = subprocess.run([sys.executable, "-c", code], check=False, timeout=60, capture_output=True)
    assert daemon.returncode == -signal.SIGKILL, daemon.stderr
    status = Path(f"/proc/{int(daemon.stdout)}/status")
    for _ in range(200):
        if not status.exists() or "State:\tZ" in status.read_text():
            break
        time.sleep(0.05)
    else:
        pytest.fail("the process outlived the daemon")
