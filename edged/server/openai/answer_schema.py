"""What answers hold, as OpenAI's documentation has it. They are described by this, and not checked on their way."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict  # pydantic does not take that of typing before Python 3.12

from edged.records import DaemonState

_FinishReason = Literal["stop", "length", "tool_calls"]


class Health(TypedDict):
    """Whether requests are taken."""

    status: DaemonState


class Model(TypedDict):
    """A name that requests may have as their model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(TypedDict):
    """All of them, the default one first."""

    object: Literal["list"]
    data: list[Model]


class CachedTokens(TypedDict):
    """Of a prompt."""

    cached_tokens: int


class ReasoningTokens(TypedDict):
    """Of an answer."""

    reasoning_tokens: int


class TokenUsage(TypedDict):
    """What was read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens
    completion_tokens_details: ReasoningTokens


class LikelyToken(TypedDict):
    """One that could have been chosen."""

    token: str
    logprob: float
    bytes: list[int]


class ChosenToken(LikelyToken):
    """One that was."""

    top_logprobs: list[LikelyToken]


class ChatLogprobs(TypedDict):
    """Where the request asks for them."""

    content: list[ChosenToken]
    refusal: None


class CalledFunction(TypedDict):
    """Which, and with what."""

    name: str
    arguments: str
    """A JSON object, as text."""


class Call(TypedDict):
    """The model calls a tool."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class _Reasoning(TypedDict):
    reasoning: NotRequired[str]
    reasoning_content: NotRequired[str]
    """The same, for clients that look for it here."""


class AnswerMessage(_Reasoning):
    """What the model says."""

    role: Literal["assistant"]
    content: str | None
    tool_calls: NotRequired[list[Call]]


class ChatChoice(TypedDict):
    """One answer of `n`."""

    index: int
    message: AnswerMessage
    logprobs: ChatLogprobs | None
    finish_reason: _FinishReason


class ChatCompletion(TypedDict):
    """Of /v1/chat/completions, whole."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: TokenUsage


class FunctionPiece(TypedDict):
    """The name comes once, the arguments in pieces."""

    name: NotRequired[str]
    arguments: str


class CallPiece(TypedDict):
    """Of the call with this index; its id comes once."""

    index: int
    id: NotRequired[str]
    type: NotRequired[Literal["function"]]
    function: FunctionPiece


class AnswerPiece(_Reasoning):
    """What an answer goes on with."""

    role: NotRequired[Literal["assistant"]]
    content: NotRequired[str]
    tool_calls: NotRequired[list[CallPiece]]


class ChunkChoice(TypedDict):
    """A piece of one answer of `n`."""

    index: int
    delta: AnswerPiece
    logprobs: ChatLogprobs | None
    finish_reason: _FinishReason | None


class ChatCompletionChunk(TypedDict):
    """An event of /v1/chat/completions, streamed; one with the usage has no choices."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: NotRequired[TokenUsage]


class TextLogprobs(TypedDict):
    """Where the request asks for them; one entry for each token."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(TypedDict):
    """What follows on one of the prompts, or a piece of it."""

    index: int
    text: str
    logprobs: TextLogprobs | None
    finish_reason: Literal["stop", "length"] | None


class _TextAnswer(TypedDict):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]


class TextCompletion(_TextAnswer):
    """Of /v1/completions, whole."""

    usage: TokenUsage


class TextCompletionChunk(_TextAnswer):
    """An event of /v1/completions, streamed; one with the usage has no choices."""

    usage: NotRequired[TokenUsage]


class Embedding(TypedDict):
    """Of one text."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str
    """A str is base64 of little-endian 32-bit floats."""


class EmbeddingUsage(TypedDict):
    """What was read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(TypedDict):
    """Of /v1/embeddings, in the order of the texts."""

    object: Literal["list"]
    model: str
    data: list[Embedding]
    usage: EmbeddingUsage


class HeardSeconds(TypedDict):
    """How long the recording is."""

    type: Literal["duration"]
    seconds: int


class Transcript(TypedDict):
    """With response_format json."""

    text: str
    usage: HeardSeconds


class TranscriptSegment(TypedDict):
    """A sentence or less; times are in seconds."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class TranscriptWord(TypedDict):
    """Times are in seconds."""

    word: str
    start: float
    end: float


class VerboseTranscript(TypedDict):
    """With response_format verbose_json."""

    task: Literal["transcribe", "translate"]
    language: str
    duration: float
    text: str
    segments: list[TranscriptSegment]
    usage: HeardSeconds
    words: NotRequired[list[TranscriptWord]]


class TranscriptDelta(TypedDict):
    """An event of /v1/audio/transcriptions, streamed."""

    type: Literal["transcript.text.delta"]
    delta: str


class TranscriptDone(TypedDict):
    """The last one."""

    type: Literal["transcript.text.done"]
    text: str
    usage: HeardSeconds


class SpeechDelta(TypedDict):
    """An event of /v1/audio/speech with stream_format sse."""

    type: Literal["speech.audio.delta"]
    audio: str
    """base64."""


class SpeechDone(TypedDict):
    """The last one."""

    type: Literal["speech.audio.done"]
