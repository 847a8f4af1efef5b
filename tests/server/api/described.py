"""The API's description of itself, taken by its word: what it does not mention must not be sent."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

from tests.server.api.http_daemon import Answer


def strictly(described: dict[str, Any]) -> dict[str, Any]:
    """The same where objects have no properties but those that are named."""
    strict = copy.deepcopy(described)
    for schema in strict["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return strict


def require_described(described: dict[str, Any], method: str, path: str, answer: Answer) -> None:
    """Fails unless the answer has a status, a media type, headers and a content that the description gives it."""
    operation = described["paths"][path][method.lower()]
    assert str(answer.status) in operation["responses"], f"{method} {path}: {answer.status} is not described"
    told = operation["responses"][str(answer.status)]
    assert set(answer.headers) & {"retry-after", "www-authenticate"} <= set(told.get("headers", {}))
    media_type = answer.headers["content-type"].partition(";")[0]
    assert media_type in told["content"], f"{method} {path}: {media_type} is not described"
    schema = told["content"][media_type]["schema"]
    if media_type == "text/event-stream":
        schema = schema["properties"]["data"]["anyOf"][0]["contentSchema"]
    schema = {**schema, "components": described["components"]}
    for value in _values(media_type, answer):
        Draft202012Validator(schema).validate(value)


def _values(media_type: str, answer: Answer) -> Iterator[Any]:
    if media_type == "application/json":
        yield answer.json()
    elif media_type == "text/event-stream":
        events = re.findall(r"^data: (.*)$", unchunked(answer).decode(), re.MULTILINE)
        assert events[-1] == "[DONE]" or "error" in json.loads(events[-1])
        events = [event for event in events if event != "[DONE]"]
        yield from map(json.loads, events)


def unchunked(answer: Answer) -> bytes:
    """Its body, however it was transferred."""
    if answer.headers.get("transfer-encoding") != "chunked":
        return answer.body
    body, rest = b"", answer.body
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return body
