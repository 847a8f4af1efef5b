"""edged.v1.AgentService."""

from __future__ import annotations

from contextlib import aclosing

import grpc

from edged import wire
from edged.errors import InvalidInput, Unavailable
from edged.pipeline.phone.agent import MAX_HISTORY, PhoneAgent
from edged.server.sending import send
from edged.v1 import agent_pb2 as pb
from edged.v1 import agent_pb2_grpc


class AgentServicer(agent_pb2_grpc.AgentServiceServicer):
    """Streams steps. A call that ends early stops the computation."""

    def __init__(self, agent: PhoneAgent | None) -> None:
        """None where the daemon drives no phones."""
        self._agent = agent

    async def Step(self, request: pb.StepRequest, context: grpc.aio.ServicerContext) -> None:
        """See agent.proto."""
        if self._agent is None:
            raise Unavailable("this daemon drives no phones")
        if len(request.history) > MAX_HISTORY:  # before any of it is read
            raise InvalidInput(f"the history may have {MAX_HISTORY} steps; leave out the oldest", field="history")
        async with aclosing(self._agent.step(wire.step_request_from_wire(request))) as events:
            async for event in events:
                await send(context, wire.step_event_to_wire(event))
