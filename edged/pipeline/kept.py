"""Conversations that come whole with every question, as programs send them, kept as one that grows."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import astuple

from edged.errors import InvalidInput, NotFound
from edged.events import (
    FinishReason,
    GenerationRequest,
    Message,
    MessageState,
    Part,
    Role,
    Started,
    ToolCall,
    TurnEvent,
)
from edged.pipeline.answer_parts import AnswerParts
from edged.pipeline.ports import Memory
from edged.pipeline.turn import TurnConductor, to_the_end
from edged.records import Reader

MAX_KNOWN = 1024
"""Conversations that the next question is known to belong to; of others, all that was said is stored anew."""


class Keeper:
    """Stores what comes, and knows it again when it comes with one more question."""

    def __init__(self, turns: TurnConductor, memory: Memory) -> None:
        self._turns = turns
        self._memory = memory
        self._known: OrderedDict[bytes, str] = OrderedDict()  # all that was said -> the conversation

    async def run(self, request: GenerationRequest, reader: Reader) -> AsyncGenerator[TurnEvent, None]:
        """See TurnConductor.run; the model is told the request's messages and nothing else.

        Raises InvalidInput also for messages that are no conversation.
        """
        self._turns.check_told(request.messages)
        *past, _ = request.messages
        before = _digest(past, reader)
        known = self._known.get(before, "")
        conversation_id = known or await to_the_end(self._store(past, request.model, reader))
        if conversation_id:
            self._known[before] = conversation_id  # a question that is refused may come again
        said, has_begun = AnswerParts(), False
        try:
            async with aclosing(self._turn(request, conversation_id, reader)) as turn:
                async for event in turn:
                    said.take(event)
                    if isinstance(event, Started):
                        conversation_id, has_begun = event.conversation_id, True
                    yield event
        except NotFound:
            if not known or has_begun:
                raise
            del self._known[before]
            async with aclosing(self.run(request, reader)) as turn:  # it was deleted meanwhile
                async for event in turn:
                    yield event
            return
        answer = Message(role=Role.ASSISTANT, parts=said.parts(with_open_calls=True))
        self._known.pop(before, None)
        self._known[_digest((*request.messages, answer), reader)] = conversation_id
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def _turn(
        self, request: GenerationRequest, conversation_id: str, reader: Reader
    ) -> AsyncGenerator[TurnEvent, None]:
        *past, question = request.messages
        return self._turns.run(
            parts=question.parts,
            reader=reader,
            conversation_id=conversation_id,
            model=request.model,
            sampling=request.sampling,
            enable_thinking=request.enable_thinking,
            max_reasoning_tokens=request.max_reasoning_tokens,
            system_prompt=next((one.text for one in reversed(past) if one.role is Role.SYSTEM), None),
            output=request.output,
            tool_use=request.tool_use,
            told=request.messages,
        )

    async def _store(self, past: Sequence[Message], model: str, reader: Reader) -> str:
        """What went on before, as turns of a new conversation; its id, empty where nothing did."""
        conversation_id, system = "", None
        place = 0
        while place < len(past):
            asked, answers = past[place], []
            place += 1
            if asked.role is Role.SYSTEM:
                system = asked.text
                continue
            if asked.role is Role.ASSISTANT:
                raise InvalidInput("a conversation that is kept begins with the user", field="messages")
            while place < len(past) and past[place].role is Role.ASSISTANT:
                answers.append(past[place])
                place += 1
            turn = await self._memory.open_turn(
                conversation_id=conversation_id, parts=asked.parts, system_prompt=system, model=model, reader=reader
            )
            conversation_id = turn.conversation_id
            parts: tuple[Part, ...] = tuple(part for answer in answers for part in answer.parts)
            calls = any(isinstance(part, ToolCall) for part in parts)
            await self._memory.close_turn(
                turn.answer_message_id,
                parts=parts,
                reasoning="",
                state=MessageState.COMPLETE,
                finish_reason=FinishReason.TOOL_CALLS if calls else FinishReason.STOP,
                usage=None,
            )
        return conversation_id


def _digest(messages: Sequence[Message], reader: Reader) -> bytes:
    """Of all that was said, and to whom."""
    digest = hashlib.sha256(f"{reader.owner}\0{reader.sees_all}".encode())
    for message in messages:
        digest.update(f"\0{message.role}".encode())
        for part in message.parts:
            for value in (type(part).__name__, *astuple(part)):
                data = value if isinstance(value, bytes) else str(value).encode()
                digest.update(len(data).to_bytes(8) + data)
    return digest.digest()
