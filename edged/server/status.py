"""edged.v1.StatusService."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import grpc

from edged import wire
from edged.records import CameraStatus, DaemonStatus, StoreStatus
from edged.server.caller import caller
from edged.v1 import status_pb2, status_pb2_grpc

_PROTECTION = "Copies and backups of the database cannot be read without its key."


class StatusServicer(status_pb2_grpc.StatusServiceServicer):
    """See status.proto; answers in every state of the daemon."""

    def __init__(self, report: Callable[[], Awaitable[DaemonStatus]]) -> None:
        self._report = report

    async def GetStatus(
        self, request: status_pb2.GetStatusRequest, context: grpc.aio.ServicerContext
    ) -> status_pb2.GetStatusResponse:
        report = await self._report()
        return wire.status_to_wire(report if caller().is_administrator else _without_places(report))


def _without_places(report: DaemonStatus) -> DaemonStatus:
    """What a device needs to know: not where things lie, nor how much others have said."""
    store = StoreStatus(
        database="",
        encrypted=report.store.encrypted,
        key_source="",
        database_bytes=0,
        conversations=0,
        messages=0,
        protection=_PROTECTION if report.store.encrypted else report.store.protection,
        retention=report.store.retention,
    )
    camera = without_source(report.camera) if report.camera else None
    return replace(report, listening_on=(), store=store, camera=camera)


def without_source(camera: CameraStatus) -> CameraStatus:
    """What a device needs to know of it."""
    return replace(camera, source="")
