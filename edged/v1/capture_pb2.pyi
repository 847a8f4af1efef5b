import datetime

from edged.v1 import status_pb2 as _status_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Frame(_message.Message):
    __slots__ = ("jpeg", "taken_at")
    JPEG_FIELD_NUMBER: _ClassVar[int]
    TAKEN_AT_FIELD_NUMBER: _ClassVar[int]
    jpeg: bytes
    taken_at: _timestamp_pb2.Timestamp
    def __init__(self, jpeg: _Optional[bytes] = ..., taken_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SnapshotRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SnapshotResponse(_message.Message):
    __slots__ = ("frame",)
    FRAME_FIELD_NUMBER: _ClassVar[int]
    frame: Frame
    def __init__(self, frame: _Optional[_Union[Frame, _Mapping]] = ...) -> None: ...

class StreamFramesRequest(_message.Message):
    __slots__ = ("max_per_second",)
    MAX_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    max_per_second: float
    def __init__(self, max_per_second: _Optional[float] = ...) -> None: ...

class StreamFramesResponse(_message.Message):
    __slots__ = ("frame",)
    FRAME_FIELD_NUMBER: _ClassVar[int]
    frame: Frame
    def __init__(self, frame: _Optional[_Union[Frame, _Mapping]] = ...) -> None: ...

class GetCameraRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetCameraResponse(_message.Message):
    __slots__ = ("camera",)
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    camera: _status_pb2.CameraStatus
    def __init__(self, camera: _Optional[_Union[_status_pb2.CameraStatus, _Mapping]] = ...) -> None: ...

class WatchCameraRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchCameraResponse(_message.Message):
    __slots__ = ("camera",)
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    camera: _status_pb2.CameraStatus
    def __init__(self, camera: _Optional[_Union[_status_pb2.CameraStatus, _Mapping]] = ...) -> None: ...

class SetCameraRequest(_message.Message):
    __slots__ = ("off",)
    OFF_FIELD_NUMBER: _ClassVar[int]
    off: bool
    def __init__(self, off: bool = ...) -> None: ...

class SetCameraResponse(_message.Message):
    __slots__ = ("camera",)
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    camera: _status_pb2.CameraStatus
    def __init__(self, camera: _Optional[_Union[_status_pb2.CameraStatus, _Mapping]] = ...) -> None: ...
