"""Events as they come over the wire, with limits: the package's own reader takes any length for granted."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Protocol, TypeVar

from wyoming.event import Event

from edged.errors import InvalidInput

MAX_HEADER_BYTES = 64 * 1024
"""Of the line that begins an event; a StreamReader is made with it."""
MAX_DATA_BYTES = 256 * 1024
"""Of the JSON that may follow it."""
MAX_PAYLOAD_BYTES = 1024 * 1024
"""Of the sound that may follow: half a minute of what microphones give."""
MAX_TYPE_CHARACTERS = 64

Parsed = TypeVar("Parsed", covariant=True)


class Kind(Protocol[Parsed]):
    """A class of events of the package."""

    @staticmethod
    def is_type(event_type: str) -> bool:
        """Whether that is what these events are called."""
        ...

    @staticmethod
    def from_event(event: Event) -> Parsed:
        """Raises almost anything where data is missing or of another type."""
        ...


async def read_event(reader: asyncio.StreamReader) -> Event | None:
    """The next one; None where the client has gone, in the middle of an event or not.

    Raises InvalidInput for what is too long or no event: what follows cannot be told apart any more.
    """
    try:
        try:
            line = await reader.readline()
        except ValueError as exc:
            raise InvalidInput(f"an event's first line has at most {MAX_HEADER_BYTES} bytes") from exc
        if not line.endswith(b"\n"):
            return None
        header = _object(line, "an event")
        data = header.get("data") or {}
        if not isinstance(data, dict):
            raise InvalidInput("an event's data must be a JSON object")
        if length := _length(header, "data_length", MAX_DATA_BYTES):
            data = data | _object(await reader.readexactly(length), "an event's data")
        length = _length(header, "payload_length", MAX_PAYLOAD_BYTES)
        payload = await reader.readexactly(length) if length else None
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    kind = header.get("type")
    if not isinstance(kind, str) or not 0 < len(kind) <= MAX_TYPE_CHARACTERS:
        raise InvalidInput("an event must have a type")
    return Event(type=kind, data=data, payload=payload)


def parsed(kind: Kind[Parsed], event: Event) -> Parsed:
    """The event as an object of the package; its fields may still be of any type. Raises InvalidInput."""
    try:
        return kind.from_event(event)
    except (AttributeError, LookupError, TypeError, ValueError) as exc:
        raise InvalidInput(f"{event.type}: data is missing or of another type than it should be") from exc


def _object(text: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise InvalidInput(f"{what} must be a JSON object") from exc
    if not isinstance(found, dict):
        raise InvalidInput(f"{what} must be a JSON object")
    return found


def _length(header: dict[str, Any], key: str, most: int) -> int:
    length = header.get(key)
    if length is None:
        return 0
    if type(length) is not int or not 0 <= length <= most:
        raise InvalidInput(f"{key} must be a whole number of bytes up to {most}")
    return length
