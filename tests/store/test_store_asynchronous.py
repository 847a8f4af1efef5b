from __future__ import annotations

import asyncio
import threading

import pytest
from talking import talk

from edged.errors import NotFound, StoreError
from edged.events import FinishReason, MessageState, Text
from edged.pipeline.ports import Memory
from edged.records import OPERATOR
from edged.store import AsyncStore, ConversationStore


@pytest.fixture
async def memory(state_dir, source):
    opened = await AsyncStore.open(state_dir, source)
    yield opened
    await opened.close()


async def ask(memory: Memory, text: str, conversation_id: str = ""):
    return await memory.open_turn(
        conversation_id=conversation_id, parts=(Text(text=text),), system_prompt=None, model="tiny", reader=OPERATOR
    )


async def answer(memory: Memory, turn, text: str) -> None:
    await memory.close_turn(
        turn.answer_message_id,
        parts=(Text(text=text),),
        reasoning="",
        state=MessageState.COMPLETE,
        finish_reason=FinishReason.STOP,
        usage=None,
    )


class HeldUp:
    """Holds the store's thread inside a call until told to go on."""

    def __init__(self, memory: AsyncStore) -> None:
        self._go_on = threading.Event()
        self.held = asyncio.ensure_future(memory._run(self._go_on.wait))

    def release(self) -> None:
        self._go_on.set()


async def test_everything_can_be_awaited(memory):
    turn = await ask(memory, "a needle")
    await answer(memory, turn, "found")
    name = turn.conversation_id
    assert [conversation.id for conversation in (await memory.list(reader=OPERATOR))[0]] == [name]
    assert len((await memory.search("needle", reader=OPERATOR))[0]) == 1
    assert (await memory.rename(name, "Needles", reader=OPERATOR)).title == "Needles"
    assert [transcript.conversation.title async for transcript in memory.export(reader=OPERATOR)] == ["Needles"]
    assert (await memory.get(name, reader=OPERATOR)).messages[1].text == "found"
    assert (await memory.status()).conversations == 1
    await memory.delete(name, reader=OPERATOR)
    with pytest.raises(NotFound):
        await memory.get(name, reader=OPERATOR)


async def test_calls_run_in_order_on_one_thread(memory):
    names = await asyncio.gather(*(memory._run(lambda: threading.current_thread().name) for _ in range(20)))
    assert len(set(names)) == 1
    assert names[0].startswith("edged-store")
    turns = await asyncio.gather(*(ask(memory, f"number {i}") for i in range(10)))
    assert [conversation.id for conversation in (await memory.list(reader=OPERATOR))[0]] == [
        t.conversation_id for t in turns
    ][::-1]


async def test_a_cancelled_close_is_completed_before_the_caller_goes_on(memory):
    turn = await ask(memory, "hello")
    hold = HeldUp(memory)
    closing = asyncio.create_task(answer(memory, turn, "there"))
    for _ in range(3):  # however often it is told
        await asyncio.sleep(0)
        closing.cancel()
    assert not closing.done()
    hold.release()
    with pytest.raises(asyncio.CancelledError):
        await closing
    reply = (await memory.get(turn.conversation_id, reader=OPERATOR)).messages[1]
    assert (reply.text, reply.state) == ("there", MessageState.COMPLETE)
    await hold.held


async def test_a_cancelled_open_leaves_a_cancelled_answer_and_a_free_conversation(memory):
    first = await ask(memory, "one")
    await answer(memory, first, "1")
    hold = HeldUp(memory)
    opening = asyncio.create_task(ask(memory, "two", first.conversation_id))
    await asyncio.sleep(0)
    opening.cancel()
    hold.release()
    with pytest.raises(asyncio.CancelledError):
        await opening
    *_, user, reply = (await memory.get(first.conversation_id, reader=OPERATOR)).messages
    assert (user.text, user.state) == ("two", MessageState.COMPLETE)
    assert (reply.state, reply.finish_reason) == (MessageState.CANCELLED, FinishReason.CANCELLED)
    await answer(memory, await ask(memory, "three", first.conversation_id), "3")
    await hold.held


async def test_a_cancelled_call_that_fails_is_just_cancelled(memory):
    hold = HeldUp(memory)
    opening = asyncio.create_task(ask(memory, "hello", "nowhere"))
    await asyncio.sleep(0)
    opening.cancel()
    hold.release()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await hold.held


async def test_a_cancelled_start_leaves_nothing_open(state_dir, source):
    opening = asyncio.create_task(AsyncStore.open(state_dir, source))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert not (state_dir / "edged.db-wal").exists()
    await (await AsyncStore.open(state_dir, source)).close()


async def test_a_failed_start_raises_and_ends_its_thread(tmp_path, source):
    (tmp_path / "state").write_text("")
    with pytest.raises(StoreError):
        await AsyncStore.open(tmp_path / "state", source)


async def test_a_thread_that_has_ended_is_an_error_of_one_line(state_dir, source):
    memory = await AsyncStore.open(state_dir, source)
    memory._executor.shutdown()
    with pytest.raises(StoreError, match="restart edged"):
        await ask(memory, "anybody?")
    memory._store.close()


async def test_closing_finishes_what_was_asked_for(state_dir, source):
    memory = await AsyncStore.open(state_dir, source)
    hold = HeldUp(memory)
    asking = asyncio.create_task(ask(memory, "hello"))
    await asyncio.sleep(0)
    closing = asyncio.create_task(memory.close())
    await asyncio.sleep(0)
    hold.release()
    turn = await asking
    await closing
    await hold.held
    await memory.close()
    with pytest.raises(StoreError, match="closed"):
        await memory.get(turn.conversation_id, reader=OPERATOR)
    store = ConversationStore.open(state_dir, source)
    assert store.get(turn.conversation_id, reader=OPERATOR).messages[0].text == "hello"
    store.close()


async def test_export_skips_what_is_deleted_meanwhile(state_dir, source):
    store = ConversationStore.open(state_dir, source)
    names = [talk(store, f"number {i}").conversation_id for i in range(4)]
    store.close()
    memory = await AsyncStore.open(state_dir, source)
    exported = []
    async for transcript in memory.export(reader=OPERATOR):
        exported.append(transcript.conversation.id)
        if transcript.conversation.id == names[1]:
            await memory.delete(names[2], reader=OPERATOR)
    assert exported == [names[0], names[1], names[3]]
    with pytest.raises(NotFound):
        [transcript async for transcript in memory.export([names[2]], reader=OPERATOR)]
    await memory.close()
