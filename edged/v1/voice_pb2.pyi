from edged.v1 import turn_pb2 as _turn_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VoiceMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VOICE_MODE_UNSPECIFIED: _ClassVar[VoiceMode]
    VOICE_MODE_WAKE_WORD: _ClassVar[VoiceMode]
    VOICE_MODE_OPEN: _ClassVar[VoiceMode]
    VOICE_MODE_PUSH_TO_TALK: _ClassVar[VoiceMode]

class AudioEncoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUDIO_ENCODING_UNSPECIFIED: _ClassVar[AudioEncoding]
    AUDIO_ENCODING_PCM16: _ClassVar[AudioEncoding]
    AUDIO_ENCODING_OPUS: _ClassVar[AudioEncoding]

class VoiceState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VOICE_STATE_UNSPECIFIED: _ClassVar[VoiceState]
    VOICE_STATE_WAITING: _ClassVar[VoiceState]
    VOICE_STATE_LISTENING: _ClassVar[VoiceState]
    VOICE_STATE_THINKING: _ClassVar[VoiceState]
    VOICE_STATE_SPEAKING: _ClassVar[VoiceState]
VOICE_MODE_UNSPECIFIED: VoiceMode
VOICE_MODE_WAKE_WORD: VoiceMode
VOICE_MODE_OPEN: VoiceMode
VOICE_MODE_PUSH_TO_TALK: VoiceMode
AUDIO_ENCODING_UNSPECIFIED: AudioEncoding
AUDIO_ENCODING_PCM16: AudioEncoding
AUDIO_ENCODING_OPUS: AudioEncoding
VOICE_STATE_UNSPECIFIED: VoiceState
VOICE_STATE_WAITING: VoiceState
VOICE_STATE_LISTENING: VoiceState
VOICE_STATE_THINKING: VoiceState
VOICE_STATE_SPEAKING: VoiceState

class OpenConversation(_message.Message):
    __slots__ = ("session_id", "last_sequence", "conversation_id", "model", "mode", "encoding", "is_echo_cancelled", "incognito")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    IS_ECHO_CANCELLED_FIELD_NUMBER: _ClassVar[int]
    INCOGNITO_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    last_sequence: int
    conversation_id: str
    model: str
    mode: VoiceMode
    encoding: AudioEncoding
    is_echo_cancelled: bool
    incognito: bool
    def __init__(self, session_id: _Optional[str] = ..., last_sequence: _Optional[int] = ..., conversation_id: _Optional[str] = ..., model: _Optional[str] = ..., mode: _Optional[_Union[VoiceMode, str]] = ..., encoding: _Optional[_Union[AudioEncoding, str]] = ..., is_echo_cancelled: bool = ..., incognito: bool = ...) -> None: ...

class ConversationOpened(_message.Message):
    __slots__ = ("session_id", "taken", "sample_rate")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    taken: int
    sample_rate: int
    def __init__(self, session_id: _Optional[str] = ..., taken: _Optional[int] = ..., sample_rate: _Optional[int] = ...) -> None: ...

class SpokenInput(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class Button(_message.Message):
    __slots__ = ("is_pressed",)
    IS_PRESSED_FIELD_NUMBER: _ClassVar[int]
    is_pressed: bool
    def __init__(self, is_pressed: bool = ...) -> None: ...

class Stop(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EndOfSpeech(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PlaybackReport(_message.Message):
    __slots__ = ("played_seconds",)
    PLAYED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    played_seconds: float
    def __init__(self, played_seconds: _Optional[float] = ...) -> None: ...

class VoiceEvent(_message.Message):
    __slots__ = ("state_changed", "wake_detected", "speech_began", "speech_ended", "partial_transcript", "final_transcript", "speaking", "spoken_audio", "interrupted", "volume_changed", "turn_timings", "turn_failed", "started", "transcribed", "context_trimmed", "text_delta", "reasoning_delta", "measured", "finished", "emotion_heard", "tool_call_started", "tool_call_delta", "tool_returned")
    STATE_CHANGED_FIELD_NUMBER: _ClassVar[int]
    WAKE_DETECTED_FIELD_NUMBER: _ClassVar[int]
    SPEECH_BEGAN_FIELD_NUMBER: _ClassVar[int]
    SPEECH_ENDED_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_TRANSCRIPT_FIELD_NUMBER: _ClassVar[int]
    FINAL_TRANSCRIPT_FIELD_NUMBER: _ClassVar[int]
    SPEAKING_FIELD_NUMBER: _ClassVar[int]
    SPOKEN_AUDIO_FIELD_NUMBER: _ClassVar[int]
    INTERRUPTED_FIELD_NUMBER: _ClassVar[int]
    VOLUME_CHANGED_FIELD_NUMBER: _ClassVar[int]
    TURN_TIMINGS_FIELD_NUMBER: _ClassVar[int]
    TURN_FAILED_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    TRANSCRIBED_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_TRIMMED_FIELD_NUMBER: _ClassVar[int]
    TEXT_DELTA_FIELD_NUMBER: _ClassVar[int]
    REASONING_DELTA_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    EMOTION_HEARD_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_STARTED_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_DELTA_FIELD_NUMBER: _ClassVar[int]
    TOOL_RETURNED_FIELD_NUMBER: _ClassVar[int]
    state_changed: StateChanged
    wake_detected: WakeDetected
    speech_began: SpeechBegan
    speech_ended: SpeechEnded
    partial_transcript: PartialTranscript
    final_transcript: FinalTranscript
    speaking: Speaking
    spoken_audio: SpokenAudio
    interrupted: Interrupted
    volume_changed: VolumeChanged
    turn_timings: TurnTimings
    turn_failed: TurnFailed
    started: _turn_pb2.Started
    transcribed: _turn_pb2.Transcribed
    context_trimmed: _turn_pb2.ContextTrimmed
    text_delta: _turn_pb2.TextDelta
    reasoning_delta: _turn_pb2.ReasoningDelta
    measured: _turn_pb2.Measured
    finished: _turn_pb2.Finished
    emotion_heard: EmotionHeard
    tool_call_started: _turn_pb2.ToolCallStarted
    tool_call_delta: _turn_pb2.ToolCallDelta
    tool_returned: _turn_pb2.ToolReturned
    def __init__(self, state_changed: _Optional[_Union[StateChanged, _Mapping]] = ..., wake_detected: _Optional[_Union[WakeDetected, _Mapping]] = ..., speech_began: _Optional[_Union[SpeechBegan, _Mapping]] = ..., speech_ended: _Optional[_Union[SpeechEnded, _Mapping]] = ..., partial_transcript: _Optional[_Union[PartialTranscript, _Mapping]] = ..., final_transcript: _Optional[_Union[FinalTranscript, _Mapping]] = ..., speaking: _Optional[_Union[Speaking, _Mapping]] = ..., spoken_audio: _Optional[_Union[SpokenAudio, _Mapping]] = ..., interrupted: _Optional[_Union[Interrupted, _Mapping]] = ..., volume_changed: _Optional[_Union[VolumeChanged, _Mapping]] = ..., turn_timings: _Optional[_Union[TurnTimings, _Mapping]] = ..., turn_failed: _Optional[_Union[TurnFailed, _Mapping]] = ..., started: _Optional[_Union[_turn_pb2.Started, _Mapping]] = ..., transcribed: _Optional[_Union[_turn_pb2.Transcribed, _Mapping]] = ..., context_trimmed: _Optional[_Union[_turn_pb2.ContextTrimmed, _Mapping]] = ..., text_delta: _Optional[_Union[_turn_pb2.TextDelta, _Mapping]] = ..., reasoning_delta: _Optional[_Union[_turn_pb2.ReasoningDelta, _Mapping]] = ..., measured: _Optional[_Union[_turn_pb2.Measured, _Mapping]] = ..., finished: _Optional[_Union[_turn_pb2.Finished, _Mapping]] = ..., emotion_heard: _Optional[_Union[EmotionHeard, _Mapping]] = ..., tool_call_started: _Optional[_Union[_turn_pb2.ToolCallStarted, _Mapping]] = ..., tool_call_delta: _Optional[_Union[_turn_pb2.ToolCallDelta, _Mapping]] = ..., tool_returned: _Optional[_Union[_turn_pb2.ToolReturned, _Mapping]] = ...) -> None: ...

class StateChanged(_message.Message):
    __slots__ = ("state",)
    STATE_FIELD_NUMBER: _ClassVar[int]
    state: VoiceState
    def __init__(self, state: _Optional[_Union[VoiceState, str]] = ...) -> None: ...

class WakeDetected(_message.Message):
    __slots__ = ("phrase",)
    PHRASE_FIELD_NUMBER: _ClassVar[int]
    phrase: str
    def __init__(self, phrase: _Optional[str] = ...) -> None: ...

class SpeechBegan(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SpeechEnded(_message.Message):
    __slots__ = ("seconds",)
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    seconds: float
    def __init__(self, seconds: _Optional[float] = ...) -> None: ...

class PartialTranscript(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class FinalTranscript(_message.Message):
    __slots__ = ("text", "speaker")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    text: str
    speaker: str
    def __init__(self, text: _Optional[str] = ..., speaker: _Optional[str] = ...) -> None: ...

class EmotionHeard(_message.Message):
    __slots__ = ("emotion",)
    EMOTION_FIELD_NUMBER: _ClassVar[int]
    emotion: str
    def __init__(self, emotion: _Optional[str] = ...) -> None: ...

class Speaking(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class SpokenAudio(_message.Message):
    __slots__ = ("data", "sample_rate", "is_last")
    DATA_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_FIELD_NUMBER: _ClassVar[int]
    IS_LAST_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    sample_rate: int
    is_last: bool
    def __init__(self, data: _Optional[bytes] = ..., sample_rate: _Optional[int] = ..., is_last: bool = ...) -> None: ...

class Interrupted(_message.Message):
    __slots__ = ("heard",)
    HEARD_FIELD_NUMBER: _ClassVar[int]
    heard: str
    def __init__(self, heard: _Optional[str] = ...) -> None: ...

class VolumeChanged(_message.Message):
    __slots__ = ("percent",)
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    percent: int
    def __init__(self, percent: _Optional[int] = ...) -> None: ...

class TurnTimings(_message.Message):
    __slots__ = ("endpoint_ms", "transcript_ms", "first_token_ms", "first_audio_ms")
    ENDPOINT_MS_FIELD_NUMBER: _ClassVar[int]
    TRANSCRIPT_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_TOKEN_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_AUDIO_MS_FIELD_NUMBER: _ClassVar[int]
    endpoint_ms: float
    transcript_ms: float
    first_token_ms: float
    first_audio_ms: float
    def __init__(self, endpoint_ms: _Optional[float] = ..., transcript_ms: _Optional[float] = ..., first_token_ms: _Optional[float] = ..., first_audio_ms: _Optional[float] = ...) -> None: ...

class TurnFailed(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
