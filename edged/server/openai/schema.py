"""What a request may hold, as OpenAI's documentation has it. What is not known is ignored, as clients expect."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, StringConstraints, Tag

MAX_MESSAGES = 1000
MAX_PARTS = 64
MAX_CHOICES = 8
_Name = Annotated[str, StringConstraints(max_length=200)]
_Words = Annotated[str, StringConstraints(min_length=0)]
"""Text that is one: pydantic lets half of a surrogate pair through where there is nothing else to check."""


class TextPart(BaseModel):
    """Words."""

    type: Literal["text"]
    text: _Words


class ImageUrl(BaseModel):
    """A picture in the request itself."""

    url: str = Field(description="data:image/...;base64,... alone: nothing is fetched from anywhere")
    detail: str | None = "auto"


class ImagePart(BaseModel):
    """A picture."""

    type: Literal["image_url"]
    image_url: ImageUrl


class InputAudio(BaseModel):
    """A recording in the request itself."""

    data: str = Field(description="base64")
    format: Literal["wav", "mp3", "flac", "ogg"]


class AudioPart(BaseModel):
    """A recording."""

    type: Literal["input_audio"]
    input_audio: InputAudio


ContentPart = Annotated[TextPart | ImagePart | AudioPart, Field(discriminator="type")]


WORDS, PARTS = "words", "parts"
"""How pydantic tells, in the place of an error, which of the two a content was taken for."""
Content = Annotated[
    Annotated[_Words, Tag(WORDS)] | Annotated[list[ContentPart], Field(max_length=MAX_PARTS), Tag(PARTS)],
    Discriminator(lambda content: PARTS if isinstance(content, list) else WORDS),
]


class ChatMessage(BaseModel):
    """One message of the conversation so far."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Content | None = None
    tool_calls: list[Any] | None = None


class JsonSchema(BaseModel):
    """A form that the answer must have."""

    name: _Name = "answer"
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(BaseModel):
    """Whether the answer has a form."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None
    schema_: dict[str, Any] | None = Field(
        default=None, alias="schema", description="Of a json_object, as llama.cpp has it"
    )


class StreamOptions(BaseModel):
    """Of a stream."""

    include_usage: bool | None = False


class Thinking(BaseModel):
    """Whether the model thinks first, as DeepSeek and GLM have it."""

    type: Literal["enabled", "disabled"]
    budget_tokens: int | None = Field(default=None, ge=0, description="How many tokens may be thought")


class TemplateArguments(BaseModel):
    """Whether the model thinks first, as vLLM has it."""

    enable_thinking: bool | None = None


class ChatRequest(BaseModel):
    """Of /v1/chat/completions."""

    model: _Name | None = ""
    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = Field(default=1, ge=1, le=MAX_CHOICES)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    min_p: float | None = Field(default=None, ge=0, le=1)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    logit_bias: dict[str, float] | None = None
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: _Words | list[_Words] | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    store: bool | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    enable_thinking: bool | None = None
    chat_template_kwargs: TemplateArguments | None = None
    thinking: Thinking | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    return_reasoning: bool | None = True
    top_logprobs: int | None = None
    functions: list[Any] | None = None
    modalities: list[str] | None = None
    grammar: Any = None
    json_schema: Any = None
    structured_outputs: Any = None
    guided_json: Any = None
    guided_regex: Any = None
    guided_choice: Any = None
    guided_grammar: Any = None

    @property
    def thinks(self) -> bool:
        """By whichever of the switches is there."""
        template = self.chat_template_kwargs.enable_thinking if self.chat_template_kwargs else None
        for switch in (self.enable_thinking, template):
            if switch is not None:
                return switch
        if self.thinking:
            return self.thinking.type == "enabled"
        return self.reasoning_effort not in (None, "none")


class SpeechRequest(BaseModel):
    """Of /v1/audio/speech."""

    input: str = Field(min_length=1, max_length=4096)
    model: _Name = ""
    voice: Any = None
    speed: Literal[1] | None = None
    stream_format: Literal["audio"] | None = None
    response_format: Literal["wav", "pcm"] = "wav"
