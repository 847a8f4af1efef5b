"""Actions as models for phones were trained to write them: written, read, and as the grammar that a model is held to.

`do(action="Tap", element=[500,120])` is one, `finish(message="...")` another. They are read by one table, never
evaluated. What the table does not know is an error and no action: neither half of one, nor the first of two.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edged.errors import MalformedAction
from edged.records import (
    Back,
    CallApi,
    DoubleTap,
    Finish,
    Home,
    Interact,
    Launch,
    LongPress,
    Note,
    PhoneAction,
    ScreenPlace,
    Swipe,
    TakeOver,
    Tap,
    TypeName,
    TypeText,
    Wait,
)

MAX_WRITTEN_CHARACTERS = 300
"""Of a text that a model may write; Chinese takes up to three tokens for each."""
_ACTIONS: Mapping[str, type[PhoneAction]] = MappingProxyType(
    {
        "Launch": Launch,
        "Tap": Tap,
        "Type": TypeText,
        "Type_Name": TypeName,
        "Interact": Interact,
        "Swipe": Swipe,
        "Note": Note,
        "Call_API": CallApi,
        "Long Press": LongPress,
        "Double Tap": DoubleTap,
        "Take_over": TakeOver,
        "Back": Back,
        "Home": Home,
        "Wait": Wait,
    }
)
_NAMES = {kind: name for name, kind in _ACTIONS.items()}
_BLANKS = re.compile(r"\s*")
_BEFORE = re.compile(r"(?:\s|<answer>|<\|begin_of_box\|>)*")
_AFTER = re.compile(r"(?:\s|</answer>|<\|end_of_box\|>)*")
_NAME = re.compile(r"\s*([a-z]{1,20})\s*=\s*")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_PLACE = re.compile(r"\[\s*([0-9]{1,3})\s*,\s*([0-9]{1,3})\s*\]")
_SECONDS = re.compile(r'"([0-9]{1,3}) seconds?"')
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_ESCAPES = str.maketrans({value: f"\\{letter}" for letter, value in _ESCAPED.items()})
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Kind:
    """One type of value: how it is read and written, and what a model may write."""

    pattern: re.Pattern[str]
    read: Callable[[re.Match[str]], object]
    write: Callable[..., str]
    terminal: str
    parameter: str = ""
    """What the dialect calls it, where that is another name than the record's."""


_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "str": _Kind(
            _STRING,
            lambda match: _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[0]), match[1]),
            lambda text: f'"{text.translate(_ESCAPES)}"',
            "TEXT",
        ),
        "ScreenPlace": _Kind(
            _PLACE,
            lambda match: ScreenPlace(x=int(match[1]), y=int(match[2])),
            lambda place: f"[{place.x},{place.y}]",
            "PLACE",
        ),
        "int": _Kind(
            _SECONDS, lambda match: int(match[1]), lambda seconds: f'"{seconds} seconds"', "SECONDS", "duration"
        ),
    }
)
"""By the type of the record's field."""


def written(action: PhoneAction) -> str:
    """The action in the dialect; `read` undoes it."""
    given = [
        f"{name}={kind.write(value)}"
        for name, (field, kind) in _parameters(type(action)).items()
        if (value := getattr(action, field.name)) != field.default
    ]
    if isinstance(action, Finish):
        return f"finish({given[0]})"
    name = f'action="{_NAMES[type(action)]}"'
    return f"do({', '.join((name, *given))})"


def read(text: str) -> PhoneAction:
    """The one action that the text is, but for blanks and marks of an answer around it. Raises MalformedAction."""
    start = _matched(_BEFORE, text, 0).end()
    verb = "finish" if text.startswith("finish(", start) else "do"
    if not text.startswith(f"{verb}(", start):
        raise MalformedAction("the model wrote no action: it begins neither with do( nor with finish(")
    arguments, end = _arguments(text, start + len(verb) + 1)
    if _matched(_AFTER, text, end).end() != len(text):
        raise MalformedAction("the model wrote more than one action")
    if verb == "finish":
        return _built(Finish, arguments)
    name = arguments.pop("action", None)
    match = _STRING.fullmatch(name) if name else None
    if match is None or match[1] not in _ACTIONS:
        raise MalformedAction("the model wrote an action that is not known")
    return _built(_ACTIONS[match[1]], arguments)


def grammar() -> str:
    """What a model may write, in llguidance's dialect of Lark; `read` takes all of it."""
    calls = [f'"finish({_argument(Finish, "message")} ")"']
    for name, kind in _ACTIONS.items():
        rest = " ".join(_argument(kind, parameter, follows=True) for parameter in _parameters(kind))
        calls.append(f'"do(action=\\"{name}\\"" {rest} ")"')
    text = rf'/"([^"\\\x00-\x1f\x7f]|\\["\\n]){{1,{MAX_WRITTEN_CHARACTERS}}}"/'
    return "\n".join(
        (
            r'start: ("\n"? "<answer>")? action',
            f"action: {' | '.join(calls)}",
            f"TEXT: {text}",
            r"PLACE: /\[(0|[1-9][0-9]{0,2}),(0|[1-9][0-9]{0,2})\]/",
            'SECONDS: /"[1-9][0-9]? seconds"/',
        )
    )


def _argument(kind: type[PhoneAction], name: str, *, follows: bool = False) -> str:
    field, value = _parameters(kind)[name]
    if not follows:
        return f'{name}=" {value.terminal}'
    argument = f'", {name}=" {value.terminal}'
    return argument if field.default is dataclasses.MISSING else f"({argument})?"


def _parameters(kind: type[PhoneAction]) -> dict[str, tuple[dataclasses.Field[object], _Kind]]:
    fields = [(field, _KINDS[str(field.type)]) for field in dataclasses.fields(kind)]
    return {value.parameter or field.name: (field, value) for field, value in fields}


def _arguments(text: str, place: int) -> tuple[dict[str, str], int]:
    """Name and unread value of each, and where the call ends. Raises MalformedAction."""
    arguments: dict[str, str] = {}
    while True:
        name = _matched(_NAME, text, place)
        value = next((m for p in (_STRING, _PLACE) if (m := p.match(text, name.end()))), None)
        if value is None:
            raise MalformedAction("the model wrote an action with a value that cannot be read")
        if name[1] in arguments:
            raise MalformedAction("the model wrote an action with the same value twice")
        arguments[name[1]] = value[0]
        place = _matched(_BLANKS, text, value.end()).end()
        separator = text[place : place + 1]
        place += 1
        if separator == ")":
            return arguments, place
        if separator != ",":
            raise MalformedAction("the model wrote an action that does not end")


def _built(kind: type[PhoneAction], arguments: dict[str, str]) -> PhoneAction:
    values: dict[str, object] = {}
    for name, (field, value) in _parameters(kind).items():
        if name in arguments:
            match = value.pattern.fullmatch(arguments.pop(name))
            if match is None:
                raise MalformedAction(f"the model wrote an action whose {name} cannot be read")
            values[field.name] = value.read(match)
        elif field.default is dataclasses.MISSING:
            raise MalformedAction(f"the model wrote an action without its {name}")
    if arguments:
        raise MalformedAction("the model wrote an action with a value that it does not have")
    return kind(**values)  # type: ignore[arg-type]  # each value is what its field's type reads


def _matched(pattern: re.Pattern[str], text: str, place: int) -> re.Match[str]:
    match = pattern.match(text, place)
    if match is None:
        raise MalformedAction("the model wrote an action with a value that has no name")
    return match
