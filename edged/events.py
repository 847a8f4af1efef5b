"""The vocabulary every layer shares: what is asked, and what happens during a turn.

Standard library only. A turn is a sequence of events (`Started`, `ContextTrimmed`, deltas,
`Measured`, `Finished`); that sequence is its trace, its stored record and its wire format.
"""

from __future__ import annotations

import enum
import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict


class Role(enum.StrEnum):
    """Who said a message; the values are those chat templates expect."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    """What tools returned to the calls of the assistant's message before it."""


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
    TOOL_CALLS = "tool_calls"
    """The model called tools, and waits for what they return."""


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


File = Image | Audio
"""A part that is shown or heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """The assistant calls a tool."""

    id: str
    name: str
    arguments: str
    """A JSON object, as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What a tool returned. In a message of the assistant's own, it is the daemon that ran it."""

    call_id: str
    content: str


Part = Text | Image | Audio | ToolCall | ToolResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts of one turn."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    """Part of prompt_tokens whose keys and values were still in the cache."""
    reasoning_tokens: int = 0
    """Part of completion_tokens that was thought, with the marks around it."""


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
    logprobs: int | None = None
    """How many of the likeliest tokens to tell with each one chosen; None tells no probabilities at all."""


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
    logprobs: int


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
class Tool:
    """What the model may call."""

    name: str
    """1 to 64 letters, digits, "_" and "-"."""
    description: str = ""
    """What it does and when to call it, for the model."""
    parameters: str = ""
    """A JSON Schema of an object, as text, which the arguments of every call keep to; empty for no arguments."""


class ToolChoice(enum.StrEnum):
    """Whether tools are called."""

    AUTO = "auto"
    """As the model sees fit."""
    NONE = "none"
    """The model is not told of any."""
    REQUIRED = "required"
    """At least one is."""
    NAMED = "named"
    """One is, and which is said."""


MAX_TOOLS = 128
"""Of one answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """The tools of an answer, and how they may be called."""

    tools: tuple[Tool, ...]
    choice: ToolChoice = ToolChoice.AUTO
    name: str = ""
    """The tool that NAMED means."""
    parallel: bool = True
    """There may be several calls in one answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One answer asked of an engine."""

    messages: tuple[Message, ...]
    """System prompt first, if any; the last one is the user's."""
    sampling: Sampling = Sampling()
    enable_thinking: bool = False
    max_reasoning_tokens: int | None = None
    """How many tokens the model may think before it has to answer; None for any number."""
    stop_thinking: threading.Event | None = field(default=None, compare=False)
    """Once it is set, whoever thinks has to answer; None where nobody will set it."""
    model: str = ""
    """Name of an installed engine; empty means the default one."""
    output: OutputFormat | None = None
    """None leaves the form to the model."""
    prompt: str | None = None
    """A text to go on with just as it stands, control tokens included; in place of messages."""
    tool_use: ToolUse | None = None


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
class TokenLogprob:
    """A token and how likely it was, whatever was done to the scores before it was chosen."""

    text: str
    """U+FFFD for half a character; empty for a token that structures the conversation."""
    data: bytes
    """What it adds to the answer, in UTF-8 once its neighbours are there."""
    logprob: float
    """Natural logarithm of the probability; 0 is certain."""
    top: tuple[TokenLogprob, ...] = ()
    """The likeliest tokens in its place, as many as were asked for, the likeliest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    """The next piece of the answer."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    """Of its tokens, where they were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningDelta:
    """The next piece of the model's thinking."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallStarted:
    """The model calls a tool; its arguments follow in pieces."""

    index: int
    """Counts the calls of a turn, from 0."""
    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallDelta:
    """The next piece of a call's arguments, which together are a JSON object."""

    index: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolReturned:
    """What a tool of the daemon returned; the model reads it and goes on."""

    call_id: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Counts and timings, sent once when generation is over."""

    usage: Usage
    metrics: Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The last event of every turn that was not broken off by an error."""

    finish_reason: FinishReason


GenerationEvent = ContextTrimmed | TextDelta | ReasoningDelta | ToolCallStarted | ToolCallDelta | Measured | Finished
"""What an engine emits; ends with `Measured`, `Finished`."""

TurnEvent = Started | Transcribed | ToolReturned | GenerationEvent
"""What a client sees."""
