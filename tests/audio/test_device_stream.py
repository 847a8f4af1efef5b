"""The process that holds a device: what it says when it cannot open one, and that it never outlives the daemon."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edged.audio.device_stream import DeviceState
from edged.audio.microphone import Microphone
from edged.audio.speaker import Speaker
from edged.errors import DeviceUnavailable, EdgedError, MissingExtra
from tests.audio.sound_server import SoundServer

pytestmark = pytest.mark.alone

LISTED = """
_initialized = 1
def _initialize(): pass
def _terminate(): pass
class PortAudioError(Exception): pass
class default: device = (0, 0)
def query_devices():
    return [dict(index=0, name="Fake", max_input_channels=1, max_output_channels=2, default_samplerate=48000.0)]
class RawInputStream:
    def __init__(self, **wanted): self.callback = wanted["callback"]
    def start(self): pass
"""
"""What stands for the library in the process: one device, which opens and then says nothing."""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Takes the code that the process finds for the module sounddevice."""

    def write(code: str) -> None:
        (tmp_path / "sounddevice.py").write_text(code)

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return write


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("raise OSError('PortAudio library not found')", MissingExtra, "apt-get install libportaudio2"),
        ("raise ImportError", MissingExtra, "pip install 'edged\\[voice\\]'"),
        ("import os; os._exit(3)", DeviceUnavailable, "ended, or does not answer"),
        (
            LISTED + "def RawInputStream(**wanted): raise PortAudioError('Device\\nunavailable')",
            DeviceUnavailable,
            r'the microphone "Fake" does not open \(Device unavailable\)',
        ),
    ],
)
async def test_why_a_device_does_not_open_is_told(
    library: Callable[[str], None], code: str, error: type[EdgedError], message: str
) -> None:
    library(code)
    microphone = Microphone()
    with pytest.raises(error, match=message) as raised:
        await microphone.open()
    assert "\n" not in raised.value.message
    # What has to be installed first does not come back by itself.
    assert microphone.state is (DeviceState.MUTED if error is MissingExtra else DeviceState.LOST)
    await microphone.close()
    assert microphone.state is DeviceState.MUTED


async def test_a_device_that_never_says_anything_is_lost_and_tried_again(
    library: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.audio.device_stream.FIRST_SECONDS", 0.3)
    library(LISTED)
    states: list[DeviceState] = []
    microphone = Microphone("fake", on_state=states.append)
    await microphone.open()
    task = asyncio.create_task(microphone.run())
    async with asyncio.timeout(20):
        while microphone.reconnects < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert states[:3] == [DeviceState.OPEN, DeviceState.LOST, DeviceState.OPEN] and states[-1] is DeviceState.MUTED


async def test_a_device_that_is_closed_while_it_opens_stays_closed(library: Callable[[str], None]) -> None:
    library("import time; time.sleep(0.5)\n" + LISTED)
    microphone = Microphone()
    opening = asyncio.create_task(microphone.open())
    await asyncio.sleep(0.1)
    await microphone.close()
    await opening
    assert microphone.state is DeviceState.MUTED


@pytest.mark.parametrize("kind", ["Microphone", "Speaker"])
def test_nothing_listens_or_plays_once_the_daemon_was_killed(sound_server: SoundServer, kind: str) -> None:
    code = f"""
import asyncio, os, signal
from edged.audio.microphone import Microphone
from edged.audio.speaker import Speaker
async def main():
    device = {kind}()
    await device.open()
    print(device._device._process._process.pid, flush=True)
    await asyncio.sleep(0.3)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    daemon = subprocess.run(
        [sys.executable, "-c", code], env=sound_server.environment, check=False, timeout=60, capture_output=True
    )
    assert daemon.returncode == -signal.SIGKILL
    status = Path(f"/proc/{int(daemon.stdout)}/status")
    for _ in range(200):
        if not status.exists() or "State:\tZ" in status.read_text():
            break
        time.sleep(0.05)
    else:
        pytest.fail("the process outlived the daemon")
    assert not sound_server.listeners() and not sound_server.players()


async def test_devices_are_independent_of_each_other(sound_server: SoundServer) -> None:
    microphone, speaker = Microphone(), Speaker()
    await microphone.open()
    await speaker.open()
    await microphone.close()
    await sound_server.played_by(1)
    assert speaker.state is DeviceState.OPEN and not sound_server.listeners()
    await speaker.close()
