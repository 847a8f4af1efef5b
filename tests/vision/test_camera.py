"""A camera that is opened for whoever looks: how old its pictures are, and what becomes of it when it goes wrong."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edged.config import load_config, parse_camera
from edged.errors import CameraOff, DeviceUnavailable
from edged.records import CameraState
from edged.vision import camera_process
from edged.vision.camera import LINGER_SECONDS, Camera
from tests.vision.mjpeg_camera import FPS, STREAM, MjpegCamera, head, number_in, part, picture

SECONDS = 30
"""Far more than anything here takes; only a hang reaches it."""


@pytest.fixture
def network_camera() -> Iterator[MjpegCamera]:
    camera = MjpegCamera()
    yield camera
    camera.unplug()


@asynccontextmanager
async def living(source: str, **options: Any) -> AsyncIterator[Camera]:
    camera = Camera(parse_camera(source), **options)
    running = asyncio.create_task(camera.run())
    try:
        async with asyncio.timeout(SECONDS):
            yield camera
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert camera.status().state in (CameraState.CLOSED, CameraState.OFF)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_picture_is_younger_than_300_ms(network_camera: MjpegCamera) -> None:
    """The one absolute time that is promised, of a camera with 20 pictures a second on this machine."""
    ages = []
    async with living(network_camera.url) as camera:
        with camera.watching():
            for pause in (0.0, 0.0, 1.0, 0.13, 0.57, 0.0, 0.31):
                await asyncio.sleep(pause)
                ages.append(network_camera.age_of((await camera.snapshot()).jpeg))
    assert sorted(ages)[-2] < 0.3, ages  # one of them a busy machine may hold up


async def test_its_time_is_when_it_was_taken(network_camera: MjpegCamera) -> None:
    async with living(network_camera.url) as camera:
        frame = await camera.snapshot()
        age = network_camera.age_of(frame.jpeg)
    assert abs(time.time() - age - frame.taken_at.timestamp()) < 1


async def test_nobody_looks_nothing_is_open(network_camera: MjpegCamera) -> None:
    async with living(network_camera.url) as camera:
        await asyncio.sleep(0.2)
        assert camera.status().state is CameraState.CLOSED and not network_camera.requests
        await camera.snapshot()
        assert camera.status().state is CameraState.OPEN and network_camera.is_watched
        await camera.snapshot()
        assert len(network_camera.requests) == 1, "closed between two questions"
        began = time.monotonic()
        await until(lambda: camera.status().state is CameraState.CLOSED)
        assert time.monotonic() - began >= LINGER_SECONDS - 0.5
        await until(lambda: not network_camera.is_watched)


async def test_switched_off_it_is_closed_at_once_and_refuses(network_camera: MjpegCamera) -> None:
    async with living(network_camera.url) as camera, aclosing(camera.frames(10)) as frames:
        await anext(frames)
        process = camera._process._process.pid
        await camera.switch(False)
        assert not Path(f"/proc/{process}").exists()  # noqa: ASYNC240
        assert camera.status().state is CameraState.OFF
        await until(lambda: not network_camera.is_watched)
        for looking in (camera.snapshot(), anext(frames)):
            with pytest.raises(CameraOff, match="edged camera on"):
                await looking
        await camera.switch(True)
        assert camera.status().state is CameraState.CLOSED
        await camera.snapshot()


async def test_whoever_waits_for_it_is_told_that_it_was_switched_off() -> None:
    silent = MjpegCamera(lambda camera, client: time.sleep(SECONDS))
    async with living(silent.url) as camera:
        looking = asyncio.create_task(camera.snapshot())
        await until(lambda: silent.is_watched)
        await camera.switch(False)
        with pytest.raises(CameraOff):
            await looking
    silent.unplug()


async def test_a_stream_is_newer_and_newer_and_not_too_fast(network_camera: MjpegCamera) -> None:
    numbers = []
    async with living(network_camera.url) as camera, aclosing(camera.frames(4)) as frames:
        await anext(frames)
        began = time.monotonic()
        async for frame in frames:
            numbers.append(number_in(frame.jpeg))
            if len(numbers) == 5:
                break
        taken = time.monotonic() - began
    assert numbers == sorted(set(numbers))
    assert taken >= 5 / 4 - 0.05 and numbers[-1] - numbers[0] >= FPS * 4 / 4 - 1


async def test_all_who_look_share_one_camera_and_its_rate(network_camera: MjpegCamera) -> None:
    seen: list[set[int]] = [set(), set(), set()]

    async def look(numbers: set[int]) -> None:
        async with aclosing(camera.frames(10)) as frames:
            async for frame in frames:
                numbers.add(number_in(frame.jpeg))
                if time.monotonic() > end:
                    return

    async with living(network_camera.url, max_fps=4) as camera:
        await camera.snapshot()
        began = time.monotonic()
        end = began + 2
        await asyncio.gather(*map(look, seen))
        taken = time.monotonic() - began
    assert len(network_camera.requests) == 1
    assert min(map(len, seen)) >= 2 and len(set.union(*seen)) <= 4 * taken + 2


async def test_unplugged_it_is_lost_and_plugged_in_it_is_back(network_camera: MjpegCamera) -> None:
    async with living(network_camera.url) as camera, aclosing(camera.changes()) as changes:
        assert (await anext(changes)).state is CameraState.CLOSED
        async with aclosing(camera.frames(10)) as frames:
            first = await anext(frames)
            assert (await anext(changes)).state is CameraState.OPEN
            network_camera.unplug()
            lost = await anext(changes)
            assert lost.state is CameraState.LOST and "the camera" in lost.obstacle and "secret" not in lost.obstacle
            assert lost.source == f"http://127.0.0.1:{network_camera.port}/live"
            with pytest.raises(DeviceUnavailable, match="the camera"):
                await camera.snapshot()
            network_camera.plug_in()
            while number_in((await anext(frames)).jpeg) <= number_in(first.jpeg):
                pass
            assert camera.status().state is CameraState.OPEN and camera.status().obstacle == ""


def freezing(camera: MjpegCamera, client: Any) -> None:
    client.sendall(STREAM)
    for number, jpeg in enumerate(camera.pictures()):
        client.sendall(part(jpeg))
        if number == 40:
            time.sleep(SECONDS)


def dying_in_a_picture(camera: MjpegCamera, client: Any) -> None:
    client.sendall(STREAM)
    for number, jpeg in enumerate(camera.pictures()):
        if number == 40:
            client.sendall(part(jpeg)[:200])
            return
        client.sendall(part(jpeg))


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (freezing, "gives no pictures; is it still plugged in"),
        (dying_in_a_picture, "has ended its pictures"),
    ],
)
async def test_a_camera_that_dies_while_it_is_looked_through(script: Any, message: str) -> None:
    network_camera = MjpegCamera(script)
    async with living(network_camera.url) as camera, aclosing(camera.frames(10)) as frames:
        await anext(frames)
        looking = asyncio.create_task(_exhaust(frames))
        await until(lambda: camera.status().state is CameraState.LOST)
        assert message in camera.status().obstacle
        await until(lambda: camera.status().state is CameraState.OPEN)  # it serves forty more
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    network_camera.unplug()


async def _exhaust(frames: AsyncIterator[object]) -> None:
    async for _ in frames:
        pass


def says(*data: bytes) -> Any:
    def script(camera: MjpegCamera, client: Any) -> None:
        for piece in data:
            client.sendall(piece)
        time.sleep(SECONDS if data[-1:] == (b"",) else 0)

    return script


def damaged(camera: MjpegCamera, client: Any) -> None:
    client.sendall(STREAM)
    for jpeg in camera.pictures():
        client.sendall(part(jpeg[:300]))


JPEG = picture(1)
HUGE = b"\xff\xd8\xff" + bytes(camera_process.MAX_FRAME_BYTES)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (says(b"\x00" * 100_000), "cannot be reached (no answer, or none in HTTP)"),
        (says(head("text/html"), b"<html>"), "neither MJPEG nor JPEG"),
        (says(head("multipart/x-mixed-replace"), JPEG), "without saying what is between them"),
        (says(STREAM, b"\x00" * 100_000), "something that is no MJPEG"),
        (says(STREAM, part(b"<svg/>")), "no JPEG picture"),
        (damaged, "cannot be decoded"),
        (says(STREAM, b"--frame\r\nContent-Length: 99999999\r\n\r\n", b""), "more than 8 MiB"),
        (says(STREAM, b"--frame\r\n\r\n", HUGE, HUGE, HUGE, b""), "more than 8 MiB"),
        (says(head("image/jpeg"), JPEG[:300] * 3), "cannot be decoded"),
        (says(head("image/jpeg")), "without content"),
        (says(head("text/plain", "401 Unauthorized")), "wants a name and a password"),
        (says(head("text/plain", "302 Found", "Location: http://127.0.0.1:9/")), "HTTP status 302"),
        (says(), "cannot be reached"),
    ],
)
async def test_what_no_camera_sends_is_refused_in_one_line(script: Any, message: str) -> None:
    network_camera = MjpegCamera(script)
    async with living(network_camera.url) as camera:
        with pytest.raises(DeviceUnavailable) as raised:
            await camera.snapshot()
    assert message in raised.value.message and "\n" not in raised.value.message
    network_camera.unplug()


async def test_a_camera_that_never_answers() -> None:
    network_camera = MjpegCamera(lambda camera, client: time.sleep(SECONDS))
    async with living(network_camera.url) as camera:
        with pytest.raises(DeviceUnavailable, match=r"timed out|no pictures|no answer"):
            await camera.snapshot()
    network_camera.unplug()


def one_by_one(camera: MjpegCamera, client: Any) -> None:
    client.sendall(head("image/jpeg", "200 OK") + next(camera.pictures()))


def without_lengths(camera: MjpegCamera, client: Any) -> None:
    client.sendall(STREAM)
    for jpeg in camera.pictures():
        client.sendall(part(jpeg, with_length=False))


@pytest.mark.parametrize("script", [one_by_one, without_lengths])
async def test_other_ways_to_send_pictures(script: Any) -> None:
    network_camera = MjpegCamera(script)
    async with living(network_camera.url) as camera:
        with camera.watching():
            first = number_in((await camera.snapshot()).jpeg)
            await asyncio.sleep(0.3)
            assert number_in((await camera.snapshot()).jpeg) > first
    network_camera.unplug()


async def test_a_password_is_sent_and_never_shown(network_camera: MjpegCamera) -> None:
    source = network_camera.url.replace("http://", "http://anna:p%40ss@")
    async with living(source) as camera:
        await camera.snapshot()
        assert "anna" not in str(camera.status()) and "p@ss" not in repr(camera.status())
        arguments = Path(f"/proc/{camera._process._process.pid}/cmdline").read_bytes()  # noqa: ASYNC240
        assert b"http" not in arguments
    assert b"Authorization: Basic YW5uYTpwQHNz" in network_camera.requests[0]


async def test_a_recording_and_numbered_pictures_play_over_and_over(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 20, (512, 64))
    for number in range(7):  # no multiple of the pictures between two that are seen
        path = tmp_path / f"{number:03d}.png"
        image = cv2.imdecode(np.frombuffer(picture(number), np.uint8), cv2.IMREAD_COLOR)
        cv2.imwrite(str(path), image)
        writer.write(image)
    writer.release()
    for source in (tmp_path / "film.avi", tmp_path / "%03d.png"):
        seen = []
        async with living(str(source)) as camera, aclosing(camera.frames(10)) as frames:
            async for frame in frames:
                seen.append(number_in(frame.jpeg))
                if len(set(seen)) > 2 and seen[-1] < seen[-2]:
                    break
        assert set(seen) <= set(range(7))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("63", "is it plugged in"),
        ("/nonexistent/film.avi", "is not there"),
        ("gst:v4l2src ! videoconvert", r"knows no GStreamer: systemd/README\.md"),
    ],
)
async def test_what_does_not_open_says_what_to_do(source: str, message: str) -> None:
    async with living(source) as camera:
        with pytest.raises(DeviceUnavailable, match=message):
            await camera.snapshot()


async def test_the_light_shines_while_it_may_see(network_camera: MjpegCamera, tmp_path: Path) -> None:
    led = tmp_path / "brightness"
    led.write_text("1")  # of a daemon that was killed
    async with living(network_camera.url, led=led) as camera:
        await until(lambda: led.read_text() == "0")
        await camera.snapshot()
        assert led.read_text() == "1"
        await camera.switch(False)
        assert led.read_text() == "0"


async def test_a_light_that_is_not_there_keeps_it_closed(network_camera: MjpegCamera, tmp_path: Path) -> None:
    async with living(network_camera.url, led=tmp_path / "none") as camera:
        with pytest.raises(DeviceUnavailable, match=r"camera\.led cannot be written"):
            await camera.snapshot()
    assert not network_camera.requests and not (tmp_path / "none").exists()


async def test_a_light_that_may_not_be_switched_says_what_the_service_needs(
    network_camera: MjpegCamera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    led = tmp_path / "brightness"
    opened = os.open

    def read_only(path: object, *arguments: Any, **options: Any) -> int:
        if path == led:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return opened(path, *arguments, **options)

    monkeypatch.setattr("edged.vision.camera.os.open", read_only)
    async with living(network_camera.url, led=led) as camera:
        with pytest.raises(DeviceUnavailable, match=r"Read-only file system.*camera-led\.conf"):
            await camera.snapshot()


def test_the_drop_in_opens_the_folder_of_one_light_and_names_it() -> None:
    file = Path(__file__).resolve().parents[2] / "systemd/edged.service.d/camera-led.conf"
    lines = [line.partition("=") for line in file.read_text(encoding="utf-8").splitlines()]
    settings = {name: value for name, _, value in lines}
    variable, _, led = settings["Environment"].partition("=")
    config = load_config({"HOME": "/", variable: led})
    assert settings["ReadWritePaths"] == f"-{Path(config.camera.led).parent}"
    commands = [value.split() for name, _, value in lines if name == "ExecStartPre"]
    assert [(words[0], words[-1]) for words in commands] == [("-+/usr/bin/chgrp", led), ("-+/usr/bin/chmod", led)]
