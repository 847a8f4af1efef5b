import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Scope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCOPE_UNSPECIFIED: _ClassVar[Scope]
    SCOPE_CHAT: _ClassVar[Scope]
    SCOPE_VOICE: _ClassVar[Scope]
    SCOPE_CAMERA: _ClassVar[Scope]
    SCOPE_HISTORY: _ClassVar[Scope]
    SCOPE_HISTORY_ALL: _ClassVar[Scope]
    SCOPE_ADMIN: _ClassVar[Scope]

class DeviceKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEVICE_KIND_UNSPECIFIED: _ClassVar[DeviceKind]
    DEVICE_KIND_PROGRAM: _ClassVar[DeviceKind]
    DEVICE_KIND_BROWSER: _ClassVar[DeviceKind]
    DEVICE_KIND_API_KEY: _ClassVar[DeviceKind]

class PairingMeans(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PAIRING_MEANS_UNSPECIFIED: _ClassVar[PairingMeans]
    PAIRING_MEANS_CODE: _ClassVar[PairingMeans]
    PAIRING_MEANS_SECRET: _ClassVar[PairingMeans]
SCOPE_UNSPECIFIED: Scope
SCOPE_CHAT: Scope
SCOPE_VOICE: Scope
SCOPE_CAMERA: Scope
SCOPE_HISTORY: Scope
SCOPE_HISTORY_ALL: Scope
SCOPE_ADMIN: Scope
DEVICE_KIND_UNSPECIFIED: DeviceKind
DEVICE_KIND_PROGRAM: DeviceKind
DEVICE_KIND_BROWSER: DeviceKind
DEVICE_KIND_API_KEY: DeviceKind
PAIRING_MEANS_UNSPECIFIED: PairingMeans
PAIRING_MEANS_CODE: PairingMeans
PAIRING_MEANS_SECRET: PairingMeans

class Device(_message.Message):
    __slots__ = ("id", "name", "kind", "person", "scopes", "created_at", "last_seen_at", "expires_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    kind: DeviceKind
    person: str
    scopes: _containers.RepeatedScalarFieldContainer[Scope]
    created_at: _timestamp_pb2.Timestamp
    last_seen_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., kind: _Optional[_Union[DeviceKind, str]] = ..., person: _Optional[str] = ..., scopes: _Optional[_Iterable[_Union[Scope, str]]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_seen_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class OpenPairingRequest(_message.Message):
    __slots__ = ("scopes", "person", "expires_at")
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    scopes: _containers.RepeatedScalarFieldContainer[Scope]
    person: str
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, scopes: _Optional[_Iterable[_Union[Scope, str]]] = ..., person: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class OpenPairingResponse(_message.Message):
    __slots__ = ("pairing_id", "code", "link", "secret", "fingerprint", "addresses", "expires_at")
    PAIRING_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    LINK_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    pairing_id: str
    code: str
    link: str
    secret: str
    fingerprint: str
    addresses: _containers.RepeatedScalarFieldContainer[str]
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, pairing_id: _Optional[str] = ..., code: _Optional[str] = ..., link: _Optional[str] = ..., secret: _Optional[str] = ..., fingerprint: _Optional[str] = ..., addresses: _Optional[_Iterable[str]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WatchPairingRequest(_message.Message):
    __slots__ = ("pairing_id", "closes")
    PAIRING_ID_FIELD_NUMBER: _ClassVar[int]
    CLOSES_FIELD_NUMBER: _ClassVar[int]
    pairing_id: str
    closes: bool
    def __init__(self, pairing_id: _Optional[str] = ..., closes: bool = ...) -> None: ...

class WatchPairingResponse(_message.Message):
    __slots__ = ("candidate", "end")
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    candidate: PairingCandidate
    end: PairingEnd
    def __init__(self, candidate: _Optional[_Union[PairingCandidate, _Mapping]] = ..., end: _Optional[_Union[PairingEnd, _Mapping]] = ...) -> None: ...

class PairingCandidate(_message.Message):
    __slots__ = ("short_string", "device_name", "kind", "address")
    SHORT_STRING_FIELD_NUMBER: _ClassVar[int]
    DEVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    short_string: str
    device_name: str
    kind: DeviceKind
    address: str
    def __init__(self, short_string: _Optional[str] = ..., device_name: _Optional[str] = ..., kind: _Optional[_Union[DeviceKind, str]] = ..., address: _Optional[str] = ...) -> None: ...

class PairingEnd(_message.Message):
    __slots__ = ("device", "reason")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    device: Device
    reason: str
    def __init__(self, device: _Optional[_Union[Device, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class ConfirmPairingRequest(_message.Message):
    __slots__ = ("pairing_id", "short_string", "is_the_one")
    PAIRING_ID_FIELD_NUMBER: _ClassVar[int]
    SHORT_STRING_FIELD_NUMBER: _ClassVar[int]
    IS_THE_ONE_FIELD_NUMBER: _ClassVar[int]
    pairing_id: str
    short_string: str
    is_the_one: bool
    def __init__(self, pairing_id: _Optional[str] = ..., short_string: _Optional[str] = ..., is_the_one: bool = ...) -> None: ...

class ConfirmPairingResponse(_message.Message):
    __slots__ = ("device",)
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    device: Device
    def __init__(self, device: _Optional[_Union[Device, _Mapping]] = ...) -> None: ...

class ListDevicesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListDevicesResponse(_message.Message):
    __slots__ = ("devices",)
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    devices: _containers.RepeatedCompositeFieldContainer[Device]
    def __init__(self, devices: _Optional[_Iterable[_Union[Device, _Mapping]]] = ...) -> None: ...

class UpdateDeviceRequest(_message.Message):
    __slots__ = ("device_id", "name", "person", "scopes", "expires_at")
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    name: str
    person: str
    scopes: _containers.RepeatedScalarFieldContainer[Scope]
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, device_id: _Optional[str] = ..., name: _Optional[str] = ..., person: _Optional[str] = ..., scopes: _Optional[_Iterable[_Union[Scope, str]]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class UpdateDeviceResponse(_message.Message):
    __slots__ = ("device",)
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    device: Device
    def __init__(self, device: _Optional[_Union[Device, _Mapping]] = ...) -> None: ...

class CreateApiKeyRequest(_message.Message):
    __slots__ = ("name", "scopes", "person", "expires_at")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    name: str
    scopes: _containers.RepeatedScalarFieldContainer[Scope]
    person: str
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., scopes: _Optional[_Iterable[_Union[Scope, str]]] = ..., person: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateApiKeyResponse(_message.Message):
    __slots__ = ("device", "api_key", "addresses")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    device: Device
    api_key: str
    addresses: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, device: _Optional[_Union[Device, _Mapping]] = ..., api_key: _Optional[str] = ..., addresses: _Optional[_Iterable[str]] = ...) -> None: ...

class RevokeDeviceRequest(_message.Message):
    __slots__ = ("device_id",)
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    def __init__(self, device_id: _Optional[str] = ...) -> None: ...

class RevokeDeviceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAuditEventsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAuditEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[AuditEvent]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[AuditEvent, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class AuditEvent(_message.Message):
    __slots__ = ("time", "action", "device_id", "device_name", "address")
    TIME_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    action: str
    device_id: str
    device_name: str
    address: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., action: _Optional[str] = ..., device_id: _Optional[str] = ..., device_name: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class GetOwnDeviceRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetOwnDeviceResponse(_message.Message):
    __slots__ = ("device",)
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    device: Device
    def __init__(self, device: _Optional[_Union[Device, _Mapping]] = ...) -> None: ...

class RenewCertificateRequest(_message.Message):
    __slots__ = ("certificate_request",)
    CERTIFICATE_REQUEST_FIELD_NUMBER: _ClassVar[int]
    certificate_request: bytes
    def __init__(self, certificate_request: _Optional[bytes] = ...) -> None: ...

class RenewCertificateResponse(_message.Message):
    __slots__ = ("certificate", "ca_certificate")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    CA_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    ca_certificate: bytes
    def __init__(self, certificate: _Optional[bytes] = ..., ca_certificate: _Optional[bytes] = ...) -> None: ...

class StartPairingRequest(_message.Message):
    __slots__ = ("means", "pake_message")
    MEANS_FIELD_NUMBER: _ClassVar[int]
    PAKE_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    means: PairingMeans
    pake_message: bytes
    def __init__(self, means: _Optional[_Union[PairingMeans, str]] = ..., pake_message: _Optional[bytes] = ...) -> None: ...

class StartPairingResponse(_message.Message):
    __slots__ = ("attempt_id", "pake_message")
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    PAKE_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    attempt_id: str
    pake_message: bytes
    def __init__(self, attempt_id: _Optional[str] = ..., pake_message: _Optional[bytes] = ...) -> None: ...

class ProvePairingRequest(_message.Message):
    __slots__ = ("attempt_id", "device_name", "kind", "certificate_request", "seen_fingerprint", "confirmation")
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_REQUEST_FIELD_NUMBER: _ClassVar[int]
    SEEN_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    CONFIRMATION_FIELD_NUMBER: _ClassVar[int]
    attempt_id: str
    device_name: str
    kind: DeviceKind
    certificate_request: bytes
    seen_fingerprint: bytes
    confirmation: bytes
    def __init__(self, attempt_id: _Optional[str] = ..., device_name: _Optional[str] = ..., kind: _Optional[_Union[DeviceKind, str]] = ..., certificate_request: _Optional[bytes] = ..., seen_fingerprint: _Optional[bytes] = ..., confirmation: _Optional[bytes] = ...) -> None: ...

class ProvePairingResponse(_message.Message):
    __slots__ = ("confirmation", "ca_certificate")
    CONFIRMATION_FIELD_NUMBER: _ClassVar[int]
    CA_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    confirmation: bytes
    ca_certificate: bytes
    def __init__(self, confirmation: _Optional[bytes] = ..., ca_certificate: _Optional[bytes] = ...) -> None: ...

class ClaimPairingRequest(_message.Message):
    __slots__ = ("attempt_id",)
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    attempt_id: str
    def __init__(self, attempt_id: _Optional[str] = ...) -> None: ...

class ClaimPairingResponse(_message.Message):
    __slots__ = ("device", "certificate", "grpc_address")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    GRPC_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    device: Device
    certificate: bytes
    grpc_address: str
    def __init__(self, device: _Optional[_Union[Device, _Mapping]] = ..., certificate: _Optional[bytes] = ..., grpc_address: _Optional[str] = ...) -> None: ...
