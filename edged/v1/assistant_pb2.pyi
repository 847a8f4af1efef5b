from edged.v1 import message_pb2 as _message_pb2
from edged.v1 import turn_pb2 as _turn_pb2
from edged.v1 import voice_pb2 as _voice_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AskRequest(_message.Message):
    __slots__ = ("conversation_id", "parts", "model", "sampling", "enable_thinking", "system_prompt", "output", "max_reasoning_tokens", "tools", "tool_choice", "parallel_tool_calls", "incognito")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    ENABLE_THINKING_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_PROMPT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    MAX_REASONING_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    TOOL_CHOICE_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_TOOL_CALLS_FIELD_NUMBER: _ClassVar[int]
    INCOGNITO_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    parts: _containers.RepeatedCompositeFieldContainer[_message_pb2.Part]
    model: str
    sampling: _message_pb2.SamplingOptions
    enable_thinking: bool
    system_prompt: str
    output: _message_pb2.OutputFormat
    max_reasoning_tokens: int
    tools: _containers.RepeatedCompositeFieldContainer[_message_pb2.Tool]
    tool_choice: _message_pb2.ToolChoice
    parallel_tool_calls: bool
    incognito: bool
    def __init__(self, conversation_id: _Optional[str] = ..., parts: _Optional[_Iterable[_Union[_message_pb2.Part, _Mapping]]] = ..., model: _Optional[str] = ..., sampling: _Optional[_Union[_message_pb2.SamplingOptions, _Mapping]] = ..., enable_thinking: bool = ..., system_prompt: _Optional[str] = ..., output: _Optional[_Union[_message_pb2.OutputFormat, _Mapping]] = ..., max_reasoning_tokens: _Optional[int] = ..., tools: _Optional[_Iterable[_Union[_message_pb2.Tool, _Mapping]]] = ..., tool_choice: _Optional[_Union[_message_pb2.ToolChoice, _Mapping]] = ..., parallel_tool_calls: bool = ..., incognito: bool = ...) -> None: ...

class AskResponse(_message.Message):
    __slots__ = ("started", "context_trimmed", "text_delta", "reasoning_delta", "measured", "finished", "transcribed", "tool_call_started", "tool_call_delta", "tool_returned")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_TRIMMED_FIELD_NUMBER: _ClassVar[int]
    TEXT_DELTA_FIELD_NUMBER: _ClassVar[int]
    REASONING_DELTA_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    TRANSCRIBED_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_STARTED_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_DELTA_FIELD_NUMBER: _ClassVar[int]
    TOOL_RETURNED_FIELD_NUMBER: _ClassVar[int]
    started: _turn_pb2.Started
    context_trimmed: _turn_pb2.ContextTrimmed
    text_delta: _turn_pb2.TextDelta
    reasoning_delta: _turn_pb2.ReasoningDelta
    measured: _turn_pb2.Measured
    finished: _turn_pb2.Finished
    transcribed: _turn_pb2.Transcribed
    tool_call_started: _turn_pb2.ToolCallStarted
    tool_call_delta: _turn_pb2.ToolCallDelta
    tool_returned: _turn_pb2.ToolReturned
    def __init__(self, started: _Optional[_Union[_turn_pb2.Started, _Mapping]] = ..., context_trimmed: _Optional[_Union[_turn_pb2.ContextTrimmed, _Mapping]] = ..., text_delta: _Optional[_Union[_turn_pb2.TextDelta, _Mapping]] = ..., reasoning_delta: _Optional[_Union[_turn_pb2.ReasoningDelta, _Mapping]] = ..., measured: _Optional[_Union[_turn_pb2.Measured, _Mapping]] = ..., finished: _Optional[_Union[_turn_pb2.Finished, _Mapping]] = ..., transcribed: _Optional[_Union[_turn_pb2.Transcribed, _Mapping]] = ..., tool_call_started: _Optional[_Union[_turn_pb2.ToolCallStarted, _Mapping]] = ..., tool_call_delta: _Optional[_Union[_turn_pb2.ToolCallDelta, _Mapping]] = ..., tool_returned: _Optional[_Union[_turn_pb2.ToolReturned, _Mapping]] = ...) -> None: ...

class StopThinkingRequest(_message.Message):
    __slots__ = ("answer_message_id",)
    ANSWER_MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    answer_message_id: str
    def __init__(self, answer_message_id: _Optional[str] = ...) -> None: ...

class StopThinkingResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ConverseRequest(_message.Message):
    __slots__ = ("open", "audio", "button", "stop", "playback", "end_of_speech")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    BUTTON_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    PLAYBACK_FIELD_NUMBER: _ClassVar[int]
    END_OF_SPEECH_FIELD_NUMBER: _ClassVar[int]
    open: _voice_pb2.OpenConversation
    audio: _voice_pb2.SpokenInput
    button: _voice_pb2.Button
    stop: _voice_pb2.Stop
    playback: _voice_pb2.PlaybackReport
    end_of_speech: _voice_pb2.EndOfSpeech
    def __init__(self, open: _Optional[_Union[_voice_pb2.OpenConversation, _Mapping]] = ..., audio: _Optional[_Union[_voice_pb2.SpokenInput, _Mapping]] = ..., button: _Optional[_Union[_voice_pb2.Button, _Mapping]] = ..., stop: _Optional[_Union[_voice_pb2.Stop, _Mapping]] = ..., playback: _Optional[_Union[_voice_pb2.PlaybackReport, _Mapping]] = ..., end_of_speech: _Optional[_Union[_voice_pb2.EndOfSpeech, _Mapping]] = ...) -> None: ...

class ConverseResponse(_message.Message):
    __slots__ = ("sequence", "opened", "event")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    opened: _voice_pb2.ConversationOpened
    event: _voice_pb2.VoiceEvent
    def __init__(self, sequence: _Optional[int] = ..., opened: _Optional[_Union[_voice_pb2.ConversationOpened, _Mapping]] = ..., event: _Optional[_Union[_voice_pb2.VoiceEvent, _Mapping]] = ...) -> None: ...

class WatchEventsRequest(_message.Message):
    __slots__ = ("listen",)
    LISTEN_FIELD_NUMBER: _ClassVar[int]
    listen: bool
    def __init__(self, listen: bool = ...) -> None: ...

class WatchEventsResponse(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: _voice_pb2.VoiceEvent
    def __init__(self, event: _Optional[_Union[_voice_pb2.VoiceEvent, _Mapping]] = ...) -> None: ...

class SetMicrophoneRequest(_message.Message):
    __slots__ = ("muted",)
    MUTED_FIELD_NUMBER: _ClassVar[int]
    muted: bool
    def __init__(self, muted: bool = ...) -> None: ...

class SetMicrophoneResponse(_message.Message):
    __slots__ = ("muted",)
    MUTED_FIELD_NUMBER: _ClassVar[int]
    muted: bool
    def __init__(self, muted: bool = ...) -> None: ...
