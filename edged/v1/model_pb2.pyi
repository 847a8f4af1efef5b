from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Model(_message.Message):
    __slots__ = ("name", "model_type", "parameters", "context_length", "precision", "disk_bytes", "license", "is_default", "is_loaded", "is_demo", "reads", "thinks", "built_at_seconds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_TYPE_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_LENGTH_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    LICENSE_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    IS_LOADED_FIELD_NUMBER: _ClassVar[int]
    IS_DEMO_FIELD_NUMBER: _ClassVar[int]
    READS_FIELD_NUMBER: _ClassVar[int]
    THINKS_FIELD_NUMBER: _ClassVar[int]
    BUILT_AT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    model_type: str
    parameters: int
    context_length: int
    precision: str
    disk_bytes: int
    license: str
    is_default: bool
    is_loaded: bool
    is_demo: bool
    reads: _containers.RepeatedScalarFieldContainer[str]
    thinks: bool
    built_at_seconds: int
    def __init__(self, name: _Optional[str] = ..., model_type: _Optional[str] = ..., parameters: _Optional[int] = ..., context_length: _Optional[int] = ..., precision: _Optional[str] = ..., disk_bytes: _Optional[int] = ..., license: _Optional[str] = ..., is_default: bool = ..., is_loaded: bool = ..., is_demo: bool = ..., reads: _Optional[_Iterable[str]] = ..., thinks: bool = ..., built_at_seconds: _Optional[int] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...
