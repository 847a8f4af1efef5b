"""The form that an answer must have, by whichever of the names that clients have for it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from edged.errors import InvalidInput
from edged.events import OutputFormat, OutputKind
from edged.server.openai.schema import GenerationOptions, ResponseFormat, StructuredOutputs

_VLLM = {
    "json_": OutputKind.JSON_SCHEMA,
    "regex": OutputKind.REGEX,
    "choice": OutputKind.CHOICES,
    "grammar": OutputKind.LARK,
}


class Form(NamedTuple):
    """A form, and the field of the request that asks for it."""

    output: OutputFormat
    field: str


def form_of(request: GenerationOptions) -> Form | None:
    """None where the form is left to the model. Raises InvalidInput, also for two forms at once."""
    if request.grammar is not None:
        raise InvalidInput("grammars come as guided_grammar, in llguidance's dialect of Lark", field="grammar")
    found = [*_named(request), *_structured(request.structured_outputs)]
    if len(found) > 1:
        message = f"an answer has one form, not those of {found[0].field} and {found[1].field}"
        raise InvalidInput(message, field=found[1].field)
    return found[0] if found else None


def _named(request: GenerationOptions) -> list[Form]:
    forms = [_response_format(request.response_format)] if request.response_format else []
    if request.json_schema is not None:  # llama.cpp's
        forms.append(_form(OutputKind.JSON_SCHEMA, request.json_schema, "json_schema"))
    for name, kind in _VLLM.items():
        field = "guided_" + name.rstrip("_")
        if (given := getattr(request, field)) is not None:
            forms.append(_form(kind, given, field))
    return [form for form in forms if form]


def _structured(asked: StructuredOutputs | None) -> list[Form]:
    if asked is None:
        return []
    forms = [
        _form(kind, given, f"structured_outputs.{name.rstrip('_')}")
        for name, kind in _VLLM.items()
        if (given := getattr(asked, name)) is not None
    ]
    if asked.json_object:
        forms.append(Form(OutputFormat(kind=OutputKind.JSON), "structured_outputs.json_object"))
    return forms


def _form(kind: OutputKind, given: Any, field: str) -> Form:
    if kind is OutputKind.CHOICES:
        return Form(OutputFormat(kind=kind, choices=tuple(given)), field)
    return Form(OutputFormat(kind=kind, text=given if isinstance(given, str) else _text(given)), field)


def _response_format(form: ResponseFormat) -> Form | None:
    if form.type == "text":
        return None
    if form.type == "json_object" and form.schema_ is None:
        return Form(OutputFormat(kind=OutputKind.JSON), "response_format")
    asked = form if form.type == "json_object" else form.json_schema
    schema = asked.schema_ if asked else None
    if schema is None:
        raise InvalidInput("json_schema is missing", field="response_format.json_schema")
    return Form(OutputFormat(kind=OutputKind.JSON_SCHEMA, text=_text(schema)), "response_format")


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False)
