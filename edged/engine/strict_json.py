"""JSON from anywhere as dataclasses: every key there, of its type, and none besides."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping

from edged.errors import ArtefactError, nearest


def unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """For json.loads: an object whose keys all differ. Raises ValueError."""
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise ValueError("a key occurs twice")
    return keys


def refuse_constant(name: str) -> object:
    """For json.loads: no NaN, no Infinity. Raises ValueError."""
    raise ValueError(f"{name} is not a number")


def typed(kind: object, value: object, where: str) -> object:
    """The value as the annotated type; `where` is the file and the path of keys so far.

    Dataclasses, their tuples and mappings, unions with None, and plain types. Raises ArtefactError naming the key.
    """
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return None if value is None else typed(arguments[0], value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(typed(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin is Mapping and isinstance(value, dict):
        return {key: typed(arguments[1], item, f"{where}.{_shown(key)}") for key, item in value.items()}
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
        raise ArtefactError(f"{where} has the wrong type: {str(value)[:60]!r}")
    if isinstance(value, str) and not value.isprintable():
        raise ArtefactError(f"{where} must be one line of printable characters")
    return value


def _dataclass(kind: type, value: object, where: str) -> object:
    if not isinstance(value, dict):
        raise ArtefactError(f"{where} must be an object")
    dot = "" if where.endswith(" ") else "."
    hints = typing.get_type_hints(kind)
    for key in value:
        if key not in hints:
            raise ArtefactError(f"{where}{dot}{_shown(key)} is unknown{nearest(key[:60], hints)}")
    for key in hints:
        if key not in value:
            raise ArtefactError(f"{where}{dot}{key} is missing")
    return kind(**{key: typed(hint, value[key], f"{where}{dot}{key}") for key, hint in hints.items()})


def _shown(key: str) -> str:
    """On one line, whatever it is."""
    return key[:60] if key.isprintable() else ascii(key[:60])
