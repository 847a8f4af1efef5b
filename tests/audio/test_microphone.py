"""A real stream from a virtual microphone: what is heard, when nothing is, and when the device is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edged.audio.device_stream import DeviceState
from edged.audio.microphone import Microphone, _Capture
from edged.audio.pcm import Pcm
from edged.audio.portaudio import PORT_AUDIO
from edged.errors import DeviceUnavailable, InvalidInput
from tests.audio.sound_server import SoundServer

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
        assert microphone.overruns == 0


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
    """PortAudio must read its list of devices anew: at the start it had none."""
    sound_server.unplug()
    PORT_AUDIO.refresh()
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


async def test_a_device_that_falls_silent_is_lost(sound_server: SoundServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Microphone()) as microphone:
        await microphone.open()
        await heard(microphone, 0.1)
        monkeypatch.setattr(microphone._device, "beat", lambda: None)
        await until(microphone, DeviceState.LOST)
        monkeypatch.undo()
        await until(microphone, DeviceState.OPEN)
        assert microphone._device.losses == microphone.reconnects == 1


async def test_an_absent_device_is_named_and_waited_for(sound_server: SoundServer) -> None:
    async with running(Microphone("pulze")) as microphone:
        with pytest.raises(InvalidInput, match='no microphone is called "pulze"'):
            await microphone.open()
        assert microphone.state is DeviceState.LOST
        await microphone.close()
        assert microphone.state is DeviceState.MUTED


@pytest.mark.parametrize("channels", [1, 2])
def test_blocks_become_frames_whatever_their_length(channels: int) -> None:
    capture, sound = _Capture(16_000, channels, 100), np.arange(1_000, dtype=np.int16)
    for piece in np.split(sound, [7, 300, 301, 700]):
        capture.take(np.repeat(piece, channels).tobytes(), is_overrun=False)
    frames = []
    while (frame := capture.next_frame()) is not None:
        frames.append(frame)
    np.testing.assert_array_equal(np.concatenate(frames), sound[:960])
    assert capture.overruns == 0


def test_the_devices_own_overruns_are_counted() -> None:
    capture = _Capture(16_000, 1, 2)
    for is_overrun in (True, False, False, True):
        capture.take(bytes(640), is_overrun=is_overrun)
    assert capture.overruns == 4  # two of the device, two of the queue


def test_two_channels_are_opened_of_a_device_with_two_ears(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[dict[str, Any]] = []
    library = SimpleNamespace(RawInputStream=lambda **wanted: opened.append(wanted))
    monkeypatch.setattr("edged.audio.microphone.load", lambda: library)
    for channels in (1, 2, 6, 32):
        Microphone()._make(SimpleNamespace(index=3, channels=channels, sample_rate=44_100))  # type: ignore[arg-type]
    assert [wanted["channels"] for wanted in opened] == [1, 2, 1, 1]
    assert opened[0]["blocksize"] == 882 and opened[0]["device"] == 3
