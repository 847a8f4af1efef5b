"""What schemathesis cannot know of the API: what a recording is, and what has to be said where a request is refused."""

from __future__ import annotations

import io
import wave
from typing import Any

import schemathesis


def _stillness() -> str:
    """A quarter of a second of WAV all of whose bytes are ASCII: the value must be a string still."""
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setparams((1, 1, 8_000, 0, "NONE", ""))
        recording.writeframes(b"@" * 0x0700)
    return file.getvalue().decode("ascii")


STILLNESS = _stillness()


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Where any text would do for a recording, by the schema, there is one."""
    if isinstance(case.body, dict) and isinstance(case.body.get("file"), str):
        case.body["file"] = STILLNESS


@schemathesis.check
def a_refusal_names_its_field(ctx: Any, response: schemathesis.Response, case: schemathesis.Case) -> None:
    """Of a request that keeps to the schema; what does not may be no JSON at all."""
    if response.status_code == 400 and case.meta and case.meta.generation.mode.is_positive:
        assert response.json()["error"]["param"], "it is not said what is wrong"
