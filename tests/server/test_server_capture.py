"""The capture service through every door, with a camera on loopback behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import grpc
import pytest

from edged.client import Client, Credentials
from edged.config import parse_camera
from edged.errors import RemoteError
from edged.records import CameraState, Scope
from edged.v1 import capture_pb2 as pb
from edged.v1 import capture_pb2_grpc
from edged.vision.camera import Camera
from tests.server.conftest import Daemon
from tests.server.lan_server import LanServer
from tests.vision.mjpeg_camera import MjpegCamera, number_in

CAPTURE = "/edged.v1.CaptureService/"


@pytest.fixture
def network_camera() -> Iterator[MjpegCamera]:
    camera = MjpegCamera()
    yield camera
    camera.unplug()


@pytest.fixture
async def lan(run_dir: Path, network_camera: MjpegCamera) -> AsyncIterator[LanServer]:
    camera = Camera(parse_camera(network_camera.url))
    running = asyncio.create_task(camera.run())
    async with asyncio.timeout(60), LanServer(run_dir, camera).serving() as server:
        yield server
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def operator(lan: LanServer) -> AsyncIterator[Client]:
    async with Client(f"unix:{lan.socket}") as client:
        yield client


async def test_a_snapshot_and_a_stream(operator: Client, network_camera: MjpegCamera) -> None:
    before = network_camera.number
    first = number_in((await operator.camera.snapshot()).jpeg)
    assert before <= first <= network_camera.number
    async with aclosing(operator.camera.frames(5)) as frames:
        numbers = [number_in((await anext(frames)).jpeg) for _ in range(3)]
    assert first <= numbers[0] < numbers[1] < numbers[2]


async def test_switched_off_every_way_to_see_is_closed(operator: Client, lan: LanServer) -> None:
    program = await lan.program(Scope.CAMERA)
    _, token = await lan.browser(Scope.CAMERA)
    async with aclosing(operator.camera.frames()) as frames, aclosing(operator.camera.changes()) as changes:
        await anext(frames)
        assert (await anext(changes)).state is CameraState.OPEN
        assert (await operator.camera.switch(False)).state is CameraState.OFF
        assert (await anext(changes)).state is CameraState.OFF
        with pytest.raises(RemoteError, match="edged camera on") as raised:
            async for _ in frames:
                pass
        assert raised.value.reason == "CAMERA_OFF"
    async with lan.channel(program) as channel:
        for method, is_stream in (("Snapshot", False), ("StreamFrames", True)):
            assert await lan.grpc_outcome(channel, CAPTURE + method) == "FAILED_PRECONDITION"
            assert await lan.web_outcome(CAPTURE + method, token, is_stream=is_stream) == "FAILED_PRECONDITION"
        assert await lan.grpc_outcome(channel, CAPTURE + "SetCamera") == "PERMISSION_DENIED"
    assert (await operator.camera.switch(True)).state is CameraState.CLOSED
    assert (await operator.status()).camera == await operator.camera.status()


async def test_a_phone_sees_through_it_and_is_not_told_where_it_is(
    operator: Client, lan: LanServer, network_camera: MjpegCamera
) -> None:
    program = await lan.program(Scope.CAMERA)
    credentials = Credentials(
        ca_certificate=lan.authority.certificate_pem, certificate=program.certificate, key=program.key
    )
    async with Client(f"127.0.0.1:{lan.grpc_port}", credentials) as phone:
        assert number_in((await phone.camera.snapshot()).jpeg) <= network_camera.number
        assert (await phone.camera.status()).source == ""
        assert (await phone.status()).camera == await phone.camera.status()
    assert (await operator.camera.status()).source == f"http://127.0.0.1:{network_camera.port}/live"


async def test_a_stream_ends_with_the_daemon(operator: Client, lan: LanServer) -> None:
    async with aclosing(operator.camera.frames()) as frames, aclosing(operator.camera.changes()) as changes:
        await anext(frames)
        await anext(changes)
        draining = asyncio.create_task(lan.server.drain(5))
        assert [frame async for frame in frames][2:] == []
        assert [change async for change in changes] == []
        await draining


@pytest.mark.parametrize("rate", [-1.0, 0.01, 10.5, float("inf"), float("nan")])
async def test_a_rate_that_no_camera_keeps_is_refused(lan: LanServer, rate: float) -> None:
    async with grpc.aio.insecure_channel(f"unix:{lan.socket}") as channel:
        call = capture_pb2_grpc.CaptureServiceStub(channel).StreamFrames(pb.StreamFramesRequest(max_per_second=rate))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            async for _ in call:
                pass
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_without_a_camera_every_call_says_so(daemon: Daemon, client: Client) -> None:
    async def first(stream: AsyncIterator[object]) -> None:
        await anext(stream)

    camera = client.camera
    calls = (camera.snapshot(), camera.status(), camera.switch(True), first(camera.frames()), first(camera.changes()))
    for call in calls:
        with pytest.raises(RemoteError, match=r"this daemon has no camera: name one as camera\.source") as raised:
            await call
        assert raised.value.reason == "CAMERA_OFF"
    assert (await client.status()).camera is None
