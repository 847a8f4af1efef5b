"""edged.v1.AssistantService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing, nullcontext
from dataclasses import replace

import grpc

from edged import wire
from edged.errors import MissingExtra
from edged.events import MAX_TOOLS, Sampling
from edged.pipeline.room import Room
from edged.pipeline.turn import MAX_PARTS, TurnConductor
from edged.server.caller import caller
from edged.server.converse import VoiceCalls
from edged.server.lifecycle import Lifecycle
from edged.server.sending import send
from edged.v1 import assistant_pb2, assistant_pb2_grpc


class AssistantServicer(assistant_pb2_grpc.AssistantServiceServicer):
    """Streams turns. A call that ends early, however it does, closes its turn."""

    def __init__(
        self,
        turns: TurnConductor,
        sampling: Sampling,
        lifecycle: Lifecycle,
        calls: VoiceCalls | None,
        room: Room | None,
    ) -> None:
        """`sampling` holds what requests do not set. calls, room: None where the daemon has no ears."""
        self._turns = turns
        self._sampling = sampling
        self._lifecycle = lifecycle
        self._calls = calls
        self._room = room

    async def Ask(self, request: assistant_pb2.AskRequest, context: grpc.aio.ServicerContext) -> None:
        """See assistant.proto."""
        turn = self._turns.run(
            parts=wire.parts_from_wire(request.parts[: MAX_PARTS + 1]),  # one too many is refused
            reader=replace(caller().reader, is_incognito=request.incognito),
            conversation_id=request.conversation_id,
            model=request.model,
            sampling=replace(self._sampling, **wire.sampling_from_wire(request.sampling)),
            enable_thinking=request.enable_thinking,
            max_reasoning_tokens=request.max_reasoning_tokens if request.HasField("max_reasoning_tokens") else None,
            system_prompt=request.system_prompt if request.HasField("system_prompt") else None,
            output=wire.output_from_wire(request.output) if request.HasField("output") else None,
            tool_use=wire.tool_use_from_wire(request, most=MAX_TOOLS),
        )
        async with aclosing(turn):
            async for event in turn:
                await send(context, wire.event_to_wire(event))

    async def StopThinking(
        self, request: assistant_pb2.StopThinkingRequest, context: grpc.aio.ServicerContext
    ) -> assistant_pb2.StopThinkingResponse:
        """See assistant.proto."""
        self._turns.stop_thinking(request.answer_message_id, caller().reader)
        return assistant_pb2.StopThinkingResponse()

    async def Converse(
        self, request_iterator: AsyncIterator[assistant_pb2.ConverseRequest], context: grpc.aio.ServicerContext
    ) -> None:
        """See assistant.proto."""
        if self._calls is None:
            raise _deaf()
        await self._calls.converse(request_iterator, context)

    async def WatchEvents(self, request: assistant_pb2.WatchEventsRequest, context: grpc.aio.ServicerContext) -> None:
        """See assistant.proto."""
        room = self._require_room()
        wanted = room.listening() if request.listen else nullcontext()
        with wanted:
            await self._until_draining(self._watch(room, context))

    async def SetMicrophone(
        self, request: assistant_pb2.SetMicrophoneRequest, context: grpc.aio.ServicerContext
    ) -> assistant_pb2.SetMicrophoneResponse:
        """See assistant.proto."""
        room = self._require_room()
        room.mute(request.muted)
        return assistant_pb2.SetMicrophoneResponse(muted=room.is_muted)

    def _require_room(self) -> Room:
        if self._room is None:
            raise _deaf()
        return self._room

    async def _watch(self, room: Room, context: grpc.aio.ServicerContext) -> None:
        async with aclosing(room.watch()) as events:
            async for event in events:
                await send(context, assistant_pb2.WatchEventsResponse(event=wire.voice_event_to_wire(event)))

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


def _deaf() -> MissingExtra:
    return MissingExtra("this daemon has no ears: `make setup EXTRAS=voice` or pip install 'edged[voice]'")
