"""What the codec is made of: enums, times, and records whose fields have the same names on both sides."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.message import Message as ProtoMessage
from google.protobuf.timestamp_pb2 import Timestamp

from edged.errors import InvalidInput

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Enum = TypeVar("_Enum", bound=enum.Enum)
_Record = TypeVar("_Record", bound="DataclassInstance")
_Proto = TypeVar("_Proto", bound=ProtoMessage)


def numbers(kind: type[_Enum], proto: Any, prefix: str) -> dict[_Enum, Any]:
    """Member -> number on the wire; a member without one fails at import."""
    return {member: proto.Value(f"{prefix}_{member.name}") for member in kind}


def inverse(numbers: Mapping[_Enum, int]) -> dict[int, _Enum]:
    return {number: member for member, number in numbers.items()}


def member(of: Mapping[int, _Enum], number: int, field: str) -> _Enum:
    try:
        return of[number]
    except KeyError:
        raise InvalidInput(f"{field} has no known value ({number})", field=field) from None


def schema_to_wire(schema: object, field: str) -> str:
    """The text it is; raises InvalidInput for a dictionary, which callers without a type checker hand over."""
    if not isinstance(schema, str):
        raise InvalidInput(f"{field} is a JSON Schema as text: json.dumps(schema) makes it", field=field)
    return schema


def time_to_wire(time: datetime) -> Timestamp:
    """`time` must be timezone-aware."""
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def time_from_wire(stamp: Timestamp, field: str = "time") -> datetime:
    """Microseconds are kept, nanoseconds cut."""
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{field} is no valid time", field=field) from None


def copy_to_wire(record: Any, kind: type[_Proto], **others: Any) -> _Proto:
    """For records whose fields have the same names and, but for the others, scalar types on both sides."""
    return kind(**{field.name: getattr(record, field.name) for field in fields(record)} | others)


def copy_from_wire(proto: ProtoMessage, kind: type[_Record]) -> _Record:
    return kind(**{field.name: getattr(proto, field.name) for field in fields(kind)})
