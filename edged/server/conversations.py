"""edged.v1.ConversationService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Protocol

import grpc

from edged import wire
from edged.errors import InvalidInput, MissingExtra
from edged.events import Image, Message, Part
from edged.records import Conversation, Reader, SearchHit, StoreStatus, Transcript
from edged.server.caller import caller
from edged.server.sending import send
from edged.v1 import conversation_pb2 as pb
from edged.v1 import conversation_pb2_grpc
from edged.vision.thumbnail import begin_thumbnail

PICTURE_SIDES = (16, 1024)
"""Pixels of the longer side that a caller may ask for."""


class Conversations(Protocol):
    """Where conversations are kept, and who sees which.

    Ids that do not exist, or that the reader does not see, raise NotFound; bad pages and titles InvalidInput.
    """

    async def list(self, *, reader: Reader, page_size: int, page_token: str) -> tuple[tuple[Conversation, ...], str]:
        """A page, and the token of the next one or ""."""
        ...

    async def get(self, conversation_id: str, *, reader: Reader) -> Transcript:
        """One with its messages."""
        ...

    async def search(
        self, query: str, *, reader: Reader, page_size: int, page_token: str
    ) -> tuple[tuple[SearchHit, ...], str]:
        """A page of messages that match, and the token of the next one or ""."""
        ...

    async def rename(self, conversation_id: str, title: str, *, reader: Reader) -> Conversation:
        """Give it another title."""
        ...

    async def delete(self, conversation_id: str, *, reader: Reader) -> None:
        """Leave nothing of it."""
        ...

    def export(self, conversation_ids: Sequence[str], *, reader: Reader) -> AsyncIterator[Transcript]:
        """The named ones, or all of them, oldest first."""
        ...

    async def status(self) -> StoreStatus:
        """Where all this lies."""
        ...


class Passing(Protocol):
    """Conversations that are in memory alone."""

    async def count(self) -> int:
        """How many there are."""
        ...

    async def forget(self, conversation_id: str, *, reader: Reader) -> bool:
        """Forget one; False where it is none of theirs."""
        ...


class ConversationServicer(conversation_pb2_grpc.ConversationServiceServicer):
    """See conversation.proto for what each call does."""

    def __init__(self, conversations: Conversations, passing: Passing | None = None) -> None:
        self._conversations = conversations
        self._passing = passing

    async def ListConversations(
        self, request: pb.ListConversationsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListConversationsResponse:
        reader = caller().reader
        page, token = await self._conversations.list(
            reader=replace(reader, sees_all=False) if request.own else reader,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListConversationsResponse(conversations=map(wire.conversation_to_wire, page), next_page_token=token)

    async def GetConversation(
        self, request: pb.GetConversationRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetConversationResponse:
        low, high = PICTURE_SIDES
        side = request.max_picture_side
        if side and not low <= side <= high:
            raise InvalidInput(f"max_picture_side must be 0, or from {low} to {high}", field="max_picture_side")
        transcript = await self._conversations.get(request.conversation_id, reader=caller().reader)
        if side:
            transcript = replace(
                transcript, messages=tuple([await _made_small(each, side) for each in transcript.messages])
            )
        return wire.transcript_to_wire(transcript, pb.GetConversationResponse)

    async def SearchConversations(
        self, request: pb.SearchConversationsRequest, context: grpc.aio.ServicerContext
    ) -> pb.SearchConversationsResponse:
        hits, token = await self._conversations.search(
            request.query, reader=caller().reader, page_size=request.page_size, page_token=request.page_token
        )
        return pb.SearchConversationsResponse(hits=map(wire.hit_to_wire, hits), next_page_token=token)

    async def RenameConversation(
        self, request: pb.RenameConversationRequest, context: grpc.aio.ServicerContext
    ) -> pb.RenameConversationResponse:
        renamed = await self._conversations.rename(request.conversation_id, request.title, reader=caller().reader)
        return pb.RenameConversationResponse(conversation=wire.conversation_to_wire(renamed))

    async def DeleteConversation(
        self, request: pb.DeleteConversationRequest, context: grpc.aio.ServicerContext
    ) -> pb.DeleteConversationResponse:
        name, reader = request.conversation_id, caller().reader
        if not (self._passing and await self._passing.forget(name, reader=reader)):
            await self._conversations.delete(name, reader=reader)
        return pb.DeleteConversationResponse()

    async def ExportConversations(
        self, request: pb.ExportConversationsRequest, context: grpc.aio.ServicerContext
    ) -> None:
        wanted = tuple(request.conversation_ids)
        async for transcript in self._conversations.export(wanted, reader=caller().reader):
            await send(context, wire.transcript_to_wire(transcript, pb.ExportConversationsResponse))


async def _made_small(message: Message, max_side: int) -> Message:
    return replace(message, parts=tuple([await _small_part(part, max_side) for part in message.parts]))


async def _small_part(part: Part, max_side: int) -> Part:
    if not isinstance(part, Image):
        return part
    try:
        small = await asyncio.wrap_future(begin_thumbnail(part.data, max_side))
    except (InvalidInput, MissingExtra):
        return part
    return replace(part, data=small, media_type="image/jpeg")
