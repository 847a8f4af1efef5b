"""The form an answer is asked to have, as the grammar that llguidance compiles; refused here is what may cost too much.

llguidance counts most of its work and gives up in time. What it does not count is the length of a regular expression,
which it pays for with its square, so the numbers below are what keeps compiling well under a second.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llguidance import LLMatcher

from edged.errors import InvalidInput
from edged.events import OutputFormat, OutputKind

if TYPE_CHECKING:  # it exists in the stubs alone
    from llguidance._lib import JsonCompileOptions

MAX_SCHEMA_CHARACTERS = 64 * 1024
MAX_LARK_CHARACTERS = 4 * 1024
MAX_REGEX_CHARACTERS = 2 * 1024
MAX_PATTERNS_CHARACTERS = 8 * 1024
"""Of all regular expressions in a schema."""
MAX_PROPERTIES = 1024
"""Of one object; the time they take grows with their square, too."""
MAX_CHOICES = 1024
MAX_CHOICES_CHARACTERS = 64 * 1024
"""Of all choices together."""

_EXACT: JsonCompileOptions = {
    "lenient": False,
    "coerce_one_of": False,
    "json_allow_general_unicode_escapes": False,
    "item_separator": ",",
    "key_separator": ":",
    "whitespace_flexible": True,
    "whitespace_pattern": "( |\n {0,20})?",
}
"""A schema may bring options of its own ("x-guidance"), by which answers would break it; these overrule them.

Between two tokens of JSON a model may write a space, or a line break and what it takes to indent by five levels, but
not blanks for ever, which small models fall into.
"""


def field_of(output: OutputFormat) -> str:
    """Where the request has it, for InvalidInput."""
    return f"output.{output.kind}"


def grammar_of(output: OutputFormat) -> str:
    """The grammar for llguidance, which finds out whether it makes sense. Raises InvalidInput naming the field."""
    field = field_of(output)
    match output.kind:
        case OutputKind.JSON:
            return _json_grammar('{"type": "object"}', field)
        case OutputKind.JSON_SCHEMA:
            return schema_grammar(output.text, field)
        case OutputKind.REGEX:
            _require_length(len(output.text), MAX_REGEX_CHARACTERS, field)
            return LLMatcher.grammar_from_regex(_with_plain_digits(output.text))
        case OutputKind.LARK:
            _require_length(len(output.text), MAX_LARK_CHARACTERS, field)
            return LLMatcher.grammar_from_lark(output.text)
        case OutputKind.CHOICES:
            return _choices_grammar(output.choices, field)


def _with_plain_digits(pattern: str) -> str:
    r"""With 0 to 9 for \d, as JSON Schema has it and programs read it; llguidance means the digits of all scripts."""
    return re.sub(r"\\(.)", lambda match: "[0-9]" if match[1] == "d" else match[0], pattern, flags=re.DOTALL)


def schema_grammar(schema: str, field: str) -> str:
    """The same of a JSON Schema. Raises InvalidInput naming that field."""
    _require_length(len(schema), MAX_SCHEMA_CHARACTERS, field)
    grammar = _json_grammar(schema, field)
    _check_schema(schema, field)
    return grammar


def _json_grammar(schema: str, field: str) -> str:
    try:
        return LLMatcher.grammar_from_json_schema(schema, overrides=_EXACT)
    except ValueError as exc:
        raise InvalidInput(f"the schema is no JSON object: {str(exc)[:100]}", field=field) from None


def _check_schema(text: str, field: str) -> None:
    """Raises InvalidInput for what llguidance would take too long for, or keep to in appearance only."""
    for schema in _objects(json.loads(text)):  # llguidance read it before, so it is not nested deeply
        for pattern in _patterns(schema):
            _require_length(len(pattern), MAX_REGEX_CHARACTERS, field, "a pattern in it")
        if len(schema) > MAX_PROPERTIES:
            raise InvalidInput(
                f"an object in the schema may have {MAX_PROPERTIES} names, not {len(schema)}", field=field
            )
        if _counts_repeated_names(schema):
            raise InvalidInput(
                "minProperties cannot be kept to where names are free: the same one could come twice; "
                "list the names under required, or set additionalProperties to false",
                field=field,
            )
    _require_length(patterns_length(text), MAX_PATTERNS_CHARACTERS, field, "all patterns in it")


def properties_count(schema: str) -> int:
    """Named properties of all objects in a JSON Schema."""
    named = (part.get("properties") for part in _objects(json.loads(schema)))
    return sum(len(properties) for properties in named if isinstance(properties, dict))


def patterns_length(schema: str) -> int:
    """Characters of all regular expressions in a JSON Schema."""
    return sum(len(pattern) for part in _objects(json.loads(schema)) for pattern in _patterns(part))


def _objects(value: object) -> Iterator[dict[str, Any]]:
    """Every object in a JSON value."""
    if isinstance(value, dict):
        yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from _objects(child)


def _patterns(schema: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(pattern := schema.get("pattern"), str):
        yield pattern
    if isinstance(properties := schema.get("patternProperties"), dict):
        yield from properties


def _counts_repeated_names(schema: Mapping[str, Any]) -> bool:
    """Whether llguidance could reach minProperties by a name that comes again, which counts once for a reader."""
    least, required = schema.get("minProperties"), schema.get("required")
    if not isinstance(least, int | float) or (
        schema.get("additionalProperties") is False and "patternProperties" not in schema
    ):
        return False
    return least > 1 + (len({*map(str, required)}) if isinstance(required, list) else 0)


def _choices_grammar(choices: Sequence[str], field: str) -> str:
    """One terminal, so that a choice that begins another one can still become it."""
    if not 1 <= len(choices) <= MAX_CHOICES:
        raise InvalidInput(f"there must be 1 to {MAX_CHOICES} choices", field=field)
    if not all(choices):
        raise InvalidInput("a choice is empty", field=field)
    _require_length(sum(map(len, choices)), MAX_CHOICES_CHARACTERS, field, "all choices together")
    return LLMatcher.grammar_from_lark("start: CHOICE\nCHOICE: " + " | ".join(map(json.dumps, choices)))


def _require_length(length: int, limit: int, field: str, what: str = "it") -> None:
    if length > limit:
        raise InvalidInput(f"{field} is too long: {what} may have {limit} characters, not {length}", field=field)
