"""What the command line shows of tools that the daemon runs in an answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edged.events import Finished, FinishReason, Measured, TextDelta, ToolCallDelta, ToolCallStarted
from edged.pipeline.tools.clock import clock_tool
from edged.pipeline.tools.toolbox import Toolbox
from tests.cli.conftest import Edged, ScriptedDaemon
from tests.server.scripted import METRICS, USAGE, ScriptedRounds, says

TOLD = "It is Friday, November 27, 2026, 15:05 (UTC+00:00)."


@pytest.fixture
def daemon(home: Path) -> Iterator[ScriptedDaemon]:
    called = [
        TextDelta(text="Let me see."),
        ToolCallStarted(index=0, id="aaaaaaaaa", name="clock"),
        ToolCallDelta(index=0, text="{"),
        ToolCallDelta(index=0, text="}"),
        Measured(usage=USAGE, metrics=METRICS),
        Finished(finish_reason=FinishReason.TOOL_CALLS),
    ]
    daemon = ScriptedDaemon(
        home / "socket",
        model=ScriptedRounds(called, says("Three.")),
        toolbox=Toolbox([clock_tool(lambda: datetime(2026, 11, 27, 15, 5, tzinfo=UTC))]),
    )
    daemon.begin()
    yield daemon
    daemon.end()


def test_a_call_is_a_line_beside_the_answer(daemon: ScriptedDaemon, edged: Edged) -> None:
    done = edged("ask", "How late is it?")
    assert (done.exit_code, done.stdout) == (0, "Let me see.\nThree.\n")
    assert "called clock {}\n" in done.stderr


def test_json_has_the_calls(daemon: ScriptedDaemon, edged: Edged) -> None:
    answer = json.loads(edged("ask", "--json", "How late is it?").stdout)
    assert answer["text"] == "Let me see.Three."
    assert answer["tool_calls"] == [{"id": "aaaaaaaaa", "name": "clock", "arguments": "{}", "result": TOLD}]


def test_a_conversation_shows_and_exports_them(daemon: ScriptedDaemon, edged: Edged) -> None:
    edged("ask", "How late is it?")
    text = edged("conversations", "show", "c1").stdout
    assert text.endswith(f"assistant:\nLet me see.\n[called clock {{}}]\n[returned] {TOLD}\nThree.\n")
    document = json.loads(edged("conversations", "export", "--json").stdout)
    assert document[0]["messages"][1]["parts"][1:3] == [
        {"type": "tool_call", "id": "aaaaaaaaa", "name": "clock", "arguments": "{}"},
        {"type": "tool_result", "call_id": "aaaaaaaaa", "content": TOLD},
    ]
