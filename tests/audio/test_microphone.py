"""A real stream from a virtual microphone: what is heard, when nothing is, and when the device is gone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from edged.audio.device_stream import DeviceState
from edged.audio.devices import Direction, SoundDevice
from edged.audio.microphone import Microphone, _Capture
from edged.audio.pcm import Pcm
from edged.audio.sound_process import INPUT_HEAD, Opened, _channels
from edged.errors import DeviceUnavailable, InvalidInput
from tests.audio.sound_server import SoundServer

pytestmark = pytest.mark.alone

PATIENCE_SECONDS = 20


@asynccontextmanager
async def running(microphone: Microphone) -> AsyncIterator[Microphone]:
    """Its task runs meanwhile, as in the daemon."""
    task = asyncio.create_task(microphone.run())
    try:
        yield microphone
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def heard(microphone: Microphone, seconds: float) -> Pcm:
    frames = [await asyncio.wait_for(microphone.read(), PATIENCE_SECONDS) for _ in range(round(100 * seconds))]
    assert all(frame.shape == (160,) and frame.dtype == np.int16 for frame in frames)
    return np.concatenate(frames)


async def until(microphone: Microphone, state: DeviceState) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while microphone.state is not state:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def tone(seconds: float, hertz: float = 600.0) -> Pcm:
    time = np.arange(round(seconds * 16_000)) / 16_000
    return np.rint(10_000 * np.sin(2 * np.pi * hertz * time)).astype(np.int16)


async def test_what_is_played_is_heard(sound_server: SoundServer) -> None:
    """The whole tone, at its pitch and level, in frames of 10 ms at 16 kHz, though the device has another rate."""
    async with running(Microphone()) as microphone:
        await microphone.open()
        await heard(microphone, 0.2)
        playing = asyncio.create_task(asyncio.to_thread(sound_server.play, tone(1.0)))
        sound = await heard(microphone, 2.5)
        await playing
        loud = np.flatnonzero(np.abs(sound) > 1_000)
        assert loud[-1] - loud[0] == pytest.approx(16_000, abs=200)
        middle = sound[loud[0] + 2_000 : loud[0] + 14_000].astype(float)
        spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
        assert np.argmax(spectrum) * 16_000 / len(middle) == pytest.approx(600, abs=2)
        assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(10_000, rel=0.02)


async def test_frames_come_one_after_another(sound_server: SoundServer) -> None:
    async with running(Microphone("pulse")) as microphone:
        await microphone.open()
        count = 0
        async for frame in microphone:
            assert len(frame) == 160
            count += 1
            if count == 30:
                break


async def test_muted_means_that_no_stream_exists(sound_server: SoundServer) -> None:
    states: list[DeviceState] = []
    async with running(Microphone(on_state=states.append)) as microphone:
        assert microphone.state is DeviceState.MUTED and not sound_server.listeners()
        await microphone.open()
        await microphone.open()
        await heard(microphone, 0.2)
        assert microphone.state is DeviceState.OPEN and len(sound_server.listeners()) == 1
        await microphone.close()
        await microphone.close()
        assert microphone.state is DeviceState.MUTED and not sound_server.listeners()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(microphone.read(), 0.3)
        await microphone.open()
        await heard(microphone, 0.2)
        assert len(sound_server.listeners()) == 1
    assert microphone.state is DeviceState.MUTED and not sound_server.listeners()
    assert states == [DeviceState.OPEN, DeviceState.MUTED, DeviceState.OPEN, DeviceState.MUTED]
    assert microphone.reconnects == 0


async def test_what_was_not_read_before_muting_is_gone(sound_server: SoundServer) -> None:
    async with running(Microphone()) as microphone:
        await microphone.open()
        await heard(microphone, 0.1)
        await asyncio.to_thread(sound_server.play, tone(0.3))
        await microphone.close()
        await microphone.open()
        assert np.abs(await heard(microphone, 0.5)).max() < 100


async def test_a_reader_that_waits_hears_what_comes_after_opening(sound_server: SoundServer) -> None:
    async with running(Microphone()) as microphone:
        reader = asyncio.create_task(microphone.read())
        await asyncio.sleep(0.1)
        await microphone.open()
        assert len(await asyncio.wait_for(reader, PATIENCE_SECONDS)) == 160


async def test_who_reads_too_late_loses_the_oldest(sound_server: SoundServer) -> None:
    async with running(Microphone(queue_seconds=0.1)) as microphone:
        await microphone.open()
        await heard(microphone, 0.1)
        await asyncio.sleep(0.5)
        assert microphone.overruns > 5
        before = microphone.overruns
        await microphone.close()
        assert microphone.overruns >= before


async def test_an_unplugged_microphone_comes_back_by_itself(sound_server: SoundServer) -> None:
    states: list[DeviceState] = []
    async with running(Microphone(on_state=states.append)) as microphone:
        await microphone.open()
        await heard(microphone, 0.2)
        for times in (1, 2):
            sound_server.unplug()
            await until(microphone, DeviceState.LOST)
            await asyncio.to_thread(sound_server.replug)
            await until(microphone, DeviceState.OPEN)
            assert microphone.reconnects == times
            playing = asyncio.create_task(asyncio.to_thread(sound_server.play, tone(0.5)))
            assert np.abs(await heard(microphone, 2)).max() > 5_000
            await playing
    assert states == [DeviceState.OPEN, *[DeviceState.LOST, DeviceState.OPEN] * 2, DeviceState.MUTED]


async def test_a_microphone_that_is_plugged_in_later_is_found(sound_server: SoundServer) -> None:
    sound_server.unplug()
    async with running(Microphone()) as microphone:
        with pytest.raises((InvalidInput, DeviceUnavailable)):
            await microphone.open()
        assert microphone.state is DeviceState.LOST
        await asyncio.to_thread(sound_server.replug)
        await until(microphone, DeviceState.OPEN)
        await heard(microphone, 0.2)


async def test_a_lost_microphone_that_is_muted_stays_closed(sound_server: SoundServer) -> None:
    async with running(Microphone()) as microphone:
        await microphone.open()
        sound_server.unplug()
        await until(microphone, DeviceState.LOST)
        await microphone.close()
        await asyncio.to_thread(sound_server.replug)
        await asyncio.sleep(1)
        assert microphone.state is DeviceState.MUTED and not sound_server.listeners()


async def test_a_device_that_falls_silent_is_lost(sound_server: SoundServer) -> None:
    """Its process stands still, as PortAudio's thread does when a device is pulled out at the wrong time."""
    async with running(Microphone()) as microphone:
        await microphone.open()
        await heard(microphone, 0.1)
        process = microphone._device._process
        assert process
        os.kill(process._process.pid, signal.SIGSTOP)
        await until(microphone, DeviceState.LOST)
        await until(microphone, DeviceState.OPEN)
        await heard(microphone, 0.1)
        assert microphone.reconnects == 1
        assert len(sound_server.listeners()) == 1


async def test_a_device_that_dies_while_it_begins_is_given_up(sound_server: SoundServer) -> None:
    """PortAudio 19.6 then turns in circles and cannot be stopped from within."""
    async with running(Microphone()) as microphone:
        for _ in range(3):
            await microphone.open()
            sound_server.unplug()
            await asyncio.wait_for(microphone.close(), PATIENCE_SECONDS)
            sound_server.replug()
        await microphone.open()
        await heard(microphone, 0.2)


async def test_an_absent_device_is_named_and_waited_for(sound_server: SoundServer) -> None:
    async with running(Microphone("pulze")) as microphone:
        with pytest.raises(InvalidInput, match='no microphone is called "pulze"'):
            await microphone.open()
        assert microphone.state is DeviceState.LOST
        await microphone.close()
        assert microphone.state is DeviceState.MUTED


def opened(channels: int = 1) -> Opened:
    return Opened(name="x", sample_rate=16_000, channels=channels, block_samples=320)


@pytest.mark.parametrize("channels", [1, 2])
def test_blocks_become_frames_whatever_their_length(channels: int) -> None:
    capture, sound = _Capture(opened(channels), 100, lambda: None), np.arange(1_000, dtype=np.int16)
    for piece in np.split(sound, [7, 300, 301, 700]):
        capture.serve(INPUT_HEAD.pack(0) + np.repeat(piece, channels).tobytes())
    frames = []
    while (frame := capture.next_frame()) is not None:
        frames.append(frame)
    np.testing.assert_array_equal(np.concatenate(frames), sound[:960])
    assert capture.overruns == 0


def test_the_devices_own_overruns_are_counted() -> None:
    capture = _Capture(opened(), 2, lambda: None)
    for lost in (1, 0, 0, 3):
        capture.serve(INPUT_HEAD.pack(lost) + bytes(640))
    assert capture.overruns == 6  # four of the device, two of the queue


@pytest.mark.parametrize(
    ("direction", "channels"),
    [(Direction.INPUT, {1: 1, 2: 2, 6: 1, 32: 1}), (Direction.OUTPUT, {1: 1, 2: 2, 6: 2, 32: 2})],
)
def test_channels_are_opened_as_they_are_meant(direction: Direction, channels: dict[int, int]) -> None:
    for most, wanted in channels.items():
        device = SoundDevice(index=0, name="x", channels=most, sample_rate=48_000, is_default=True)
        assert _channels(device, direction) == wanted
