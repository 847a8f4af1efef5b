"""Conversations that are never written to disk, beside those that are."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta

from edged.errors import NotFound, StoreError
from edged.events import FinishReason, MessageState, Part, Usage
from edged.pipeline.ports import Memory, OpenTurn
from edged.records import Reader
from edged.store import AsyncStore, Retention

_log = logging.getLogger(__name__)
IDLE = timedelta(hours=1)
"""A conversation is forgotten so long after it was last used."""
MAX_BYTES = 256 * 1024 * 1024
"""Of all such conversations together; those used least recently are forgotten first."""
LOOK_SECONDS = 60.0


class IncognitoMemory:
    """A Memory that keeps turns of incognito readers to itself, and passes all others on to the one behind it.

    Only who began an incognito conversation can go on with it, and it is in no list, search or export.
    """

    def __init__(self, durable: Memory, passing: AsyncStore) -> None:
        """passing: of `passing_store`; closed by the caller."""
        self._durable = durable
        self._passing = passing
        self._answers: set[str] = set()  # being generated, of incognito conversations

    async def open_turn(
        self, *, conversation_id: str, parts: tuple[Part, ...], system_prompt: str | None, model: str, reader: Reader
    ) -> OpenTurn:
        """See Memory. Raises NotFound also where an incognito reader names a conversation that is on the disk."""
        own = replace(reader, sees_all=False)
        goes_on = bool(conversation_id) and await self._holds(conversation_id, own)
        if not goes_on and reader.is_incognito and conversation_id:
            raise NotFound(
                "no such incognito conversation: it has ended, or was never one; begin another",
                resource=("conversation", conversation_id),
            )
        if not goes_on and not reader.is_incognito:
            return await self._durable.open_turn(
                conversation_id=conversation_id, parts=parts, system_prompt=system_prompt, model=model, reader=reader
            )
        await self._passing.expire()  # makes room
        turn = await self._passing.open_turn(
            conversation_id=conversation_id, parts=parts, system_prompt=system_prompt, model=model, reader=own
        )
        self._answers.add(turn.answer_message_id)
        return turn

    async def close_turn(
        self,
        answer_message_id: str,
        *,
        parts: tuple[Part, ...],
        reasoning: str,
        state: MessageState,
        finish_reason: FinishReason | None,
        usage: Usage | None,
    ) -> None:
        """See Memory."""
        memory: Memory = self._passing if answer_message_id in self._answers else self._durable
        self._answers.discard(answer_message_id)
        await memory.close_turn(
            answer_message_id,
            parts=parts,
            reasoning=reasoning,
            state=state,
            finish_reason=finish_reason,
            usage=usage,
        )

    async def count(self) -> int:
        """Conversations that are not on the disk, as of now."""
        return (await self._passing.status()).conversations

    async def forget(self, conversation_id: str, *, reader: Reader) -> bool:
        """Forget one conversation at once; False where it is none of this reader's that is in memory."""
        own = replace(reader, sees_all=False)
        if not await self._holds(conversation_id, own):
            return False
        await self._passing.delete(conversation_id, reader=own)
        return True

    async def run(self) -> None:
        """Forget what nobody goes on with, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._passing.expire()
            except StoreError as exc:  # no memory, say: the next time may be better
                _log.warning("conversations that are to be forgotten are still there: %s", exc)

    async def _holds(self, conversation_id: str, reader: Reader) -> bool:
        try:
            await self._passing.get(conversation_id, reader=reader)
        except NotFound:
            return False
        return True


async def passing_store() -> AsyncStore:
    """A store in memory, for what is forgotten."""
    return await AsyncStore.in_memory(Retention(all=IDLE, max_bytes=MAX_BYTES))
