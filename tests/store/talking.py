"""Short ways to hold a conversation with a store."""

from __future__ import annotations

from pathlib import Path

from edged.events import Audio, FinishReason, Image, MessageState, Part, Text, Usage
from edged.records import OPERATOR
from edged.store import ConversationStore
from edged.store.store import StoredTurn

USAGE = Usage(prompt_tokens=12, completion_tokens=3, cached_tokens=5, reasoning_tokens=1)


def ask(
    store: ConversationStore, *said: str | Part, conversation_id: str = "", system: str | None = None
) -> StoredTurn:
    parts = tuple(Text(text=part) if isinstance(part, str) else part for part in said)
    return store.open_turn(
        conversation_id=conversation_id, parts=parts, system_prompt=system, model="tiny", reader=OPERATOR
    )


def answer(
    store: ConversationStore, turn: StoredTurn, text: str, state: MessageState = MessageState.COMPLETE
) -> StoredTurn:
    reason = FinishReason.STOP if state is MessageState.COMPLETE else None
    parts = (Text(text=text),) if text else ()
    store.close_turn(turn.answer_message_id, parts=parts, reasoning="", state=state, finish_reason=reason, usage=USAGE)
    return turn


def talk(store: ConversationStore, question: str, reply: str = "Yes.", conversation_id: str = "") -> StoredTurn:
    return answer(store, ask(store, question, conversation_id=conversation_id), reply)


def picture(data: bytes) -> Image:
    return Image(data=data, media_type="image/png")


def recording(data: bytes) -> Audio:
    return Audio(data=data, media_type="audio/wav")


def files_with(directory: Path, needle: bytes) -> list[str]:
    """Names of the files below a directory that hold these bytes."""
    return sorted(file.name for file in directory.rglob("*") if file.is_file() and needle in file.read_bytes())
