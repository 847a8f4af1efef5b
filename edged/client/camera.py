"""The daemon's own camera from the client's side."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any

import grpc

from edged import wire
from edged.client.remote_error import encodable
from edged.records import CameraFrame, CameraStatus
from edged.v1 import capture_pb2 as pb
from edged.v1 import capture_pb2_grpc


class Camera:
    """`Client.camera`. Without one, all methods raise RemoteError with the reason CAMERA_OFF."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        call: Callable[[Any, Any], Awaitable[Any]],
        remote_errors: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """call: answers a request by a method. remote_errors: makes an EdgedError of what a stream raises."""
        self._stub: Any = capture_pb2_grpc.CaptureServiceStub(channel)
        self._call = call
        self._remote_errors = remote_errors

    async def snapshot(self) -> CameraFrame:
        """The newest picture; RemoteError with the reason CAMERA_OFF or DEVICE_UNAVAILABLE where there is none."""
        response = await self._call(self._stub.Snapshot, pb.SnapshotRequest())
        return wire.frame_from_wire(response.frame)

    async def frames(self, max_per_second: float = 0.0) -> AsyncGenerator[CameraFrame, None]:
        """Pictures without end. max_per_second: 0.1 to 10; 0 for 10."""
        with encodable():
            request = pb.StreamFramesRequest(max_per_second=max_per_second)
        call = self._stub.StreamFrames(request)
        try:
            with self._remote_errors():
                async for response in call:
                    yield wire.frame_from_wire(response.frame)
        finally:
            call.cancel()

    async def status(self) -> CameraStatus:
        """As of now; opens nothing."""
        response = await self._call(self._stub.GetCamera, pb.GetCameraRequest())
        return wire.camera_from_wire(response.camera)

    async def changes(self) -> AsyncGenerator[CameraStatus, None]:
        """The status now, and whenever it is another one; opens nothing."""
        call = self._stub.WatchCamera(pb.WatchCameraRequest())
        try:
            with self._remote_errors():
                async for response in call:
                    yield wire.camera_from_wire(response.camera)
        finally:
            call.cancel()

    async def switch(self, is_on: bool) -> CameraStatus:
        """Close it, whoever looks, or let it be opened again; its status then."""
        response = await self._call(self._stub.SetCamera, pb.SetCameraRequest(off=not is_on))
        return wire.camera_from_wire(response.camera)
