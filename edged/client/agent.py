"""Driving a phone: the calls of AgentService."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager
from typing import Any

from edged import wire
from edged.client.remote_error import encodable
from edged.events import Measured, ReasoningDelta
from edged.records import PhoneStep, StepRequest
from edged.v1 import agent_pb2_grpc


class AgentCalls:
    """Of one client; its methods raise what the client's do."""

    def __init__(self, channel: Any, remote_errors: Callable[[], AbstractContextManager[None]]) -> None:
        """remote_errors: makes an EdgedError of what a stream raises."""
        self._stub: Any = agent_pb2_grpc.AgentServiceStub(channel)
        self._remote_errors = remote_errors

    async def step(self, request: StepRequest) -> AsyncGenerator[ReasoningDelta | PhoneStep | Measured, None]:
        """What the model thinks, as it comes; the step; what it took.

        Closing this generator (use `aclosing`) or cancelling who iterates it cancels the call at once.
        """
        with encodable():
            asked = wire.step_request_to_wire(request)
        call = self._stub.Step(asked)
        try:
            with self._remote_errors():
                async for response in call:
                    if response.WhichOneof("event"):  # a newer daemon may send kinds this client does not know
                        yield wire.step_event_from_wire(response)
        finally:
            call.cancel()
