"""edged.v1.CaptureService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Protocol

import grpc

from edged import wire
from edged.errors import CameraOff, InvalidInput
from edged.records import CameraFrame, CameraStatus
from edged.server.caller import caller
from edged.server.lifecycle import Lifecycle
from edged.server.sending import send
from edged.server.status import without_source
from edged.v1 import capture_pb2 as pb
from edged.v1 import capture_pb2_grpc, status_pb2

RATES = (0.1, 10.0)
"""Pictures a second that a caller may ask for."""


class Camera(Protocol):
    """The eye of this machine. What asks for pictures raises CameraOff where it is switched off."""

    async def snapshot(self) -> CameraFrame:
        """The newest picture. Raises DeviceUnavailable, MissingExtra."""
        ...

    def frames(self, max_per_second: float) -> AsyncGenerator[CameraFrame, None]:
        """Pictures without end."""
        ...

    def status(self) -> CameraStatus:
        """As of now."""
        ...

    def changes(self) -> AsyncGenerator[CameraStatus, None]:
        """The status now, and whenever it is another one."""
        ...

    async def switch(self, is_on: bool) -> None:
        """Off, it is closed when this returns."""
        ...


class CaptureServicer(capture_pb2_grpc.CaptureServiceServicer):
    """See capture.proto for what each call does."""

    def __init__(self, camera: Camera | None, lifecycle: Lifecycle) -> None:
        """None where none is configured."""
        self._camera = camera
        self._lifecycle = lifecycle

    async def Snapshot(self, request: pb.SnapshotRequest, context: grpc.aio.ServicerContext) -> pb.SnapshotResponse:
        return pb.SnapshotResponse(frame=wire.frame_to_wire(await self._require().snapshot()))

    async def StreamFrames(self, request: pb.StreamFramesRequest, context: grpc.aio.ServicerContext) -> None:
        low, high = RATES
        rate = request.max_per_second or high
        if not low <= rate <= high:
            raise InvalidInput(f"max_per_second must be from {low:g} to {high:g}", field="max_per_second")
        await self._until_draining(_stream(self._require().frames(rate), context))

    async def GetCamera(self, request: pb.GetCameraRequest, context: grpc.aio.ServicerContext) -> pb.GetCameraResponse:
        return pb.GetCameraResponse(camera=_shown(self._require().status()))

    async def WatchCamera(self, request: pb.WatchCameraRequest, context: grpc.aio.ServicerContext) -> None:
        await self._until_draining(_watch(self._require().changes(), context))

    async def SetCamera(self, request: pb.SetCameraRequest, context: grpc.aio.ServicerContext) -> pb.SetCameraResponse:
        camera = self._require()
        await camera.switch(not request.off)
        return pb.SetCameraResponse(camera=_shown(camera.status()))

    def _require(self) -> Camera:
        if self._camera is None:
            raise CameraOff("this daemon has no camera: name one as camera.source in edged.toml and start it again")
        return self._camera

    async def _until_draining(self, work: Coroutine[None, None, None]) -> None:
        """Calls that go on for ever end with the daemon."""
        working = asyncio.create_task(work)
        draining = asyncio.create_task(self._lifecycle.draining.wait())
        try:
            await asyncio.wait({working, draining}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            for task in (working, draining):
                task.cancel()
            await asyncio.gather(working, draining, return_exceptions=True)


async def _stream(frames: AsyncGenerator[CameraFrame, None], context: grpc.aio.ServicerContext) -> None:
    async with aclosing(frames):
        async for frame in frames:
            await send(context, pb.StreamFramesResponse(frame=wire.frame_to_wire(frame)))


async def _watch(changes: AsyncGenerator[CameraStatus, None], context: grpc.aio.ServicerContext) -> None:
    async with aclosing(changes):
        async for status in changes:
            await send(context, pb.WatchCameraResponse(camera=_shown(status)))


def _shown(status: CameraStatus) -> status_pb2.CameraStatus:
    return wire.camera_to_wire(status if caller().is_administrator else without_source(status))
