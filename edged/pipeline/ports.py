"""What the pipeline needs from the rest, in its own words.

The daemon hands in objects of other packages that fit these shapes; nothing here knows them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from edged.events import FinishReason, GenerationEvent, GenerationRequest, Message, MessageState, Part, Usage


class LanguageModel(Protocol):
    """Answers requests, one stream of events each."""

    async def resolve(self, model: str) -> str:
        """Full name of the engine that will answer; "" asks for the default one.

        Raises NotFound for a name that is not installed.
        """
        ...

    async def check(self, request: GenerationRequest) -> None:
        """Refuse now what `generate` would refuse later, as far as that is known without computing.

        Called before anything is stored; `request.messages` holds only the new message, and the system
        prompt that came with it. Raises InvalidInput (sampling out of range), UnsupportedPart,
        ContextOverflow (the message alone is too long), QueueFull, Unavailable.
        """
        ...

    def generate(self, request: GenerationRequest) -> AsyncGenerator[GenerationEvent, None]:
        """Deltas, then `Measured` and `Finished`.

        Closing the iterator (aclose) stops the computation within one token.
        """
        ...


class Memory(Protocol):
    """Where conversations are kept. What a call returned from is durable."""

    async def open_turn(
        self,
        *,
        conversation_id: str,
        parts: tuple[Part, ...],
        system_prompt: str | None,
        model: str,
    ) -> OpenTurn:
        """Store the user's message and a pending answer in one transaction.

        An empty conversation_id starts a conversation. Raises NotFound.
        """
        ...

    async def close_turn(
        self,
        answer_message_id: str,
        *,
        text: str,
        reasoning: str,
        state: MessageState,
        finish_reason: FinishReason | None,
        usage: Usage | None,
    ) -> None:
        """Store what was answered and how it ended."""
        ...


class OpenTurn(Protocol):
    """A turn whose user message is durable."""

    @property
    def conversation_id(self) -> str:
        """Given or new."""
        ...

    @property
    def user_message_id(self) -> str:
        """Of the message just stored."""
        ...

    @property
    def answer_message_id(self) -> str:
        """Of the pending answer."""
        ...

    @property
    def history(self) -> tuple[Message, ...]:
        """System prompt (if any), earlier turns, and the user's message last."""
        ...
