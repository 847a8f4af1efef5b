from edged.v1 import message_pb2 as _message_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Point(_message.Message):
    __slots__ = ("x", "y")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    x: float
    y: float
    def __init__(self, x: _Optional[float] = ..., y: _Optional[float] = ...) -> None: ...

class TextLine(_message.Message):
    __slots__ = ("text", "confidence", "corners")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    CORNERS_FIELD_NUMBER: _ClassVar[int]
    text: str
    confidence: float
    corners: _containers.RepeatedCompositeFieldContainer[Point]
    def __init__(self, text: _Optional[str] = ..., confidence: _Optional[float] = ..., corners: _Optional[_Iterable[_Union[Point, _Mapping]]] = ...) -> None: ...

class TextRow(_message.Message):
    __slots__ = ("cells",)
    CELLS_FIELD_NUMBER: _ClassVar[int]
    cells: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, cells: _Optional[_Iterable[str]] = ...) -> None: ...

class PictureText(_message.Message):
    __slots__ = ("width", "height", "lines", "rows", "text", "markdown")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    MARKDOWN_FIELD_NUMBER: _ClassVar[int]
    width: int
    height: int
    lines: _containers.RepeatedCompositeFieldContainer[TextLine]
    rows: _containers.RepeatedCompositeFieldContainer[TextRow]
    text: str
    markdown: str
    def __init__(self, width: _Optional[int] = ..., height: _Optional[int] = ..., lines: _Optional[_Iterable[_Union[TextLine, _Mapping]]] = ..., rows: _Optional[_Iterable[_Union[TextRow, _Mapping]]] = ..., text: _Optional[str] = ..., markdown: _Optional[str] = ...) -> None: ...

class VisualCode(_message.Message):
    __slots__ = ("kind", "text", "corners")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CORNERS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    text: str
    corners: _containers.RepeatedCompositeFieldContainer[Point]
    def __init__(self, kind: _Optional[str] = ..., text: _Optional[str] = ..., corners: _Optional[_Iterable[_Union[Point, _Mapping]]] = ...) -> None: ...

class ColourShare(_message.Message):
    __slots__ = ("name", "share")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    name: str
    share: float
    def __init__(self, name: _Optional[str] = ..., share: _Optional[float] = ...) -> None: ...

class SeenObject(_message.Message):
    __slots__ = ("name", "confidence", "corners")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    CORNERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    confidence: float
    corners: _containers.RepeatedCompositeFieldContainer[Point]
    def __init__(self, name: _Optional[str] = ..., confidence: _Optional[float] = ..., corners: _Optional[_Iterable[_Union[Point, _Mapping]]] = ...) -> None: ...

class SeenObjects(_message.Message):
    __slots__ = ("objects",)
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    objects: _containers.RepeatedCompositeFieldContainer[SeenObject]
    def __init__(self, objects: _Optional[_Iterable[_Union[SeenObject, _Mapping]]] = ...) -> None: ...

class FoundText(_message.Message):
    __slots__ = ("text", "confidence", "corners", "is_object")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    CORNERS_FIELD_NUMBER: _ClassVar[int]
    IS_OBJECT_FIELD_NUMBER: _ClassVar[int]
    text: str
    confidence: float
    corners: _containers.RepeatedCompositeFieldContainer[Point]
    is_object: bool
    def __init__(self, text: _Optional[str] = ..., confidence: _Optional[float] = ..., corners: _Optional[_Iterable[_Union[Point, _Mapping]]] = ..., is_object: bool = ...) -> None: ...

class ReadTextRequest(_message.Message):
    __slots__ = ("picture",)
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    picture: _message_pb2.Blob
    def __init__(self, picture: _Optional[_Union[_message_pb2.Blob, _Mapping]] = ...) -> None: ...

class ReadTextResponse(_message.Message):
    __slots__ = ("read",)
    READ_FIELD_NUMBER: _ClassVar[int]
    read: PictureText
    def __init__(self, read: _Optional[_Union[PictureText, _Mapping]] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ("picture",)
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    picture: _message_pb2.Blob
    def __init__(self, picture: _Optional[_Union[_message_pb2.Blob, _Mapping]] = ...) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("text", "read", "codes", "colours", "seen")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    COLOURS_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    text: str
    read: PictureText
    codes: _containers.RepeatedCompositeFieldContainer[VisualCode]
    colours: _containers.RepeatedCompositeFieldContainer[ColourShare]
    seen: SeenObjects
    def __init__(self, text: _Optional[str] = ..., read: _Optional[_Union[PictureText, _Mapping]] = ..., codes: _Optional[_Iterable[_Union[VisualCode, _Mapping]]] = ..., colours: _Optional[_Iterable[_Union[ColourShare, _Mapping]]] = ..., seen: _Optional[_Union[SeenObjects, _Mapping]] = ...) -> None: ...

class FindRequest(_message.Message):
    __slots__ = ("picture", "words")
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    picture: _message_pb2.Blob
    words: str
    def __init__(self, picture: _Optional[_Union[_message_pb2.Blob, _Mapping]] = ..., words: _Optional[str] = ...) -> None: ...

class FindResponse(_message.Message):
    __slots__ = ("found", "only_words")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    ONLY_WORDS_FIELD_NUMBER: _ClassVar[int]
    found: _containers.RepeatedCompositeFieldContainer[FoundText]
    only_words: bool
    def __init__(self, found: _Optional[_Iterable[_Union[FoundText, _Mapping]]] = ..., only_words: bool = ...) -> None: ...
