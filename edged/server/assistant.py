"""edged.v1.AssistantService."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

import grpc

from edged import wire
from edged.errors import Unavailable
from edged.events import Sampling, TurnEvent
from edged.pipeline.turn import MAX_PARTS, TurnConductor
from edged.v1 import assistant_pb2, assistant_pb2_grpc

SEND_SECONDS = 60.0
"""How long a caller may leave an event unread, once the connection holds no more; then its turn is cancelled."""


class AssistantServicer(assistant_pb2_grpc.AssistantServiceServicer):
    """Streams turns. A call that ends early, however it does, closes its turn."""

    def __init__(self, turns: TurnConductor, sampling: Sampling) -> None:
        """`sampling` holds what requests do not set."""
        self._turns = turns
        self._sampling = sampling

    async def Ask(  # noqa: N802
        self, request: assistant_pb2.AskRequest, context: grpc.aio.ServicerContext
    ) -> None:
        """See assistant.proto."""
        turn = self._turns.run(
            parts=wire.parts_from_wire(request.parts[: MAX_PARTS + 1]),  # one too many is refused
            conversation_id=request.conversation_id,
            model=request.model,
            sampling=replace(self._sampling, **wire.sampling_from_wire(request.sampling)),
            enable_thinking=request.enable_thinking,
            system_prompt=request.system_prompt if request.HasField("system_prompt") else None,
        )
        async with aclosing(turn):
            async for event in turn:
                await _write(context, event)


async def _write(context: grpc.aio.ServicerContext, event: TurnEvent) -> None:
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await context.write(wire.event_to_wire(event))
    except TimeoutError:
        raise Unavailable("the caller stopped reading, so the answer was broken off") from None
