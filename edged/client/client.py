"""The client: one method for each rpc, in the words of `edged.events` and `edged.records`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from edged import wire
from edged.client.agent import AgentCalls
from edged.client.camera import Camera
from edged.client.channel import Credentials, check_address, open_channel
from edged.client.devices import DeviceCalls
from edged.client.remote_error import encodable, remote_errors
from edged.client.vision import VisionCalls
from edged.client.voice_call import VoiceCall
from edged.errors import Code, EdgedError, StoreError, Unavailable
from edged.events import Audio, OutputFormat, Part, SamplingOptions, ToolUse, TurnEvent
from edged.records import (
    Conversation,
    DaemonState,
    DaemonStatus,
    EnrolledSpeaker,
    ModelInfo,
    SearchHit,
    Transcript,
)
from edged.v1 import (
    assistant_pb2,
    assistant_pb2_grpc,
    conversation_pb2,
    conversation_pb2_grpc,
    message_pb2,
    model_pb2,
    model_pb2_grpc,
    speaker_pb2,
    speaker_pb2_grpc,
    status_pb2,
    status_pb2_grpc,
)
from edged.voice_events import Opening, VoiceEvent

CALL_SECONDS = 60.0
"""How long a call that is no answer and no export may take."""
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationPage:
    """Some conversations, last used first."""

    conversations: tuple[Conversation, ...]
    next_page_token: str
    """Empty on the last page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage:
    """Some messages that match, newest first."""

    hits: tuple[SearchHit, ...]
    next_page_token: str
    """Empty on the last page."""


class Client:
    """A connection to one daemon; use it as an async context manager, within one event loop.

    Methods raise RemoteError for what the daemon refuses, Unavailable when none answers, and InvalidInput
    for arguments that no request can hold.
    """

    def __init__(self, address: str, credentials: Credentials | None = None) -> None:
        """`address` is "unix:PATH" or "HOST:PORT" on loopback; anywhere with the credentials of a pairing.

        Raises InvalidInput.
        """
        self.address = address
        self._credentials = credentials
        check_address(address, credentials)
        self._remote_errors = partial(remote_errors, address, is_paired=credentials is not None)

    async def __aenter__(self) -> Self:
        self._channel = await open_channel(self.address, self._credentials)
        self._assistant: Any = assistant_pb2_grpc.AssistantServiceStub(self._channel)
        self._conversations: Any = conversation_pb2_grpc.ConversationServiceStub(self._channel)
        self._models: Any = model_pb2_grpc.ModelServiceStub(self._channel)
        self._speakers: Any = speaker_pb2_grpc.SpeakerServiceStub(self._channel)
        self._status: Any = status_pb2_grpc.StatusServiceStub(self._channel)
        self.camera = Camera(self._channel, self._call, self._remote_errors)
        self.agent = AgentCalls(self._channel, self._remote_errors)
        self.devices = DeviceCalls(self._channel, self._call, self._remote_errors)
        self.vision = VisionCalls(self._channel, self._call)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._channel.close()

    async def ask(
        self,
        parts: Sequence[Part],
        *,
        conversation_id: str = "",
        model: str = "",
        sampling: SamplingOptions | None = None,
        enable_thinking: bool | None = None,
        max_reasoning_tokens: int | None = None,
        system_prompt: str | None = None,
        incognito: bool = False,
        output: OutputFormat | None = None,
        tool_use: ToolUse | None = None,
        timeout_seconds: float | None = None,
    ) -> AsyncGenerator[TurnEvent, None]:
        """Ask, and yield the events of the turn: `Started` first, `Finished` last.

        tool_use: what the model may call. A turn that ends with TOOL_CALLS goes on by asking, on its conversation, with
        a ToolResult for each call that the daemon has returned nothing to.

        incognito: a conversation begun so is never written to disk.
        Closing this generator (use `aclosing`) or cancelling who iterates it cancels the call at once.
        """
        with encodable():
            request = assistant_pb2.AskRequest(
                conversation_id=conversation_id,
                parts=[wire.part_to_wire(part) for part in parts],
                model=model,
                sampling=wire.sampling_to_wire(sampling or {}),
                max_reasoning_tokens=max_reasoning_tokens,
                system_prompt=system_prompt,
                incognito=incognito,
                output=wire.output_to_wire(output) if output else None,
                **(wire.tool_use_to_wire(tool_use) if tool_use else {}),
            )
            if enable_thinking is not None:
                request.enable_thinking = enable_thinking
        call = self._assistant.Ask(request, timeout=timeout_seconds)
        try:
            with self._remote_errors():
                async for response in call:
                    if response.WhichOneof("event"):  # a newer daemon may send kinds this client does not know
                        yield wire.event_from_wire(response)
        finally:
            call.cancel()

    async def stop_thinking(self, answer_message_id: str) -> None:
        """Let an answer that `ask` is yielding follow within one token; `Started` has named it.

        Raises RemoteError with the reason NOT_FOUND once it is over.
        """
        with encodable():
            request = assistant_pb2.StopThinkingRequest(answer_message_id=answer_message_id)
        await self._call(self._assistant.StopThinking, request)

    def converse(self, opening: Opening) -> VoiceCall:
        """A conversation by voice; it begins when its events are read."""
        return VoiceCall(self._assistant, self._remote_errors, opening)

    async def watch_events(self, *, listen: bool = False) -> AsyncGenerator[VoiceEvent, None]:
        """What happens in the room of the daemon's own microphone, which `listen` opens for as long as this is read."""
        call = self._assistant.WatchEvents(assistant_pb2.WatchEventsRequest(listen=listen))
        try:
            with self._remote_errors():
                async for response in call:
                    if response.event.WhichOneof("event"):
                        yield wire.voice_event_from_wire(response.event)
        finally:
            call.cancel()

    async def mute(self, muted: bool) -> bool:
        """Close the daemon's own microphone, or let it be opened again; whether it is muted now."""
        request = assistant_pb2.SetMicrophoneRequest(muted=muted)
        return bool((await self._call(self._assistant.SetMicrophone, request)).muted)

    async def list_conversations(
        self, *, own: bool = False, page_size: int = 0, page_token: str = ""
    ) -> ConversationPage:
        """A page of conversations, last used first; `own` without those of others. page_size: 1 to 200, 0 for 50."""
        with encodable():
            request = conversation_pb2.ListConversationsRequest(own=own, page_size=page_size, page_token=page_token)
        page = await self._call(self._conversations.ListConversations, request)
        return ConversationPage(
            conversations=tuple(map(wire.conversation_from_wire, page.conversations)),
            next_page_token=page.next_page_token,
        )

    async def get_conversation(self, conversation_id: str) -> Transcript:
        """One conversation with all its messages."""
        with encodable():
            request = conversation_pb2.GetConversationRequest(conversation_id=conversation_id)
        return wire.transcript_from_wire(await self._call(self._conversations.GetConversation, request))

    async def search(self, query: str, *, page_size: int = 0, page_token: str = "") -> SearchPage:
        """A page of messages that hold every word of the query, newest first."""
        with encodable():
            request = conversation_pb2.SearchConversationsRequest(
                query=query, page_size=page_size, page_token=page_token
            )
        page = await self._call(self._conversations.SearchConversations, request)
        return SearchPage(hits=tuple(map(wire.hit_from_wire, page.hits)), next_page_token=page.next_page_token)

    async def rename(self, conversation_id: str, title: str) -> Conversation:
        """Give a conversation another title."""
        with encodable():
            request = conversation_pb2.RenameConversationRequest(conversation_id=conversation_id, title=title)
        renamed = await self._call(self._conversations.RenameConversation, request)
        return wire.conversation_from_wire(renamed.conversation)

    async def delete(self, conversation_id: str) -> None:
        """Remove a conversation; nothing of it remains on disk."""
        with encodable():
            request = conversation_pb2.DeleteConversationRequest(conversation_id=conversation_id)
        await self._call(self._conversations.DeleteConversation, request)

    async def export(self, conversation_ids: Sequence[str] = ()) -> AsyncGenerator[Transcript, None]:
        """The named conversations or all of them, oldest first, one after the other."""
        with encodable():
            request = conversation_pb2.ExportConversationsRequest(conversation_ids=conversation_ids)
        call = self._conversations.ExportConversations(request)
        try:
            with self._remote_errors():
                async for response in call:
                    yield wire.transcript_from_wire(response)
        finally:
            call.cancel()

    async def list_models(self) -> tuple[ModelInfo, ...]:
        """Installed engines, the default one first."""
        response = await self._call(self._models.ListModels, model_pb2.ListModelsRequest())
        return tuple(map(wire.model_from_wire, response.models))

    async def get_model(self, name: str = "") -> ModelInfo:
        """One installed engine; "" is the default one."""
        with encodable():
            request = model_pb2.GetModelRequest(name=name)
        return wire.model_from_wire((await self._call(self._models.GetModel, request)).model)

    async def enrol_speaker(self, name: str, recordings: Sequence[Audio]) -> EnrolledSpeaker:
        """Make a voice known by 3 to 10 recordings of one person, a second of speech or more in each."""
        with encodable():
            blobs = [message_pb2.Blob(data=recording.data, media_type=recording.media_type) for recording in recordings]
            request = speaker_pb2.EnrolSpeakerRequest(name=name, recordings=blobs)
        return wire.speaker_from_wire((await self._call(self._speakers.EnrolSpeaker, request)).speaker)

    async def list_speakers(self) -> tuple[EnrolledSpeaker, ...]:
        """Everybody whose voice is known, by name."""
        response = await self._call(self._speakers.ListSpeakers, speaker_pb2.ListSpeakersRequest())
        return tuple(map(wire.speaker_from_wire, response.speakers))

    async def delete_speaker(self, name: str) -> None:
        """Forget a voice; nothing of it remains on disk."""
        with encodable():
            request = speaker_pb2.DeleteSpeakerRequest(name=name)
        await self._call(self._speakers.DeleteSpeaker, request)

    async def status(self) -> DaemonStatus:
        """What the daemon is doing; answered in every state."""
        return wire.status_from_wire(await self._call(self._status.GetStatus, status_pb2.GetStatusRequest()))

    async def wait_until_serving(self, timeout_seconds: float) -> None:
        """Return when questions are taken. Raises Unavailable, saying why, when that takes longer.

        Raises what the daemon says of its database at once: waiting does not mend it.
        """
        reason = f"no daemon serves at {self.address}"
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    try:
                        state = (await self.status()).state
                    except EdgedError as exc:
                        may_pass = exc.code in (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED)
                        if not may_pass or exc.reason == StoreError.reason:
                            raise
                        reason = exc.message
                    else:
                        if state is DaemonState.SERVING:
                            return
                        reason = f"the daemon at {self.address} is still {state}"
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise Unavailable(f"{reason} (after {timeout_seconds:g} s)") from None

    async def _call(self, method: Any, request: Any) -> Any:
        with self._remote_errors():
            return await method(request, timeout=CALL_SECONDS)
