"""Errors as clients of OpenAI's API expect them: {"error": {message, type, param, code}} and a status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Any

from starlette.responses import JSONResponse, Response

from edged.errors import Code, EdgedError, QueueFull
from edged.server.openai.schema import PARTS, WORDS
from edged.server.status_details import status_message

_STATUS: Mapping[Code, int] = MappingProxyType({Code.UNIMPLEMENTED: 400, Code.FAILED_PRECONDITION: 400})
"""Where the one of `Code` would make clients try again, or give up on the server."""


def failure(error: EdgedError) -> tuple[int, dict[str, Any]]:
    """Status and body."""
    status = _STATUS.get(error.code, error.code.http_status)
    return status, body(status_message(error), status, code=error.reason.lower(), param=error.field or None)


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


def invalid(problems: Sequence[Any]) -> Response:
    """What pydantic found; the first problem, since clients show one line. What was sent is not quoted."""
    first = problems[0]
    steps = [str(step) for step in first["loc"][1:] if step not in (WORDS, PARTS)]
    place = ".".join(step for step, _ in groupby(steps)) or "body"  # pydantic names the kind of a part, then its field
    return JSONResponse(body(f"{place}: {first['msg']}", 400, code="invalid_input", param=place), 400)
