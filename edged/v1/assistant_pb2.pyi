from edged.v1 import message_pb2 as _message_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AskRequest(_message.Message):
    __slots__ = ("conversation_id", "parts", "model", "sampling", "enable_thinking", "system_prompt")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    ENABLE_THINKING_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_PROMPT_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    parts: _containers.RepeatedCompositeFieldContainer[_message_pb2.Part]
    model: str
    sampling: _message_pb2.SamplingOptions
    enable_thinking: bool
    system_prompt: str
    def __init__(self, conversation_id: _Optional[str] = ..., parts: _Optional[_Iterable[_Union[_message_pb2.Part, _Mapping]]] = ..., model: _Optional[str] = ..., sampling: _Optional[_Union[_message_pb2.SamplingOptions, _Mapping]] = ..., enable_thinking: bool = ..., system_prompt: _Optional[str] = ...) -> None: ...

class AskResponse(_message.Message):
    __slots__ = ("started", "context_trimmed", "text_delta", "reasoning_delta", "measured", "finished")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_TRIMMED_FIELD_NUMBER: _ClassVar[int]
    TEXT_DELTA_FIELD_NUMBER: _ClassVar[int]
    REASONING_DELTA_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    started: Started
    context_trimmed: ContextTrimmed
    text_delta: TextDelta
    reasoning_delta: ReasoningDelta
    measured: Measured
    finished: Finished
    def __init__(self, started: _Optional[_Union[Started, _Mapping]] = ..., context_trimmed: _Optional[_Union[ContextTrimmed, _Mapping]] = ..., text_delta: _Optional[_Union[TextDelta, _Mapping]] = ..., reasoning_delta: _Optional[_Union[ReasoningDelta, _Mapping]] = ..., measured: _Optional[_Union[Measured, _Mapping]] = ..., finished: _Optional[_Union[Finished, _Mapping]] = ...) -> None: ...

class Started(_message.Message):
    __slots__ = ("conversation_id", "user_message_id", "answer_message_id", "model")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    USER_MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    ANSWER_MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    user_message_id: str
    answer_message_id: str
    model: str
    def __init__(self, conversation_id: _Optional[str] = ..., user_message_id: _Optional[str] = ..., answer_message_id: _Optional[str] = ..., model: _Optional[str] = ...) -> None: ...

class ContextTrimmed(_message.Message):
    __slots__ = ("dropped_messages",)
    DROPPED_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    dropped_messages: int
    def __init__(self, dropped_messages: _Optional[int] = ...) -> None: ...

class TextDelta(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class ReasoningDelta(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class Measured(_message.Message):
    __slots__ = ("usage", "metrics")
    USAGE_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    usage: _message_pb2.Usage
    metrics: _message_pb2.Metrics
    def __init__(self, usage: _Optional[_Union[_message_pb2.Usage, _Mapping]] = ..., metrics: _Optional[_Union[_message_pb2.Metrics, _Mapping]] = ...) -> None: ...

class Finished(_message.Message):
    __slots__ = ("finish_reason",)
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    finish_reason: _message_pb2.FinishReason
    def __init__(self, finish_reason: _Optional[_Union[_message_pb2.FinishReason, str]] = ...) -> None: ...
