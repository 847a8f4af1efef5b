"""Tools of the daemon's own within a turn: asked, run, asked again, stored, and bounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from edged.errors import CameraOff, InvalidInput
from edged.events import (
    MAX_TOOLS,
    Finished,
    FinishReason,
    Image,
    Measured,
    MessageState,
    OutputFormat,
    OutputKind,
    Role,
    Sampling,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolChoice,
    ToolResult,
    ToolReturned,
    ToolUse,
    TurnEvent,
)
from edged.pipeline.tool_rounds import MAX_ROUNDS
from edged.pipeline.tools import toolbox as toolboxes
from edged.pipeline.tools.local_tool import LocalTool, Occasion
from edged.pipeline.tools.toolbox import MAX_RESULT_CHARACTERS, Toolbox
from edged.pipeline.turn import TurnConductor
from edged.records import OPERATOR, Reader, Scope
from tests.server.scripted import METRICS, USAGE, DictMemory, ScriptedModel, ScriptedRounds, Step, says, until

GUEST = Reader(owner="device:a", sees_all=False, scopes=frozenset({Scope.CHAT}))
THEIRS = Tool(name="theirs", description="The caller's.")


def calls(*names: str, words: str = "", reason: FinishReason = FinishReason.TOOL_CALLS) -> list[Step]:
    steps: list[Step] = [TextDelta(text=words)] if words else []
    for index, name in enumerate(names):
        steps += [ToolCallStarted(index=index, id=f"{name}-{index}", name=name), ToolCallDelta(index=index, text="{}")]
    return [*steps, Measured(usage=USAGE, metrics=METRICS), Finished(finish_reason=reason)]


async def _echo(arguments: Mapping[str, Any], occasion: Occasion) -> str:
    return f"echo of {json.dumps(arguments)} for {occasion.reader.owner or 'the operator'}"


async def _fails(arguments: Mapping[str, Any], occasion: Occasion) -> str:
    raise CameraOff("the camera is switched off")


async def _talks(arguments: Mapping[str, Any], occasion: Occasion) -> str:
    return "x" * 100_000


async def _hangs(arguments: Mapping[str, Any], occasion: Occasion) -> str:
    await asyncio.Event().wait()
    return ""


ECHO = LocalTool(name="echo", description="Says it again.", run=_echo)
TOOLBOX = Toolbox(
    [
        ECHO,
        LocalTool(name="fails", description="", run=_fails),
        LocalTool(name="talks", description="", run=_talks),
        LocalTool(name="hangs", description="", run=_hangs),
        LocalTool(name="peeps", description="", scope=Scope.CAMERA, run=_echo),
    ]
)


async def run(
    model: ScriptedModel, memory: DictMemory | None = None, toolbox: Toolbox = TOOLBOX, **arguments: Any
) -> list[TurnEvent]:
    turns = TurnConductor(model, memory or DictMemory(), max_text_bytes=100, toolbox=toolbox)
    arguments = {"parts": (Text(text="Hello"),), "reader": OPERATOR, **arguments}
    async with aclosing(turns.run(**arguments)) as turn:
        return [event async for event in turn]


async def test_a_tool_is_run_and_the_model_asked_again() -> None:
    model, memory = ScriptedRounds(calls("echo", words="Hm. "), says("So ", "it is.")), DictMemory()
    events = await run(model, memory)
    result = ToolReturned(call_id="echo-0", content="echo of {} for the operator")
    assert events[1:-2] == [
        TextDelta(text="Hm. "),
        ToolCallStarted(index=0, id="echo-0", name="echo"),
        ToolCallDelta(index=0, text="{}"),
        result,
        TextDelta(text="So "),
        TextDelta(text="it is."),
    ]
    measured, finished = events[-2:]
    assert isinstance(measured, Measured) and measured.usage.completion_tokens == 2 * USAGE.completion_tokens
    assert finished == Finished(finish_reason=FinishReason.STOP)
    (closing,) = memory.closings
    call = ToolCall(id="echo-0", name="echo", arguments="{}")
    returned = ToolResult(call_id="echo-0", content=result.content)
    assert closing.parts == (Text(text="Hm. "), call, returned, Text(text="So it is."))
    first, second = model.requests
    assert second.messages[:-1] == first.messages
    assert (second.messages[-1].role, second.messages[-1].parts) == (Role.ASSISTANT, closing.parts[:3])


async def test_calls_are_counted_on_and_what_was_required_is_done_once() -> None:
    model = ScriptedRounds(calls("echo", "echo"), calls("echo"), says("Done."))
    events = await run(model, tool_use=ToolUse(tools=(), choice=ToolChoice.NAMED, name="echo"))
    assert [event.index for event in events if isinstance(event, ToolCallStarted)] == [0, 1, 2]
    choices = [request.tool_use.choice for request in model.requests if request.tool_use]
    assert choices == [ToolChoice.NAMED, ToolChoice.AUTO, ToolChoice.AUTO]


async def test_a_model_in_a_circle_has_to_answer_in_the_end() -> None:
    model = ScriptedRounds(*[calls("echo")] * MAX_ROUNDS, says("Enough."))
    events = await run(model)
    assert len(model.requests) == MAX_ROUNDS + 1
    assert model.requests[-1].tool_use is None and model.requests[-2].tool_use is not None
    assert events[-1] == Finished(finish_reason=FinishReason.STOP)


async def test_the_limits_of_an_answer_hold_for_all_its_rounds_together() -> None:
    model = ScriptedRounds(calls("echo"), says("Done."))
    limits = Sampling(max_tokens=USAGE.completion_tokens + 5)
    await run(model, sampling=limits, max_reasoning_tokens=USAGE.reasoning_tokens + 2)
    assert [one.sampling.max_tokens for one in model.requests] == [limits.max_tokens, 5]
    assert [one.max_reasoning_tokens for one in model.requests] == [USAGE.reasoning_tokens + 2, 2]
    model = ScriptedRounds(calls("echo"), says("Done."))
    events = await run(model, sampling=Sampling(max_tokens=USAGE.completion_tokens))
    assert len(model.requests) == 1 and events[-1] == Finished(finish_reason=FinishReason.LENGTH)


async def test_what_goes_wrong_is_told_to_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolboxes, "CALL_SECONDS", 0.01)
    model = ScriptedRounds(calls("fails", "talks", "hangs", "unknown"), says("Well."))
    returned = [event.content for event in await run(model) if isinstance(event, ToolReturned)]
    assert returned[0] == "error: the camera is switched off"
    assert len(returned[1]) < MAX_RESULT_CHARACTERS + 20 and returned[1].endswith("(cut off)")
    assert returned[2].startswith("error: it took longer")
    assert returned[3] == "error: there is no such tool"


async def test_the_callers_calls_end_the_turn() -> None:
    model, memory = ScriptedRounds(calls("theirs", "echo")), DictMemory()
    events = await run(model, memory, tool_use=ToolUse(tools=(THEIRS,)))
    assert events[-1] == Finished(finish_reason=FinishReason.TOOL_CALLS) and len(model.requests) == 1
    assert [event.call_id for event in events if isinstance(event, ToolReturned)] == ["echo-1"]
    (closing,) = memory.closings
    assert closing.state is MessageState.COMPLETE and closing.finish_reason is FinishReason.TOOL_CALLS
    assert [type(part) for part in closing.parts] == [ToolCall, ToolCall, ToolResult]


async def test_a_call_that_was_cut_off_is_neither_run_nor_kept() -> None:
    model, memory = ScriptedRounds(calls("echo", words="Hm", reason=FinishReason.LENGTH)), DictMemory()
    events = await run(model, memory)
    assert not any(isinstance(event, ToolReturned) for event in events)
    assert memory.closings[0].parts == (Text(text="Hm"),)


async def test_whoever_leaves_while_a_tool_runs_ends_it() -> None:
    model, memory = ScriptedRounds(calls("hangs")), DictMemory()
    turn = asyncio.create_task(run(model, memory))
    await until(lambda: model.emitted == 4)
    turn.cancel()
    await until(lambda: memory.closings)
    assert memory.closings[0].state is MessageState.CANCELLED and memory.closings[0].parts == ()


def offered(model: ScriptedModel) -> list[str]:
    use = model.checked[0].tool_use
    assert use == model.requests[0].tool_use
    return [tool.name for tool in use.tools] if use else []


OWN = ["echo", "fails", "talks", "hangs", "peeps"]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({}, OWN),
        ({"reader": GUEST}, OWN[:-1]),
        ({"tool_use": ToolUse(tools=(THEIRS,))}, ["theirs", *OWN]),
        ({"tool_use": ToolUse(tools=(replace(THEIRS, name="echo"),))}, ["echo", *OWN[1:]]),
        ({"tool_use": ToolUse(tools=(THEIRS,), choice=ToolChoice.NONE)}, []),
        ({"tool_use": ToolUse(tools=(THEIRS,), choice=ToolChoice.REQUIRED)}, ["theirs"]),
        ({"tool_use": ToolUse(tools=(THEIRS,), choice=ToolChoice.NAMED, name="theirs")}, ["theirs"]),
        ({"tool_use": ToolUse(tools=(), choice=ToolChoice.REQUIRED)}, OWN),
        ({"output": OutputFormat(kind=OutputKind.JSON)}, []),
    ],
)
async def test_which_tools_a_model_is_told_of(arguments: dict[str, Any], names: list[str]) -> None:
    model = ScriptedModel()
    await run(model, **arguments)
    assert offered(model) == names


async def test_a_full_list_of_the_callers_leaves_no_room_for_others() -> None:
    model = ScriptedModel()
    await run(model, tool_use=ToolUse(tools=tuple(replace(THEIRS, name=f"t{i}") for i in range(MAX_TOOLS - 1))))
    assert len(offered(model)) == MAX_TOOLS


async def test_a_scope_counts_for_the_call_as_well() -> None:
    """A model may write the name of a tool that it was not told of, as a past conversation has it."""
    returned = await TOOLBOX.call(ToolCall(id="1", name="peeps", arguments="{}"), Occasion(reader=GUEST))
    assert returned == "error: there is no such tool"


async def test_no_tools_is_what_there_is_without_configuration() -> None:
    model = ScriptedModel()
    await run(model, toolbox=Toolbox())
    assert offered(model) == []


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ((ToolCall(id="1", name="echo", arguments="{}"),), "parts[0]"),
        ((ToolResult(call_id="1", content="x"), Text(text="y")), "parts[1]"),
        ((ToolResult(call_id="1", content="x" * 101),), "parts"),
    ],
)
async def test_what_a_caller_may_not_say(parts: tuple[Any, ...], field: str) -> None:
    memory = DictMemory()
    with pytest.raises(InvalidInput) as raised:
        await run(ScriptedModel(), memory, parts=parts)
    assert raised.value.field == field and not memory.opened


async def test_pictures_of_the_conversation_are_at_hand() -> None:
    seen: list[int] = []

    async def look(arguments: Mapping[str, Any], occasion: Occasion) -> str:
        occasion.pictures.append(Image(data=b"\x89PNG2", media_type="image/png"))
        seen.append(len(occasion.pictures))
        return ""

    model = ScriptedRounds(calls("look"), calls("look"), says("Nice."))
    model.can_see = True
    await run(model, toolbox=Toolbox([LocalTool(name="look", description="", run=look)]))
    assert seen == [1, 2]
