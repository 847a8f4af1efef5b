"""The vocabulary every layer shares: what is asked, and what happens during a turn.

Standard library only. A turn is a sequence of events (`Started`, `ContextTrimmed`, deltas,
`Measured`, `Finished`); that sequence is its trace, its stored record and its wire format.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict


class Role(enum.StrEnum):
    """Who said a message; the values are those chat templates expect."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class MessageState(enum.StrEnum):
    """How a stored message ended."""

    PENDING = "pending"
    """Being generated now."""
    COMPLETE = "complete"
    CANCELLED = "cancelled"
    """Stopped by the user; holds what was generated until then."""
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """The daemon died while it was being generated."""


class FinishReason(enum.StrEnum):
    """Why generation stopped."""

    STOP = "stop"
    """The model ended its answer, or a stop string was met."""
    LENGTH = "length"
    """max_tokens or the end of the context was reached."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A piece of text in a message."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An encoded picture in a message."""

    data: bytes
    media_type: str
    description: str = ""
    """What was seen in it, for models that read text alone; empty where the model sees for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """An encoded recording in a message."""

    data: bytes
    media_type: str
    transcript: str = ""
    """What was heard in it, for models that read text alone; empty where the model hears for itself."""


Part = Text | Image | Audio


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts of one turn."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    """Part of prompt_tokens whose keys and values were still in the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Timings of one turn, measured where the work happens."""

    ttft_ms: float
    """From the request's arrival to its first generated token."""
    prompt_tps: float
    """Prompt tokens computed (not cached) per second; 0 when all were cached."""
    generation_tps: float
    peak_bytes: int
    """Peak resident memory of the process."""
    queue_ms: float = 0.0
    """Spent waiting behind other requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a conversation, as stored and as shown to the model."""

    role: Role
    parts: tuple[Part, ...]
    id: str = ""
    reasoning: str = ""
    state: MessageState = MessageState.COMPLETE
    created_at: datetime | None = None
    """Timezone-aware UTC; None before the message is stored."""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    model: str = ""

    @property
    def text(self) -> str:
        """The text parts, joined by newlines."""
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen; the defaults are those of the daemon."""

    temperature: float = 0.2
    """0 is greedy; up to 2."""
    top_k: int = 0
    """0 keeps all tokens."""
    top_p: float = 0.9
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    """Divides positive and multiplies negative logits of tokens seen (CTRL, arXiv:1909.05858)."""
    frequency_penalty: float = 0.0
    """Subtracted once per earlier occurrence in the answer; -2 to 2."""
    presence_penalty: float = 0.0
    """Subtracted once from every token that occurred in the answer; -2 to 2."""
    logit_bias: dict[int, float] = field(default_factory=dict)
    seed: int | None = None
    stop: tuple[str, ...] = ()
    """Strings that end the answer; never part of it."""
    max_tokens: int = 1024


class SamplingOptions(TypedDict, total=False):
    """The fields of `Sampling` that a client wants to differ from the daemon's defaults."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repetition_penalty: float
    frequency_penalty: float
    presence_penalty: float
    logit_bias: dict[int, float]
    seed: int
    stop: tuple[str, ...]
    max_tokens: int


class OutputKind(enum.StrEnum):
    """What describes the form of an answer."""

    JSON = "json"
    """Nothing more: any JSON object."""
    JSON_SCHEMA = "json_schema"
    REGEX = "regex"
    """A regular expression that the whole answer matches, as Rust's `regex` has them."""
    LARK = "lark"
    """A grammar in llguidance's dialect of Lark."""
    CHOICES = "choices"
    """Texts one of which is the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFormat:
    """The form that an answer must have; cut off by max_tokens, it is the beginning of one that has it."""

    kind: OutputKind
    text: str = ""
    """The schema, the expression or the grammar."""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One answer asked of an engine."""

    messages: tuple[Message, ...]
    """System prompt first, if any; the last one is the user's."""
    sampling: Sampling = Sampling()
    enable_thinking: bool = False
    max_reasoning_tokens: int | None = None
    """How many tokens the model may think before it has to answer; None for any number."""
    model: str = ""
    """Name of an installed engine; empty means the default one."""
    output: OutputFormat | None = None
    """None leaves the form to the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The user's message is durable and the answer is being worked on."""

    conversation_id: str
    user_message_id: str
    answer_message_id: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcribed:
    """What was heard in the message's recordings; comes right after `Started` where the model cannot hear."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextTrimmed:
    """The oldest messages no longer fitted the context and were left out of the prompt."""

    dropped_messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    """The next piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningDelta:
    """The next piece of the model's thinking."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Counts and timings, sent once when generation is over."""

    usage: Usage
    metrics: Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The last event of every turn that was not broken off by an error."""

    finish_reason: FinishReason


GenerationEvent = ContextTrimmed | TextDelta | ReasoningDelta | Measured | Finished
"""What an engine emits; ends with `Measured`, `Finished`."""

TurnEvent = Started | Transcribed | GenerationEvent
"""What a client sees."""
