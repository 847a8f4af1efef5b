"""What tools are declared, checked, and the grammar that a call of one of them keeps to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from edged.engine.output_format import MAX_PATTERNS_CHARACTERS, patterns_length, properties_count, schema_grammar
from edged.engine.tool_form import ToolForm
from edged.errors import InvalidInput
from edged.events import MAX_TOOLS, Tool, ToolChoice, ToolUse

MAX_DESCRIPTION_CHARACTERS = 16 * 1024
MAX_TOOLS_CHARACTERS = 256 * 1024
"""Of all tools together."""
MAX_DEPTH = 64
"""Of arguments and of their schemas."""
MAX_PROPERTIES = 2048
"""The same; compiling takes up to half a millisecond for each."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NO_PARAMETERS = '{"type": "object", "properties": {}, "additionalProperties": false}'
_PLAIN = frozenset({"type", "properties", "required", "title", "description", "$defs", "definitions", "$schema"})
"""What a schema of arguments may hold that says nothing of arguments without a name."""
_FIELD = "tools"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallForm:
    """What a call may be, from after the mark that opened it to its end."""

    use: ToolUse
    form: ToolForm
    lead: str
    """What comes before the name: `form.lead`, or `form.lead_again` after another call."""


def callable_tools(use: ToolUse | None) -> ToolUse | None:
    """None where the model is not to be told of any."""
    return None if use is None or use.choice is ToolChoice.NONE or not use.tools else use


def check_tools(use: ToolUse) -> None:
    """Raises InvalidInput naming the field: too many or too large, names twice or unknown, schemas that are none."""
    if len(use.tools) > MAX_TOOLS:
        raise InvalidInput(f"there may be {MAX_TOOLS} tools, not {len(use.tools)}", field=_FIELD)
    total = sum(len(tool.name) + len(tool.description) + len(tool.parameters) for tool in use.tools)
    if total > MAX_TOOLS_CHARACTERS:
        raise InvalidInput(f"all tools together may have {MAX_TOOLS_CHARACTERS} characters, not {total}", field=_FIELD)
    names: set[str] = set()
    for index, tool in enumerate(use.tools):
        _check_tool(tool, f"{_FIELD}[{index}]", names)
        names.add(tool.name)
    if use.choice is ToolChoice.NAMED and use.name not in names:
        raise InvalidInput("tool_choice names none of the tools", field="tool_choice")
    if use.choice is ToolChoice.REQUIRED and not names:
        raise InvalidInput("tool_choice requires a call, but there are no tools", field="tool_choice")


def _check_tool(tool: Tool, field: str, names: set[str]) -> None:
    if not _NAME.fullmatch(tool.name):
        raise InvalidInput(
            f"{field}.name must have 1 to 64 letters, digits, underscores and hyphens", field=f"{field}.name"
        )
    if tool.name in names:
        raise InvalidInput(f"{field}.name is that of another tool, too", field=f"{field}.name")
    if len(tool.description) > MAX_DESCRIPTION_CHARACTERS:
        raise InvalidInput(
            f"{field}.description may have {MAX_DESCRIPTION_CHARACTERS} characters", field=f"{field}.description"
        )
    if parameters_of(tool, f"{field}.parameters").get("type") != "object":
        raise InvalidInput(
            f'{field}.parameters must be a schema of an object: "type": "object"', field=f"{field}.parameters"
        )


def parameters_of(tool: Tool, field: str = "tools") -> dict[str, Any]:
    """The schema of its arguments. Raises InvalidInput."""
    try:
        schema = json.loads(tool.parameters or _NO_PARAMETERS)
    except (ValueError, RecursionError):
        schema = None
    if not isinstance(schema, dict):
        raise InvalidInput(f"{field} is no JSON object", field=field)
    if _is_deeper(schema, MAX_DEPTH):
        raise InvalidInput(f"{field} is nested more than {MAX_DEPTH} deep", field=field)
    return {"type": "object", **schema}


def _is_deeper(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_is_deeper(one, levels - 1) for one in inner)


def call_grammar(call: CallForm) -> str:
    """The grammar for llguidance. Raises InvalidInput naming the field of a schema that cannot be kept to."""
    form, grammars, alternatives, patterns, properties = call.form, [], [], 0, 0
    for index, tool in enumerate(call.use.tools):
        if call.use.choice is ToolChoice.NAMED and tool.name != call.use.name:
            continue
        field = f"{_FIELD}[{index}].parameters"
        schema = json.dumps(_as_named(parameters_of(tool, field)), ensure_ascii=False)
        (grammar,) = json.loads(schema_grammar(schema, field))["grammars"]
        grammars.append({**grammar, "name": f"arguments_{index}"})
        alternatives.append(f"{_literal(tool.name + form.between)} @arguments_{index}")
        patterns += patterns_length(schema)
        properties += properties_count(schema)
    if patterns > MAX_PATTERNS_CHARACTERS:
        raise InvalidInput(
            f"all patterns of all tools may have {MAX_PATTERNS_CHARACTERS} characters, not {patterns}", field=_FIELD
        )
    if properties > MAX_PROPERTIES:
        raise InvalidInput(f"all tools together may have {MAX_PROPERTIES} properties, not {properties}", field=_FIELD)
    lark = f"start: {_literal(call.lead)} ({' | '.join(alternatives)}) {_literal(form.tail)}\nBLANKS: /[ \\n]{{0,2}}/\n"
    return json.dumps({"grammars": [{"name": "call", "lark_grammar": lark}, *grammars]})


def _as_named(schema: dict[str, Any]) -> dict[str, Any]:
    """With no arguments but those that it names, where it says no more of others: small models make some up."""
    named, required = schema.get("properties"), schema.get("required", [])
    if not isinstance(named, dict) or not isinstance(required, list) or not schema.keys() <= _PLAIN:
        return schema
    names_all = all(isinstance(name, str) and name in named for name in required)
    return {**schema, "additionalProperties": False} if names_all else schema


def field_of_call(call: CallForm) -> str:
    """What the request's field is where the grammar as a whole is at fault."""
    if call.use.choice is not ToolChoice.NAMED:
        return _FIELD
    index = next(index for index, tool in enumerate(call.use.tools) if tool.name == call.use.name)
    return f"{_FIELD}[{index}].parameters"


def each_alone(call: CallForm) -> Iterator[CallForm]:
    """The same with each of its tools as the only one that may be called."""
    if call.use.choice is not ToolChoice.NAMED:
        for tool in call.use.tools:
            yield replace(call, use=replace(call.use, choice=ToolChoice.NAMED, name=tool.name))


def beginning_of(call: CallForm) -> str:
    """Of a call of the one tool that may be called, up to its arguments."""
    return call.lead + call.use.name + call.form.between


def _literal(text: str) -> str:
    """For Lark; a line break stands for any blanks."""
    words = [json.dumps(word) if word != "\n" else "BLANKS" for word in re.split(r"(\n)", text) if word]
    return " ".join(words) or '""'
