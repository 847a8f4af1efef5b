"""edged.v1.StatusService."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import grpc

from edged import wire
from edged.records import DaemonStatus
from edged.v1 import status_pb2, status_pb2_grpc


class StatusServicer(status_pb2_grpc.StatusServiceServicer):
    """See status.proto; answers in every state of the daemon."""

    def __init__(self, report: Callable[[], Awaitable[DaemonStatus]]) -> None:
        self._report = report

    async def GetStatus(  # noqa: D102, N802
        self, request: status_pb2.GetStatusRequest, context: grpc.aio.ServicerContext
    ) -> status_pb2.GetStatusResponse:
        return wire.status_to_wire(await self._report())
