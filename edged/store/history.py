"""What the model is shown of a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edged.events import Message, MessageState, Role


def history(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The system prompt now in force, then all that was said.

    A question that only met an error is left out: what made it fail (being too long, say) would make the
    next turn fail, too. Any other answer of which nothing was generated is left out and its question joined
    with the next one, so that user and assistant take turns, as chat templates insist. A broken-off answer is
    shown as far as it went.
    """
    system: tuple[Message, ...] = ()
    said: list[Message] = []
    for message, answer in zip(messages, (*messages[1:], None), strict=False):  # nothing follows the last
        if message.role is Role.SYSTEM:
            system = (message,) if message.parts else ()
        elif message.role is Role.USER and answer and answer.state is MessageState.FAILED and not answer.parts:
            continue
        elif message.role is Role.USER and said and said[-1].role is Role.USER:
            said[-1] = replace(message, parts=(*said[-1].parts, *message.parts))
        elif message.parts:
            said.append(message)
    return (*system, *said)
