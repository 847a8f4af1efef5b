"""Content is logged in one place, and only when it is composed in."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from edged.daemon.content_log import ContentLog
from edged.events import FinishReason, Image, Message, MessageState, Part, Text, Usage
from edged.records import OPERATOR, Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    conversation_id: str = "c1"
    user_message_id: str = "m1"
    answer_message_id: str = "m2"
    history: tuple[Message, ...] = ()


@dataclass
class ScriptedMemory:
    """Remembers what it was asked for."""

    calls: list[tuple[object, ...]] = field(default_factory=list)

    async def open_turn(
        self, *, conversation_id: str, parts: tuple[Part, ...], system_prompt: str | None, model: str, reader: Reader
    ) -> Turn:
        self.calls.append((conversation_id, parts, system_prompt, model))
        return Turn()

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
        self.calls.append((answer_message_id, parts, reasoning, state, finish_reason, usage))


async def test_messages_are_logged_and_passed_on(caplog: pytest.LogCaptureFixture) -> None:
    memory = ScriptedMemory()
    log = ContentLog(memory)
    parts = (Text(text="hello\nyou"), Image(data=b"\x89PNG", media_type="image/png"))
    turn = await log.open_turn(conversation_id="", parts=parts, system_prompt=None, model="tiny", reader=OPERATOR)
    await log.close_turn(
        turn.answer_message_id,
        parts=(Text(text="hi"),),
        reasoning="",
        state=MessageState.COMPLETE,
        finish_reason=FinishReason.STOP,
        usage=None,
    )
    assert memory.calls == [
        ("", parts, None, "tiny"),
        ("m2", (Text(text="hi"),), "", MessageState.COMPLETE, FinishReason.STOP, None),
    ]
    assert [record.getMessage() for record in caplog.records] == [
        r"c1 user: ['hello\nyou', '<image/png>']",
        "m2 assistant (complete): ['hi']",
    ]
