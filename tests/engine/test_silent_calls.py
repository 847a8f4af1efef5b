"""A model that goes on to call where it may call nothing: whoever asked reads words, and no marks."""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from edged.config import EngineConfig
from edged.engine.silent_calls import SilentCalls
from edged.engine.tool_form import GENERIC, LLAMA, MISTRAL, ToolForm
from edged.engine.worker import EngineWorker
from edged.events import (
    Finished,
    FinishReason,
    Message,
    OutputFormat,
    OutputKind,
    ReasoningDelta,
    Role,
    Sampling,
    Text,
    TextDelta,
    ToolCall,
    ToolCallStarted,
    ToolChoice,
    ToolResult,
)
from edged.pipeline.tool_rounds import MAX_ROUNDS
from edged.pipeline.tools.toolbox import Toolbox
from edged.pipeline.turn import TurnConductor
from edged.records import OPERATOR
from tests.engine.scripted import request, scripted_engine, user
from tests.engine.test_tool_calls import BOTH, ROME, calls_in, events_of, reason_of, text_in
from tests.pipeline.test_tool_rounds import ECHO
from tests.server.scripted import DictMemory

NAMES = ("go", "stay")
JSON_ANSWER = '{"name": "Ann", "parameters": {}}'
LLAMA_CALL = '{"name": "go", "parameters": {"city": "Rome"}}'
MISTRAL_CALL = '[TOOL_CALLS] [{"name": "go", "arguments": {}}]'
CASES = [
    (GENERIC, "I know: 2 < 3, <tool box>.", "I know: 2 < 3, <tool box>."),
    (GENERIC, ROME, ""),
    (GENERIC, f"Let me see. {ROME} Well.", "Let me see.  Well."),
    (GENERIC, f"{ROME}\n{ROME}", "\n"),
    (GENERIC, '<tool_call>\n{"name": "unknown"', ""),
    (GENERIC, "So <tool_call> I would rather not.", "So "),
    (GENERIC, "A <tool_", "A <tool_"),
    (LLAMA, LLAMA_CALL, ""),
    (LLAMA, JSON_ANSWER, JSON_ANSWER),
    (LLAMA, "So: " + LLAMA_CALL, "So: " + LLAMA_CALL),
    (MISTRAL, "Hm. " + MISTRAL_CALL, "Hm. "),
    (MISTRAL, "[TOOL", "[TOOL"),
]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(("form", "written", "shown"), CASES)
def test_what_is_shown_of_it(form: ToolForm, written: str, shown: str, size: int) -> None:
    calls = SilentCalls(form, NAMES)
    pieces = [TextDelta(text=written[place : place + size]) for place in range(0, len(written), size)]
    events = [event for piece in pieces for event in calls.push(0, [piece])]
    events += calls.flush([ReasoningDelta(text="Hm")])
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == shown
    assert ReasoningDelta(text="Hm") in events


def earlier_call(says: str) -> tuple[Message, ...]:
    call = ToolCall(id="1", name="go", arguments="{}")
    result = ToolResult(call_id="1", content=says)
    return (user("Where?"), Message(role=Role.ASSISTANT, parts=(call, result, Text(text="There."))), user("Really?"))


@pytest.mark.parametrize("is_declared", [True, False])
def test_neither_where_tools_are_not_to_be_called_nor_where_there_are_none_any_more(
    tmp_path: Path, is_declared: bool
) -> None:
    engine, _ = scripted_engine(tmp_path, capacity=2048, says=f"Let me see. {ROME} Well.")
    wanted = request(user("Where?"), max_tokens=200, logprobs=0)
    if is_declared:
        wanted = replace(wanted, tool_use=replace(BOTH, choice=ToolChoice.NONE))
    else:
        wanted = replace(wanted, messages=earlier_call("It rains."))
    events = events_of(engine, wanted)
    assert (text_in(events), calls_in(events), reason_of(events)) == ("Let me see.  Well.", [], FinishReason.STOP)
    told = [token.text for event in events if isinstance(event, TextDelta) for token in event.logprobs]
    assert "Rome" not in "".join(told)


def test_a_form_of_the_answer_is_what_counts(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, capacity=2048, says='"<tool_call>"')
    form = OutputFormat(kind=OutputKind.JSON_SCHEMA, text=json.dumps({"const": "<tool_call>"}))
    wanted = replace(request(user("x"), max_tokens=20), messages=earlier_call("x"), output=form)
    assert text_in(events_of(engine, wanted)) == '"<tool_call>"'


async def test_a_model_that_calls_for_ever_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a whole turn: it calls as often as it may, and then once more."""
    says = 'Let me see. <tool_call>\n{"name": "echo", "arguments": {}}\n</tool_call>'
    engine, _ = scripted_engine(tmp_path, capacity=4096, says=says)
    monkeypatch.setattr("edged.engine.worker.load_engine", lambda *_: engine)
    worker, memory = EngineWorker(EngineConfig(default="scripted"), [tmp_path]), DictMemory()
    turns = TurnConductor(worker, memory, 1000, toolbox=Toolbox([ECHO]))
    await worker.start()
    try:
        async with aclosing(
            turns.run(parts=(Text(text="Hello"),), reader=OPERATOR, sampling=Sampling(temperature=0, max_tokens=2000))
        ) as turn:
            events = [event async for event in turn]
    finally:
        await worker.close()
    assert sum(isinstance(event, ToolCallStarted) for event in events) == MAX_ROUNDS
    assert events[-1] == Finished(finish_reason=FinishReason.STOP)
    read = "".join(event.text for event in events if isinstance(event, TextDelta))
    (closing,) = memory.closings
    for text in (read, closing.text):
        assert text == "Let me see. " * (MAX_ROUNDS + 1)
