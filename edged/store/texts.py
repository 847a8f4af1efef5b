"""What may be stored as text: Unicode without NUL, which SQLite and C programs take for the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edged.errors import InvalidInput
from edged.events import Part, Text, ToolCall, ToolResult


def storable(text: str, *, field: str) -> str:
    """The text itself. Raises InvalidInput, naming the request's field, for NUL and half surrogates."""
    if "\0" in text:
        raise InvalidInput(f"{field}: the NUL character cannot be stored", field=field)
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        message = f"{field}: character {exc.start + 1} is half a surrogate, not valid Unicode"
        raise InvalidInput(message, field=field) from exc
    return text


def made_storable(text: str) -> str:
    """What a model wrote, with U+FFFD in place of what cannot be stored: an answer is never refused."""
    return text.encode(errors="surrogatepass").decode(errors="replace").replace("\0", "\ufffd")


def as_storable(part: Part) -> Part:
    """The same of a part of an answer."""
    match part:
        case Text(text=text):
            return Text(text=made_storable(text))
        case ToolCall(arguments=text):
            return replace(part, arguments=made_storable(text))
        case ToolResult(content=text):
            return replace(part, content=made_storable(text))
    return part


def check_parts(parts: Sequence[Part]) -> None:
    """Raises InvalidInput for a message that says nothing or cannot be stored."""
    for part in parts:
        match part:
            case Text(text=text) | ToolResult(content=text):
                storable(text, field="parts")
    if not any(not isinstance(part, Text) or part.text.strip() for part in parts):
        raise InvalidInput("the message is empty: say something", field="parts")


def check_results(parts: Sequence[Part], waiting: Sequence[str]) -> None:
    """Raises InvalidInput unless the results among the parts, if any, are those of all calls that wait for one."""
    given = [part.call_id for part in parts if isinstance(part, ToolResult)]
    if given and sorted(given) != sorted(waiting):
        wanted = f"the results of {', '.join(waiting)}" if waiting else "no results"
        raise InvalidInput(f"this conversation waits for {wanted}, each once", field="parts")
