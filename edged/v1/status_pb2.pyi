import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DaemonState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DAEMON_STATE_UNSPECIFIED: _ClassVar[DaemonState]
    DAEMON_STATE_LOADING: _ClassVar[DaemonState]
    DAEMON_STATE_SERVING: _ClassVar[DaemonState]
    DAEMON_STATE_DRAINING: _ClassVar[DaemonState]

class MicrophoneState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MICROPHONE_STATE_UNSPECIFIED: _ClassVar[MicrophoneState]
    MICROPHONE_STATE_CLOSED: _ClassVar[MicrophoneState]
    MICROPHONE_STATE_OPEN: _ClassVar[MicrophoneState]
    MICROPHONE_STATE_MUTED: _ClassVar[MicrophoneState]
    MICROPHONE_STATE_LOST: _ClassVar[MicrophoneState]

class CameraState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAMERA_STATE_UNSPECIFIED: _ClassVar[CameraState]
    CAMERA_STATE_OFF: _ClassVar[CameraState]
    CAMERA_STATE_CLOSED: _ClassVar[CameraState]
    CAMERA_STATE_OPEN: _ClassVar[CameraState]
    CAMERA_STATE_LOST: _ClassVar[CameraState]
DAEMON_STATE_UNSPECIFIED: DaemonState
DAEMON_STATE_LOADING: DaemonState
DAEMON_STATE_SERVING: DaemonState
DAEMON_STATE_DRAINING: DaemonState
MICROPHONE_STATE_UNSPECIFIED: MicrophoneState
MICROPHONE_STATE_CLOSED: MicrophoneState
MICROPHONE_STATE_OPEN: MicrophoneState
MICROPHONE_STATE_MUTED: MicrophoneState
MICROPHONE_STATE_LOST: MicrophoneState
CAMERA_STATE_UNSPECIFIED: CameraState
CAMERA_STATE_OFF: CameraState
CAMERA_STATE_CLOSED: CameraState
CAMERA_STATE_OPEN: CameraState
CAMERA_STATE_LOST: CameraState

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("version", "state", "started_at", "listening_on", "engine", "store", "privacy", "voice", "camera", "tools")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    LISTENING_ON_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    PRIVACY_FIELD_NUMBER: _ClassVar[int]
    VOICE_FIELD_NUMBER: _ClassVar[int]
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    version: str
    state: DaemonState
    started_at: _timestamp_pb2.Timestamp
    listening_on: _containers.RepeatedScalarFieldContainer[str]
    engine: EngineStatus
    store: StoreStatus
    privacy: PrivacyStatus
    voice: VoiceStatus
    camera: CameraStatus
    tools: _containers.RepeatedCompositeFieldContainer[ToolStatus]
    def __init__(self, version: _Optional[str] = ..., state: _Optional[_Union[DaemonState, str]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., listening_on: _Optional[_Iterable[str]] = ..., engine: _Optional[_Union[EngineStatus, _Mapping]] = ..., store: _Optional[_Union[StoreStatus, _Mapping]] = ..., privacy: _Optional[_Union[PrivacyStatus, _Mapping]] = ..., voice: _Optional[_Union[VoiceStatus, _Mapping]] = ..., camera: _Optional[_Union[CameraStatus, _Mapping]] = ..., tools: _Optional[_Iterable[_Union[ToolStatus, _Mapping]]] = ...) -> None: ...

class ToolStatus(_message.Message):
    __slots__ = ("name", "is_on")
    NAME_FIELD_NUMBER: _ClassVar[int]
    IS_ON_FIELD_NUMBER: _ClassVar[int]
    name: str
    is_on: bool
    def __init__(self, name: _Optional[str] = ..., is_on: bool = ...) -> None: ...

class EngineStatus(_message.Message):
    __slots__ = ("model", "device", "context_length", "active_requests", "queued_requests", "max_queued_requests", "cached_conversations", "kv_cache_bytes", "kv_cache_limit_bytes", "load_seconds", "expert_load")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_LENGTH_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    MAX_QUEUED_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    CACHED_CONVERSATIONS_FIELD_NUMBER: _ClassVar[int]
    KV_CACHE_BYTES_FIELD_NUMBER: _ClassVar[int]
    KV_CACHE_LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOAD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    EXPERT_LOAD_FIELD_NUMBER: _ClassVar[int]
    model: str
    device: str
    context_length: int
    active_requests: int
    queued_requests: int
    max_queued_requests: int
    cached_conversations: int
    kv_cache_bytes: int
    kv_cache_limit_bytes: int
    load_seconds: float
    expert_load: _containers.RepeatedCompositeFieldContainer[LayerLoad]
    def __init__(self, model: _Optional[str] = ..., device: _Optional[str] = ..., context_length: _Optional[int] = ..., active_requests: _Optional[int] = ..., queued_requests: _Optional[int] = ..., max_queued_requests: _Optional[int] = ..., cached_conversations: _Optional[int] = ..., kv_cache_bytes: _Optional[int] = ..., kv_cache_limit_bytes: _Optional[int] = ..., load_seconds: _Optional[float] = ..., expert_load: _Optional[_Iterable[_Union[LayerLoad, _Mapping]]] = ...) -> None: ...

class LayerLoad(_message.Message):
    __slots__ = ("experts",)
    EXPERTS_FIELD_NUMBER: _ClassVar[int]
    experts: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, experts: _Optional[_Iterable[float]] = ...) -> None: ...

class StoreStatus(_message.Message):
    __slots__ = ("database", "encrypted", "key_source", "database_bytes", "conversations", "messages", "protection", "retention", "oldest_message_at", "attachments", "attachment_bytes", "voiceprints", "devices", "api_keys", "incognito_conversations")
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTED_FIELD_NUMBER: _ClassVar[int]
    KEY_SOURCE_FIELD_NUMBER: _ClassVar[int]
    DATABASE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CONVERSATIONS_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    PROTECTION_FIELD_NUMBER: _ClassVar[int]
    RETENTION_FIELD_NUMBER: _ClassVar[int]
    OLDEST_MESSAGE_AT_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENTS_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    VOICEPRINTS_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    API_KEYS_FIELD_NUMBER: _ClassVar[int]
    INCOGNITO_CONVERSATIONS_FIELD_NUMBER: _ClassVar[int]
    database: str
    encrypted: bool
    key_source: str
    database_bytes: int
    conversations: int
    messages: int
    protection: str
    retention: str
    oldest_message_at: _timestamp_pb2.Timestamp
    attachments: int
    attachment_bytes: int
    voiceprints: int
    devices: int
    api_keys: int
    incognito_conversations: int
    def __init__(self, database: _Optional[str] = ..., encrypted: bool = ..., key_source: _Optional[str] = ..., database_bytes: _Optional[int] = ..., conversations: _Optional[int] = ..., messages: _Optional[int] = ..., protection: _Optional[str] = ..., retention: _Optional[str] = ..., oldest_message_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attachments: _Optional[int] = ..., attachment_bytes: _Optional[int] = ..., voiceprints: _Optional[int] = ..., devices: _Optional[int] = ..., api_keys: _Optional[int] = ..., incognito_conversations: _Optional[int] = ...) -> None: ...

class PrivacyStatus(_message.Message):
    __slots__ = ("enforcements", "refused_connections", "content_logging", "refusals")
    ENFORCEMENTS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_LOGGING_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    enforcements: _containers.RepeatedCompositeFieldContainer[Enforcement]
    refused_connections: int
    content_logging: bool
    refusals: _containers.RepeatedCompositeFieldContainer[Refusal]
    def __init__(self, enforcements: _Optional[_Iterable[_Union[Enforcement, _Mapping]]] = ..., refused_connections: _Optional[int] = ..., content_logging: bool = ..., refusals: _Optional[_Iterable[_Union[Refusal, _Mapping]]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("call", "count")
    CALL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    call: str
    count: int
    def __init__(self, call: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class Enforcement(_message.Message):
    __slots__ = ("name", "active", "detail")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    name: str
    active: bool
    detail: str
    def __init__(self, name: _Optional[str] = ..., active: bool = ..., detail: _Optional[str] = ...) -> None: ...

class VoiceStatus(_message.Message):
    __slots__ = ("microphone", "obstacle", "overruns", "underruns", "reconnects", "volume_percent")
    MICROPHONE_FIELD_NUMBER: _ClassVar[int]
    OBSTACLE_FIELD_NUMBER: _ClassVar[int]
    OVERRUNS_FIELD_NUMBER: _ClassVar[int]
    UNDERRUNS_FIELD_NUMBER: _ClassVar[int]
    RECONNECTS_FIELD_NUMBER: _ClassVar[int]
    VOLUME_PERCENT_FIELD_NUMBER: _ClassVar[int]
    microphone: MicrophoneState
    obstacle: str
    overruns: int
    underruns: int
    reconnects: int
    volume_percent: int
    def __init__(self, microphone: _Optional[_Union[MicrophoneState, str]] = ..., obstacle: _Optional[str] = ..., overruns: _Optional[int] = ..., underruns: _Optional[int] = ..., reconnects: _Optional[int] = ..., volume_percent: _Optional[int] = ...) -> None: ...

class CameraStatus(_message.Message):
    __slots__ = ("state", "source", "obstacle")
    STATE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    OBSTACLE_FIELD_NUMBER: _ClassVar[int]
    state: CameraState
    source: str
    obstacle: str
    def __init__(self, state: _Optional[_Union[CameraState, str]] = ..., source: _Optional[str] = ..., obstacle: _Optional[str] = ...) -> None: ...
