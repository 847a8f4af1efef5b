"""Errors as clients of OpenAI's API expect them: {"error": {message, type, param, code}} and a status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from edged.errors import Code, EdgedError, QueueFull
from edged.server.openai.schema import PARTS, WORDS
from edged.server.status_details import status_message

_CODES: Mapping[str, str] = MappingProxyType(
    {"CONTEXT_OVERFLOW": "context_length_exceeded", "UNAUTHENTICATED": "invalid_api_key"}
)
"""Those that clients look for; theirs are otherwise edged's own."""


class Problem(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class Failure(BaseModel):
    """An answer that is none."""

    error: Problem


_WHOLE = frozenset({"guided_json", "input", "json_schema", "logit_bias", "prompt", "stop", "tool_choice"})
"""Fields inside which places are named by the client's own words, or by pydantic's."""
_STATUS: Mapping[Code, int] = MappingProxyType({Code.UNIMPLEMENTED: 400, Code.FAILED_PRECONDITION: 400})
"""Where the one of `Code` would make clients try again, or give up on the server."""


def failure(error: EdgedError) -> tuple[int, dict[str, Any]]:
    """Status and body."""
    status = _STATUS.get(error.code, error.code.http_status)
    code = _CODES.get(error.reason, error.reason.lower())
    return status, body(status_message(error), status, code=code, param=_param(error.field))


def _param(field: str) -> str | None:
    """The engine's name of a field as the request has it."""
    return "response_format" if field.startswith("output.") else field.removeprefix("sampling.") or None


def body(message: str, status: int, *, code: str | None, param: str | None = None) -> dict[str, Any]:
    """Of an error."""
    kind = "rate_limit_error" if status == 429 else "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def failed(error: EdgedError) -> Response:
    """With Retry-After where trying again may help."""
    status, content = failure(error)
    headers = {}
    if error.retry_seconds is not None or isinstance(error, QueueFull):
        headers["retry-after"] = str(max(1, round(error.retry_seconds or 1)))
    return JSONResponse(content, status, headers)


def invalid(problems: Sequence[Any], *, is_json: bool) -> Response:
    """What pydantic found; the first problem, since clients show one line. What was sent is not quoted.

    is_json: by the request's Content-Type.
    """
    first = problems[0]
    if first["type"] == "json_invalid":
        return JSONResponse(body("the body is no JSON", 400, code="invalid_input"), 400)
    if first["loc"] == ("body",) and not is_json:
        message = "the body must be JSON, and be called that: Content-Type: application/json"
        return JSONResponse(body(message, 400, code="invalid_input"), 400)
    steps = [str(step) for step in first["loc"][1:] if step not in (WORDS, PARTS)]
    if steps and steps[0] in _WHOLE:
        steps = steps[:1]
    place = ".".join(step for step, _ in groupby(steps)) or "body"  # pydantic names the kind of a part, then its field
    return JSONResponse(body(f"{place}: {first['msg']}", 400, code="invalid_input", param=place), 400)
