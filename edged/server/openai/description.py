"""What the API says of itself at /openapi.json: each status that an answer may have, and what it holds then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter

from edged.server.openai.failures import Failure

EVENTS = "text/event-stream"
_COMPONENTS = "#/components/schemas/{model}"
_RETRY = {"retry-after": {"description": "Seconds", "schema": {"type": "integer", "minimum": 1}}}
_ERRORS: Mapping[int, dict[str, Any]] = MappingProxyType(
    {
        400: {"description": "The request breaks a rule; param names the field"},
        401: {
            "description": "On the LAN: no key, or none that is worth something",
            "headers": {"www-authenticate": {}},
        },
        403: {"description": "The key lacks the scope, or a page of another site asks"},
        404: {"description": "No such model"},
        408: {"description": "The request came too slowly"},
        413: {"description": "The request is too large"},
        429: {"description": "Too many requests wait, or the disk is full", "headers": _RETRY},
        500: {"description": "The daemon is at fault; its log says where"},
        503: {"description": "The daemon is not ready, or shutting down", "headers": _RETRY},
    }
)
EVERYWHERE = (403, 413, 500)
"""Where every path is served."""
POSTED = (400, 401, 408, 429, 503)
"""Of what is computed for somebody."""


def answers(
    model: Any = None, *, events: Any = None, texts: Iterable[str] = (), sounds: Iterable[str] = ()
) -> dict[int | str, dict[str, Any]]:
    """A good answer: of this type in JSON, of this type in the data of each event, or in these media types."""
    content: dict[str, Any] = {media_type: {"schema": {"type": "string"}} for media_type in texts}
    content |= {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in sounds}
    if events is not None:
        content[EVENTS] = {"schema": _event(events | Failure)}
    return {200: {"content": content, **({"model": model} if model else {})}}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Answers that are none."""
    content = {"application/json": {"schema": {"$ref": _COMPONENTS.format(model=Failure.__name__)}}}
    return {status: {**_ERRORS[status], "content": content} for status in statuses}


class DescribedApi(FastAPI):
    """Describes its answers by `answers` and `errors`, and asks for a key where one is needed."""

    def openapi(self) -> dict[str, Any]:
        """The description, made once."""
        is_new = self.openapi_schema is None
        told = super().openapi()
        if is_new:
            _finish(told)
        return told


def _event(data: Any) -> dict[str, Any]:
    """One of a stream, as clients of server-sent events have it; what is said of it holds for each."""
    schema = TypeAdapter(data).json_schema(ref_template=_COMPONENTS, mode="serialization")
    definitions = schema.pop("$defs")
    in_json = {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}
    properties = {
        "data": {"anyOf": [in_json, {"const": "[DONE]", "description": "The last one, unless that is an error"}]}
    }
    return {"type": "object", "properties": properties, "required": ["data"], "$defs": definitions}


def _finish(told: dict[str, Any]) -> None:
    components = told["components"]
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "On the LAN: `edged devices key NAME` makes one"}
    }
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    for path, operations in told["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)  # FastAPI's own; what breaks a rule gets 400
            if path.startswith("/v1/"):
                operation["security"] = [{"key": []}, {}]
            for answer in operation["responses"].values():
                for form in answer.get("content", {}).values():
                    components["schemas"] |= form.get("schema", {}).pop("$defs", {})
