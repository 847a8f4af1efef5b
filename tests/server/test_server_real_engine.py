"""The server over the real engine and the real store: refusals come before anything is stored."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import pytest

from edged.client import Client
from edged.errors import Code, RemoteError
from edged.events import Audio, Finished, MessageState, Text, TextDelta, TurnEvent
from tests.server.real import everything_real
from tests.tiny_artefact import tiny_artefact


async def asked(client: Client, **arguments: object) -> list[TurnEvent]:
    async with aclosing(client.ask(**{"parts": [Text(text="Hello")], **arguments})) as turn:  # type: ignore[arg-type]
        return [event async for event in turn]


async def test_an_answer_is_what_is_stored(tmp_path: Path) -> None:
    tiny_artefact(tmp_path)
    async with everything_real(tmp_path) as client:
        events = await asked(client)
        (conversation,) = (await client.list_conversations()).conversations
        answer = (await client.get_conversation(conversation.id)).messages[-1]
    assert isinstance(events[-1], Finished)
    assert answer.text == "".join(event.text for event in events if isinstance(event, TextDelta))
    assert answer.state is MessageState.COMPLETE


async def test_who_asks_learns_how_likely_each_token_was(tmp_path: Path) -> None:
    tiny_artefact(tmp_path)
    async with everything_real(tmp_path) as client:
        events = await asked(client, sampling={"logprobs": 2})
    deltas = [event for event in events if isinstance(event, TextDelta)]
    tokens = [token for delta in deltas for token in delta.logprobs]
    assert b"".join(token.data for token in tokens).decode() == "".join(delta.text for delta in deltas)
    assert all(len(token.top) == 2 and token.top[0].logprob == token.logprob <= 0 for token in tokens)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"sampling": {"logprobs": 21}}, Code.INVALID_ARGUMENT),
        ({"sampling": {"temperature": 3.0}}, Code.INVALID_ARGUMENT),
        ({"sampling": {"stop": ("",)}}, Code.INVALID_ARGUMENT),
        ({"parts": [Audio(data=b"RIFF", media_type="audio/wav")]}, Code.UNIMPLEMENTED),
        ({"parts": [Text(text="word " * 50_000)]}, Code.OUT_OF_RANGE),
        ({"parts": [Text(text="word " * 250_000)]}, Code.INVALID_ARGUMENT),
        ({"model": "huge"}, Code.NOT_FOUND),
        ({"conversation_id": "nothing"}, Code.NOT_FOUND),
    ],
)
async def test_what_is_refused_leaves_nothing_behind(tmp_path: Path, arguments: dict[str, object], code: Code) -> None:
    tiny_artefact(tmp_path)
    async with everything_real(tmp_path) as client:
        with pytest.raises(RemoteError) as raised:
            await asked(client, **arguments)
        assert raised.value.code is code
        assert "\n" not in raised.value.message
        assert (await client.list_conversations()).conversations == ()
        assert isinstance((await asked(client))[-1], Finished)
