"""Thinking that is cut short while it goes on."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import pytest

from edged.client import Client
from edged.errors import Code, NotFound, RemoteError
from edged.events import (
    Finished,
    FinishReason,
    Measured,
    OutputFormat,
    OutputKind,
    ReasoningDelta,
    Started,
    Text,
    TextDelta,
)
from edged.pipeline.turn import TurnConductor
from edged.records import OPERATOR, Reader
from tests.server.conftest import Daemon
from tests.server.real import everything_real
from tests.server.scripted import END, WAIT, DictMemory, ScriptedModel
from tests.tiny_artefact import tiny_artefact


async def test_it_is_closed_within_a_token(tmp_path: Path) -> None:
    """A random model would think until its context ends."""
    tiny_artefact(tmp_path, slow_ms=2)
    async with everything_real(tmp_path) as client:
        assert (await client.get_model()).thinks
        thought, said, reason = 0, "", None
        output = OutputFormat(kind=OutputKind.REGEX, text="[a-z]{3,9}")
        turn = client.ask([Text(text="Well?")], enable_thinking=True, output=output, sampling={"max_tokens": 1500})
        async with aclosing(turn) as events:
            async for event in events:
                match event:
                    case Started(answer_message_id=answer_id):
                        pass
                    case ReasoningDelta():
                        thought += 1
                        if thought == 3:
                            await client.stop_thinking(answer_id)
                    case TextDelta(text=text):
                        said += text
                    case Finished(finish_reason=reason):
                        pass
        assert 3 <= len(said) <= 9 and said.isalpha()
        assert reason is FinishReason.STOP and thought < 500
        with pytest.raises(RemoteError) as raised:
            await client.stop_thinking(answer_id)
        assert raised.value.code is Code.NOT_FOUND


async def test_only_who_asked_may_cut_it_short() -> None:
    model, mine = ScriptedModel([ReasoningDelta(text="Hm"), WAIT, *END]), Reader(owner="device:a", sees_all=False)
    turns = TurnConductor(model, DictMemory(), 1000)
    events = turns.run(parts=(Text(text="Well?"),), reader=mine, enable_thinking=True)
    started = await anext(events)
    assert isinstance(started, Started) and await anext(events) == ReasoningDelta(text="Hm")
    with pytest.raises(NotFound):
        turns.stop_thinking(started.answer_message_id, Reader(owner="device:b", sees_all=False))
    with pytest.raises(NotFound):
        turns.stop_thinking("", mine)
    stop = model.requests[0].stop_thinking
    assert stop is not None and not stop.is_set()
    turns.stop_thinking(started.answer_message_id, OPERATOR)
    turns.stop_thinking(started.answer_message_id, mine)
    assert stop.is_set()
    model.release.set()
    rest = [event async for event in events]
    assert isinstance(rest[0], Measured) and rest[-1] == Finished(finish_reason=FinishReason.STOP)
    with pytest.raises(NotFound):
        turns.stop_thinking(started.answer_message_id, mine)


async def test_an_answer_that_is_none(daemon: Daemon, client: Client) -> None:
    with pytest.raises(RemoteError) as raised:
        await client.stop_thinking("c1/assistant1")
    assert (raised.value.code, raised.value.resource) == (Code.NOT_FOUND, ("answer", "c1/assistant1"))
