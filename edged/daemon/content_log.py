"""The one place that logs what people and the model say; composed only when logging.content asks for it."""

from __future__ import annotations

import logging

from edged.events import FinishReason, MessageState, Part, Text, ToolCall, ToolResult, Usage
from edged.pipeline.ports import Memory, OpenTurn
from edged.records import Reader

_log = logging.getLogger("edged.content")
_log.setLevel(logging.INFO)


class ContentLog:
    """A Memory that logs every message on its way to the one behind it."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def open_turn(
        self, *, conversation_id: str, parts: tuple[Part, ...], system_prompt: str | None, model: str, reader: Reader
    ) -> OpenTurn:
        """See Memory."""
        turn = await self._memory.open_turn(
            conversation_id=conversation_id, parts=parts, system_prompt=system_prompt, model=model, reader=reader
        )
        _log.info("%s user: %r", turn.conversation_id, [_shown(part) for part in parts])
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
        _log.info("%s assistant (%s): %r", answer_message_id, state, [_shown(part) for part in parts])
        await self._memory.close_turn(
            answer_message_id,
            parts=parts,
            reasoning=reasoning,
            state=state,
            finish_reason=finish_reason,
            usage=usage,
        )


def _shown(part: Part) -> str:
    match part:
        case Text(text=text) | ToolResult(content=text):
            return text
        case ToolCall(name=name, arguments=arguments):
            return f"{name}({arguments})"
    return f"<{part.media_type}>"
