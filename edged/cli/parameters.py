"""A parameter type of our own."""

from __future__ import annotations

from edged.errors import InvalidInput


def utf8(text: str) -> str:
    """The text, if it came as UTF-8 and so can cross the wire. Raises InvalidInput."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as exc:
        # Python keeps undecodable bytes of the command line as lone surrogates (PEP 383).
        raise InvalidInput(f"not valid UTF-8: {text[:60]!a}") from exc
    return text
