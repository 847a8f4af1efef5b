"""grpc.health.v1: whether the daemon takes questions now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

Answer = health_pb2.HealthCheckResponse


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # grpc_health is untyped
    """Answers for the whole server ("") and for each service by name; all of them have the same status.

    The servicer that comes with grpcio-health-checking loses the other watchers of a service when one of
    them leaves, and a watcher that does not read holds up whoever sets the status.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(("", *services))
        self._status = Answer.NOT_SERVING
        self._changed = asyncio.Event()

    def set_serving(self, serving: bool) -> None:
        """Tell everyone who watches."""
        self._status = Answer.SERVING if serving else Answer.NOT_SERVING
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """The status now; NOT_FOUND for a service that is not here."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return Answer(status=self._status)

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext) -> None:
        """The status now and after every change, until the caller leaves."""
        if request.service not in self._services:
            await context.write(Answer(status=Answer.SERVICE_UNKNOWN))
        last = None
        while True:
            changed = self._changed
            if self._status != last and request.service in self._services:
                last = self._status
                await context.write(Answer(status=last))
            await changed.wait()
