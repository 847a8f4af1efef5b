"""What the model is shown of a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edged.events import Message, MessageState, Role, ToolCall, ToolResult


def history(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The system prompt now in force, then all that was said.

    A question that only met an error is left out: what made it fail (being too long, say) would make the
    next turn fail, too; so are results that only met one, and are asked for again. Any other answer of which nothing
    was generated is left out and its question joined with the next one, so that user and assistant take turns, as chat
    templates insist. A broken-off answer is shown as far as it went, and calls that nobody answered are not.
    """
    system: tuple[Message, ...] = ()
    said: list[Message] = []
    for message, answer in zip(messages, (*messages[1:], None), strict=False):  # nothing follows the last
        if message.role is Role.SYSTEM:
            system = (message,) if message.parts else ()
        elif _is_asking(message) and answer and answer.state is MessageState.FAILED and not answer.parts:
            continue
        elif message.role is Role.USER:
            said = [*said[:-1], *_without_open_calls(said[-1])] if said else said
            if said and said[-1].role is Role.USER:
                said[-1] = replace(message, parts=(*said[-1].parts, *message.parts))
            else:
                said.append(message)
        elif message.parts:
            said.append(message)
    return (*system, *said)


def open_calls(messages: Sequence[Message]) -> list[str]:
    """Ids of the calls in the last message of a history that wait for their results."""
    parts = messages[-1].parts if messages else ()
    returned = {part.call_id for part in parts if isinstance(part, ToolResult)}
    return [part.id for part in parts if isinstance(part, ToolCall) and part.id not in returned]


def _is_asking(message: Message) -> bool:
    return message.role in (Role.USER, Role.TOOL)


def _without_open_calls(message: Message) -> list[Message]:
    """The message as it can stand before a user's; none where nothing is left of it."""
    waiting = open_calls([message])
    parts = tuple(part for part in message.parts if not (isinstance(part, ToolCall) and part.id in waiting))
    return [replace(message, parts=parts)] if parts else []
