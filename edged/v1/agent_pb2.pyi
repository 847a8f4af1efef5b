from edged.v1 import message_pb2 as _message_pb2
from edged.v1 import turn_pb2 as _turn_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PhoneLanguage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PHONE_LANGUAGE_UNSPECIFIED: _ClassVar[PhoneLanguage]
    PHONE_LANGUAGE_ENGLISH: _ClassVar[PhoneLanguage]
    PHONE_LANGUAGE_CHINESE: _ClassVar[PhoneLanguage]
PHONE_LANGUAGE_UNSPECIFIED: PhoneLanguage
PHONE_LANGUAGE_ENGLISH: PhoneLanguage
PHONE_LANGUAGE_CHINESE: PhoneLanguage

class StepRequest(_message.Message):
    __slots__ = ("task", "screenshot", "history", "app", "model", "language", "enable_thinking", "max_reasoning_tokens")
    TASK_FIELD_NUMBER: _ClassVar[int]
    SCREENSHOT_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    APP_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    ENABLE_THINKING_FIELD_NUMBER: _ClassVar[int]
    MAX_REASONING_TOKENS_FIELD_NUMBER: _ClassVar[int]
    task: str
    screenshot: _message_pb2.Blob
    history: _containers.RepeatedCompositeFieldContainer[PastStep]
    app: str
    model: str
    language: PhoneLanguage
    enable_thinking: bool
    max_reasoning_tokens: int
    def __init__(self, task: _Optional[str] = ..., screenshot: _Optional[_Union[_message_pb2.Blob, _Mapping]] = ..., history: _Optional[_Iterable[_Union[PastStep, _Mapping]]] = ..., app: _Optional[str] = ..., model: _Optional[str] = ..., language: _Optional[_Union[PhoneLanguage, str]] = ..., enable_thinking: bool = ..., max_reasoning_tokens: _Optional[int] = ...) -> None: ...

class PastStep(_message.Message):
    __slots__ = ("action", "failure")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    action: PhoneAction
    failure: str
    def __init__(self, action: _Optional[_Union[PhoneAction, _Mapping]] = ..., failure: _Optional[str] = ...) -> None: ...

class StepResponse(_message.Message):
    __slots__ = ("reasoning_delta", "step", "measured")
    REASONING_DELTA_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    reasoning_delta: _turn_pb2.ReasoningDelta
    step: PhoneStep
    measured: _turn_pb2.Measured
    def __init__(self, reasoning_delta: _Optional[_Union[_turn_pb2.ReasoningDelta, _Mapping]] = ..., step: _Optional[_Union[PhoneStep, _Mapping]] = ..., measured: _Optional[_Union[_turn_pb2.Measured, _Mapping]] = ...) -> None: ...

class PhoneStep(_message.Message):
    __slots__ = ("action", "needs_confirmation", "confirmation_reason", "width", "height", "touched")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    NEEDS_CONFIRMATION_FIELD_NUMBER: _ClassVar[int]
    CONFIRMATION_REASON_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TOUCHED_FIELD_NUMBER: _ClassVar[int]
    action: PhoneAction
    needs_confirmation: bool
    confirmation_reason: str
    width: int
    height: int
    touched: str
    def __init__(self, action: _Optional[_Union[PhoneAction, _Mapping]] = ..., needs_confirmation: bool = ..., confirmation_reason: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., touched: _Optional[str] = ...) -> None: ...

class ScreenPlace(_message.Message):
    __slots__ = ("x", "y", "pixel_x", "pixel_y")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    PIXEL_X_FIELD_NUMBER: _ClassVar[int]
    PIXEL_Y_FIELD_NUMBER: _ClassVar[int]
    x: int
    y: int
    pixel_x: int
    pixel_y: int
    def __init__(self, x: _Optional[int] = ..., y: _Optional[int] = ..., pixel_x: _Optional[int] = ..., pixel_y: _Optional[int] = ...) -> None: ...

class PhoneAction(_message.Message):
    __slots__ = ("launch", "tap", "double_tap", "long_press", "swipe", "type_text", "type_name", "back", "home", "wait", "take_over", "interact", "note", "call_api", "finish")
    LAUNCH_FIELD_NUMBER: _ClassVar[int]
    TAP_FIELD_NUMBER: _ClassVar[int]
    DOUBLE_TAP_FIELD_NUMBER: _ClassVar[int]
    LONG_PRESS_FIELD_NUMBER: _ClassVar[int]
    SWIPE_FIELD_NUMBER: _ClassVar[int]
    TYPE_TEXT_FIELD_NUMBER: _ClassVar[int]
    TYPE_NAME_FIELD_NUMBER: _ClassVar[int]
    BACK_FIELD_NUMBER: _ClassVar[int]
    HOME_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    TAKE_OVER_FIELD_NUMBER: _ClassVar[int]
    INTERACT_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    CALL_API_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    launch: Launch
    tap: Tap
    double_tap: DoubleTap
    long_press: LongPress
    swipe: Swipe
    type_text: TypeText
    type_name: TypeName
    back: Back
    home: Home
    wait: Wait
    take_over: TakeOver
    interact: Interact
    note: Note
    call_api: CallApi
    finish: Finish
    def __init__(self, launch: _Optional[_Union[Launch, _Mapping]] = ..., tap: _Optional[_Union[Tap, _Mapping]] = ..., double_tap: _Optional[_Union[DoubleTap, _Mapping]] = ..., long_press: _Optional[_Union[LongPress, _Mapping]] = ..., swipe: _Optional[_Union[Swipe, _Mapping]] = ..., type_text: _Optional[_Union[TypeText, _Mapping]] = ..., type_name: _Optional[_Union[TypeName, _Mapping]] = ..., back: _Optional[_Union[Back, _Mapping]] = ..., home: _Optional[_Union[Home, _Mapping]] = ..., wait: _Optional[_Union[Wait, _Mapping]] = ..., take_over: _Optional[_Union[TakeOver, _Mapping]] = ..., interact: _Optional[_Union[Interact, _Mapping]] = ..., note: _Optional[_Union[Note, _Mapping]] = ..., call_api: _Optional[_Union[CallApi, _Mapping]] = ..., finish: _Optional[_Union[Finish, _Mapping]] = ...) -> None: ...

class Launch(_message.Message):
    __slots__ = ("app",)
    APP_FIELD_NUMBER: _ClassVar[int]
    app: str
    def __init__(self, app: _Optional[str] = ...) -> None: ...

class Tap(_message.Message):
    __slots__ = ("element", "message")
    ELEMENT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    element: ScreenPlace
    message: str
    def __init__(self, element: _Optional[_Union[ScreenPlace, _Mapping]] = ..., message: _Optional[str] = ...) -> None: ...

class DoubleTap(_message.Message):
    __slots__ = ("element",)
    ELEMENT_FIELD_NUMBER: _ClassVar[int]
    element: ScreenPlace
    def __init__(self, element: _Optional[_Union[ScreenPlace, _Mapping]] = ...) -> None: ...

class LongPress(_message.Message):
    __slots__ = ("element",)
    ELEMENT_FIELD_NUMBER: _ClassVar[int]
    element: ScreenPlace
    def __init__(self, element: _Optional[_Union[ScreenPlace, _Mapping]] = ...) -> None: ...

class Swipe(_message.Message):
    __slots__ = ("start", "end")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    start: ScreenPlace
    end: ScreenPlace
    def __init__(self, start: _Optional[_Union[ScreenPlace, _Mapping]] = ..., end: _Optional[_Union[ScreenPlace, _Mapping]] = ...) -> None: ...

class TypeText(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class TypeName(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class Back(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Home(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Wait(_message.Message):
    __slots__ = ("seconds",)
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    seconds: int
    def __init__(self, seconds: _Optional[int] = ...) -> None: ...

class TakeOver(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: str
    def __init__(self, message: _Optional[str] = ...) -> None: ...

class Interact(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Note(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: str
    def __init__(self, message: _Optional[str] = ...) -> None: ...

class CallApi(_message.Message):
    __slots__ = ("instruction",)
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    instruction: str
    def __init__(self, instruction: _Optional[str] = ...) -> None: ...

class Finish(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: str
    def __init__(self, message: _Optional[str] = ...) -> None: ...
