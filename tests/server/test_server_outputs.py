"""Forms of answers over the wire, with the real engine and the real store."""

from __future__ import annotations

import json
import re
from contextlib import aclosing
from pathlib import Path

import pytest

from edged.client import Client
from edged.errors import Code, RemoteError
from edged.events import (
    Finished,
    FinishReason,
    MessageState,
    OutputFormat,
    OutputKind,
    SamplingOptions,
    Text,
    TextDelta,
    TurnEvent,
)
from tests.engine.constrained import choices, lark, regex, schema
from tests.server.real import everything_real
from tests.tiny_artefact import tiny_artefact

POINT = schema('{"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}')


async def asked(client: Client, output: OutputFormat, **sampling: object) -> list[TurnEvent]:
    options = SamplingOptions(**{"max_tokens": 200, "temperature": 2.0, "seed": 1} | sampling)  # type: ignore[typeddict-item]
    async with aclosing(client.ask([Text(text="Where?")], sampling=options, output=output)) as turn:
        return [event async for event in turn]


def said(events: list[TurnEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_answers_have_the_form_that_was_asked_for(tmp_path: Path) -> None:
    tiny_artefact(tmp_path)
    async with everything_real(tmp_path) as client:
        assert len(json.loads(said(await asked(client, POINT)))) == 2
        assert re.fullmatch("[a-f]{8}", said(await asked(client, regex("[a-f]{8}"))))
        assert said(await asked(client, lark('start: "(" /[0-9]/ ")"'))).startswith("(")
        assert said(await asked(client, choices("left", "右"))) in ("left", "右")
        assert said(await asked(client, OutputFormat(kind=OutputKind.JSON), max_tokens=3)).startswith("{")


async def test_what_is_stored_is_what_was_said(tmp_path: Path) -> None:
    tiny_artefact(tmp_path)
    async with everything_real(tmp_path) as client:
        events = await asked(client, POINT)
        assert events[-1] == Finished(finish_reason=FinishReason.STOP)
        (conversation,) = (await client.list_conversations()).conversations
        answer = (await client.get_conversation(conversation.id)).messages[-1]
        assert (answer.text, answer.state) == (said(events), MessageState.COMPLETE)
        cut = await asked(client, POINT, max_tokens=1)
        assert cut[-1] == Finished(finish_reason=FinishReason.LENGTH)


@pytest.mark.parametrize(
    ("output", "field"),
    [
        (schema('{"not": {}}'), "output.json_schema"),
        (schema("{"), "output.json_schema"),
        (regex("a(?=b)"), "output.regex"),
        (lark("start: <|im_start|>"), "output.lark"),
        (choices(), "output.choices"),
    ],
)
async def test_a_form_that_cannot_be_kept_leaves_nothing_behind(
    tmp_path: Path, output: OutputFormat, field: str
) -> None:
    tiny_artefact(tmp_path)
    async with everything_real(tmp_path) as client:
        with pytest.raises(RemoteError) as raised:
            await asked(client, output)
        assert (raised.value.code, raised.value.field) == (Code.INVALID_ARGUMENT, field)
        assert "\n" not in raised.value.message
        assert (await client.list_conversations()).conversations == ()


async def test_a_limit_of_thinking_crosses_the_wire(tmp_path: Path) -> None:
    tiny_artefact(tmp_path)
    async with everything_real(tmp_path) as client:
        with pytest.raises(RemoteError) as raised:
            async with aclosing(client.ask([Text(text="Why?")], max_reasoning_tokens=-1)) as turn:
                assert [event async for event in turn] == []
        assert raised.value.field == "max_reasoning_tokens"
