"""Turns that stay in memory, beside those that are stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edged.config import load_config
from edged.daemon.incognito import IncognitoMemory, passing_store
from edged.daemon.voice import VoiceComposer
from edged.errors import NotFound
from edged.events import FinishReason, MessageState, Text
from edged.pipeline.ports import OpenTurn
from edged.records import OPERATOR, Reader
from edged.store import AsyncStore, KeySource

SECRET = "Xylophonzauberei"
PRIVATE = replace(OPERATOR, is_incognito=True)
PHONE = Reader(owner="device:phone", sees_all=True)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[AsyncStore]:
    opened = await AsyncStore.open(tmp_path / "state", KeySource(kind="file", directory=tmp_path / "key"))
    yield opened
    await opened.close()


@pytest.fixture
async def passing() -> AsyncIterator[AsyncStore]:
    opened = await passing_store()
    yield opened
    await opened.close()


async def talk(memory: IncognitoMemory, reader: Reader, text: str, conversation_id: str = "") -> OpenTurn:
    turn = await memory.open_turn(
        conversation_id=conversation_id, parts=(Text(text=text),), system_prompt=None, model="tiny", reader=reader
    )
    await memory.close_turn(
        turn.answer_message_id,
        parts=(Text(text=f"answer to {text}"),),
        reasoning="",
        state=MessageState.COMPLETE,
        finish_reason=FinishReason.STOP,
        usage=None,
    )
    return turn


async def test_an_incognito_conversation_goes_on_in_memory_and_is_in_no_file_and_no_list(store, passing, tmp_path):
    memory = IncognitoMemory(store, passing)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    first = await talk(memory, PRIVATE, SECRET)
    # Its id is enough, as clients that resume do not all say it again.
    second = await talk(memory, OPERATOR, "and then?", first.conversation_id)
    assert [message.text for message in second.history] == [SECRET, f"answer to {SECRET}", "and then?"]
    assert before == {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert (await store.list(reader=OPERATOR))[0] == ()
    assert (await store.search(SECRET, reader=OPERATOR))[0] == ()
    with pytest.raises(NotFound):
        await store.get(first.conversation_id, reader=OPERATOR)


async def test_other_conversations_are_stored_as_ever(store, passing):
    memory = IncognitoMemory(store, passing)
    kept = await talk(memory, OPERATOR, "hello")
    await talk(memory, PRIVATE, SECRET)
    assert [one.id for one in (await store.list(reader=OPERATOR))[0]] == [kept.conversation_id]
    assert len((await store.get(kept.conversation_id, reader=OPERATOR)).messages) == 2


async def test_nobody_else_goes_on_with_it_even_who_sees_all(store, passing):
    memory = IncognitoMemory(store, passing)
    private = await talk(memory, PRIVATE, SECRET)
    with pytest.raises(NotFound):
        await talk(memory, PHONE, "what was it?", private.conversation_id)


async def test_a_stored_conversation_does_not_become_incognito(store, passing):
    memory = IncognitoMemory(store, passing)
    kept = await talk(memory, OPERATOR, "hello")
    with pytest.raises(NotFound, match="incognito"):
        await talk(memory, PRIVATE, SECRET, kept.conversation_id)
    assert len((await store.get(kept.conversation_id, reader=OPERATOR)).messages) == 2


async def test_it_is_forgotten_when_nobody_goes_on_with_it(store, passing):
    memory = IncognitoMemory(store, passing)
    private = await talk(memory, PRIVATE, SECRET)
    with passing._store._writing() as db:
        db.execute("UPDATE conversations SET updated_at = updated_at - 3601000000")
    await talk(memory, PRIVATE, "another one")
    with pytest.raises(NotFound):
        await talk(memory, PRIVATE, "still there?", private.conversation_id)


@pytest.mark.parametrize("incognito", [False, True])
def test_the_room_is_incognito_if_the_configuration_says_so(tmp_path, incognito):
    config = load_config({"HOME": str(tmp_path), "EDGED_VOICE__INCOGNITO": str(incognito)})
    unused: Any = None
    composer = VoiceComposer(config, unused, unused, unused, unused, unused)
    assert composer._settings.reader == replace(OPERATOR, is_incognito=incognito)


async def test_who_began_it_can_have_it_forgotten_and_nobody_else(store, passing):
    memory = IncognitoMemory(store, passing)
    own = await talk(memory, PRIVATE, SECRET)
    kept = await talk(memory, OPERATOR, "kept")
    assert not await memory.forget(own.conversation_id, reader=PHONE)
    assert not await memory.forget(kept.conversation_id, reader=OPERATOR)
    assert await memory.count() == 1
    assert await memory.forget(own.conversation_id, reader=OPERATOR)
    assert await memory.count() == 0
