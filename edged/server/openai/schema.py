"""What a request may hold, as OpenAI's documentation has it. What is not known is ignored, as clients expect."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, StrictBool, StringConstraints, Tag
from pydantic_core import PydanticCustomError

from edged.events import MAX_TOOLS
from edged.server.openai.tool_schema import AssistantCall, DeclaredTool, ToolChoice

MAX_MESSAGES = 1000
MAX_PARTS = 64
MAX_CALLS = 64
MAX_CHOICES = 8
MAX_LOGPROBS = 20
MAX_PROMPTS = 16
MAX_TEXTS = 2048


def _shown(*requests: dict[str, Any]) -> ConfigDict:
    """Requests that are answered, for the description: to try it out, and to begin with."""
    return ConfigDict(json_schema_extra={"examples": list(requests)})


def _no_other(value: object) -> object:
    """JSON knows numbers from words and from true; 2.0 is whole all the same, as its schemas have it."""
    if isinstance(value, str | bool):
        raise PydanticCustomError("number_type", "Input should be a number")
    return value


def _true_or_false(value: object) -> object:
    """In a form all is text, of which pydantic takes 0, no and off for false."""
    if isinstance(value, str) and value.lower() not in ("true", "false"):
        raise PydanticCustomError("bool_type", "Input should be true or false")
    return value


Switch = Annotated[bool, BeforeValidator(_true_or_false)]
"""Of a form."""
_Whole = Annotated[int, BeforeValidator(_no_other)]
_Number = Annotated[float, BeforeValidator(_no_other)]
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
"""How pydantic tells, in the place of an error, which of the two a text or a list was taken for."""
_BY_KIND = Discriminator(lambda value: PARTS if isinstance(value, list) else WORDS)
Content = Annotated[
    Annotated[_Words, Tag(WORDS)] | Annotated[list[ContentPart], Field(max_length=MAX_PARTS), Tag(PARTS)], _BY_KIND
]
_Prompts = Annotated[list[_Words], Field(min_length=1, max_length=MAX_PROMPTS), Tag(PARTS)]
_Texts = Annotated[list[_Words], Field(min_length=1, max_length=MAX_TEXTS), Tag(PARTS)]


class ChatMessage(BaseModel):
    """One message of the conversation so far."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content | None = None
    tool_calls: Annotated[list[AssistantCall], Field(max_length=MAX_CALLS)] | None = None
    tool_call_id: _Name | None = None


class JsonSchema(BaseModel):
    """A form that the answer must have."""

    name: _Name = "answer"
    schema_: dict[str, Any] = Field(alias="schema")
    strict: StrictBool | None = None


class ResponseFormat(BaseModel):
    """Whether the answer has a form."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None
    schema_: dict[str, Any] | None = Field(
        default=None, alias="schema", description="Of a json_object, as llama.cpp has it"
    )


Schema = Annotated[dict[str, Any] | _Words, Field(description="A JSON Schema, or its text")]


class StructuredOutputs(BaseModel):
    """Which form the answer has, as vLLM has it: one of these."""

    json_: Schema | None = Field(default=None, alias="json")
    regex: _Words | None = None
    choice: list[_Words] | None = None
    grammar: _Words | None = Field(default=None, description="In llguidance's dialect of Lark")
    json_object: StrictBool | None = None


class StreamOptions(BaseModel):
    """Of a stream."""

    include_usage: StrictBool | None = False


class Thinking(BaseModel):
    """Whether the model thinks first, as DeepSeek and GLM have it."""

    type: Literal["enabled", "disabled"]
    budget_tokens: _Whole | None = Field(default=None, ge=0, description="How many tokens may be thought")


class TemplateArguments(BaseModel):
    """Whether the model thinks first, as vLLM has it."""

    enable_thinking: StrictBool | None = None


class GenerationOptions(BaseModel):
    """What chats and completions have in common."""

    model: _Name | None = ""
    stream: StrictBool | None = False
    stream_options: StreamOptions | None = None
    n: _Whole | None = Field(default=1, ge=1, le=MAX_CHOICES)
    max_tokens: _Whole | None = Field(default=None, ge=1)
    temperature: _Number | None = Field(default=None, ge=0, le=2)
    top_p: _Number | None = Field(default=None, ge=0, le=1)
    top_k: _Whole | None = Field(default=None, ge=0)
    min_p: _Number | None = Field(default=None, ge=0, le=1)
    frequency_penalty: _Number | None = Field(default=None, ge=-2, le=2)
    presence_penalty: _Number | None = Field(default=None, ge=-2, le=2)
    repetition_penalty: _Number | None = Field(default=None, gt=0, le=10)
    logit_bias: dict[str, _Number] | None = None
    seed: _Whole | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: _Words | list[_Words] | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    json_schema: Schema | None = Field(default=None, description="As llama.cpp has it")
    grammar: Any = None
    guided_json: Schema | None = None
    guided_regex: _Words | None = None
    guided_choice: list[_Words] | None = None
    guided_grammar: _Words | None = Field(default=None, description="In llguidance's dialect of Lark")


class ChatRequest(GenerationOptions):
    """Of /v1/chat/completions."""

    model_config = _shown({"messages": [{"role": "user", "content": "What is the capital of France?"}]})

    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_completion_tokens: _Whole | None = Field(default=None, ge=1)
    logprobs: StrictBool | None = None
    store: StrictBool | None = None
    tools: Annotated[list[DeclaredTool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: StrictBool | None = True
    enable_thinking: StrictBool | None = None
    chat_template_kwargs: TemplateArguments | None = None
    thinking: Thinking | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    return_reasoning: StrictBool | None = True
    top_logprobs: _Whole | None = Field(default=None, ge=0, le=MAX_LOGPROBS)
    functions: list[Any] | None = None
    function_call: Any = None
    modalities: list[str] | None = None

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


class CompletionRequest(GenerationOptions):
    """Of /v1/completions: a text that goes on, with nothing around it that would make a conversation of it."""

    model_config = _shown({"prompt": "The capital of France is"})

    prompt: Annotated[Annotated[_Words, Tag(WORDS)] | _Prompts, _BY_KIND]
    echo: StrictBool | None = False
    suffix: _Words | None = None
    best_of: _Whole | None = None
    logprobs: _Whole | None = Field(default=None, ge=0, le=MAX_LOGPROBS)


class EmbeddingRequest(BaseModel):
    """Of /v1/embeddings."""

    model_config = _shown({"input": ["What is the capital of France?", "The bread is stale."]})

    input: Annotated[Annotated[_Words, Tag(WORDS)] | _Texts, _BY_KIND] = Field(
        description="Texts: tokens would be those of another tokenizer"
    )
    model: _Name = ""
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: _Whole | None = Field(default=None, ge=1)


class SpeechRequest(BaseModel):
    """Of /v1/audio/speech."""

    model_config = _shown({"input": "Hello.", "response_format": "wav"})

    input: str = Field(min_length=1, max_length=4096)
    model: _Name = ""
    voice: Any = Field(default=None, description="Any name: there is one voice, that of voice.voice")
    speed: _Number | None = Field(default=1.0, ge=0.25, le=4)
    stream_format: Literal["audio", "sse"] | None = "audio"
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
