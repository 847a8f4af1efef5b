"""Every path through a turn stores the message before it answers, and closes the answer exactly once."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.errors import InvalidInput, NotFound, QueueFull, StoreFull, Unavailable
from edged.events import (
    ContextTrimmed,
    Finished,
    FinishReason,
    Image,
    MessageState,
    ReasoningDelta,
    Role,
    Sampling,
    Started,
    Text,
    TextDelta,
    TurnEvent,
)
from edged.pipeline.turn import TurnConductor
from edged.records import OPERATOR
from tests.server.scripted import END, USAGE, WAIT, DictMemory, ScriptedModel, Step, says, until

HELLO = (Text(text="Hello"),)


def conductor(model: ScriptedModel, memory: DictMemory) -> TurnConductor:
    return TurnConductor(model, memory, max_text_bytes=100)


async def take(turns: TurnConductor, count: int | None = None, **arguments: object) -> list[TurnEvent]:
    """The first `count` events, or all; then the iterator is closed."""
    taken: list[TurnEvent] = []
    async with aclosing(turns.run(**{"parts": HELLO, "reader": OPERATOR, **arguments})) as turn:  # type: ignore[arg-type]
        async for event in turn:
            taken.append(event)
            if len(taken) == count:
                break
    return taken


async def test_a_turn_is_stored_relayed_and_closed() -> None:
    model = ScriptedModel([ContextTrimmed(dropped_messages=2), ReasoningDelta(text="hm"), *says("Par", "is")])
    memory = DictMemory()
    events = await take(conductor(model, memory), system_prompt="Be brief")
    started = Started(conversation_id="c1", user_message_id="c1/user1", answer_message_id="c1/assistant2", model="tiny")
    assert events == [started, *model.script]
    (closing,) = memory.closings
    assert (closing.text, closing.reasoning, closing.usage) == ("Paris", "hm", USAGE)
    assert (closing.state, closing.finish_reason) == (MessageState.COMPLETE, FinishReason.STOP)
    assert [message.role for message in model.requests[0].messages] == [Role.SYSTEM, Role.USER]


async def test_a_conversation_without_a_system_prompt_gets_the_assistants_own_which_is_not_stored() -> None:
    model, memory = ScriptedModel(), DictMemory()
    turns = TurnConductor(model, memory, max_text_bytes=100, system_prompt="Be kind")
    await take(turns)
    await take(turns, system_prompt="Be brief")
    assert [request.messages[0].text for request in model.requests] == ["Be kind", "Be brief"]
    assert [len(request.messages) for request in model.requests] == [2, 2]
    assert [message.role for message in memory.messages["c1"]] == [Role.USER, Role.ASSISTANT]


async def test_the_message_is_stored_before_started_and_the_answer_before_finished() -> None:
    model, memory = ScriptedModel(), DictMemory()
    async with aclosing(conductor(model, memory).run(parts=HELLO, reader=OPERATOR)) as turn:
        async for event in turn:
            assert memory.opened == 1
            assert (not model.requests) == isinstance(event, Started)
            assert bool(memory.closings) == isinstance(event, Finished)


async def test_the_engine_sees_history_model_sampling_and_thinking() -> None:
    model, memory = ScriptedModel(), DictMemory()
    turns = conductor(model, memory)
    await take(turns)
    await take(turns, conversation_id="c1", sampling=Sampling(temperature=0), enable_thinking=True)
    request = model.requests[1]
    assert [message.text for message in request.messages] == ["Hello", "Paris.", "Hello"]
    assert (request.model, request.sampling.temperature, request.enable_thinking) == ("tiny", 0, True)
    assert [message.text for message in model.checked[1].messages] == ["Hello"]


@pytest.mark.parametrize(
    ("arguments", "error", "field"),
    [
        ({"parts": ()}, InvalidInput, "parts"),
        ({"parts": (Text(text=" \n\t"),)}, InvalidInput, "parts"),
        ({"parts": (Text(text=""), Text(text=" "))}, InvalidInput, "parts"),
        ({"parts": (Text(text="é" * 51),)}, InvalidInput, "parts"),
        ({"parts": (Text(text="a" * 60), Text(text="b" * 41))}, InvalidInput, "parts"),
        ({"parts": (Text(text="see"), Image(data=b"", media_type="image/png"))}, InvalidInput, "parts[1]"),
        ({"parts": (Text(text="\udcff"),)}, InvalidInput, "parts"),
        ({"system_prompt": "x" * 101}, InvalidInput, "system_prompt"),
        ({"sampling": Sampling(temperature=3)}, InvalidInput, "sampling.temperature"),
        ({"model": "huge"}, NotFound, ""),
        ({"conversation_id": "c9"}, NotFound, ""),
    ],
)
async def test_what_is_refused_is_not_stored(
    arguments: dict[str, object], error: type[InvalidInput | NotFound], field: str
) -> None:
    model, memory = ScriptedModel(), DictMemory()
    with pytest.raises(error) as raised:
        await take(conductor(model, memory), **arguments)
    assert raised.value.field == field
    assert (memory.opened, memory.closings, model.requests) == (0, [], [])


async def test_the_limit_itself_is_taken_and_named_beyond() -> None:
    turns = conductor(ScriptedModel(), DictMemory())
    await take(turns, parts=(Text(text="x" * 100),))
    with pytest.raises(InvalidInput, match="101 bytes long; the limit is 100"):
        await take(turns, parts=(Text(text="x" * 101),))


async def test_a_picture_needs_no_text() -> None:
    memory = DictMemory()
    await take(conductor(ScriptedModel(), memory), parts=(Image(data=b"x", media_type="image/png"),))
    assert memory.closings[0].state is MessageState.COMPLETE


async def test_a_full_queue_leaves_nothing_behind() -> None:
    model, memory = ScriptedModel(), DictMemory()
    model.refusal = QueueFull("busy", retry_seconds=2)
    with pytest.raises(QueueFull):
        await take(conductor(model, memory))
    assert memory.opened == 0


@pytest.mark.parametrize("error", [Unavailable("gone"), ValueError("bug"), OSError("disk")])
async def test_an_engine_that_fails_is_stored_as_failed(error: Exception) -> None:
    model, memory = ScriptedModel([TextDelta(text="Par"), error]), DictMemory()
    with pytest.raises(type(error)):
        await take(conductor(model, memory))
    (closing,) = memory.closings
    assert (closing.text, closing.state, closing.finish_reason) == ("Par", MessageState.FAILED, None)


async def test_an_engine_that_stops_without_a_word_is_an_error() -> None:
    model, memory = ScriptedModel([TextDelta(text="Par")]), DictMemory()
    with pytest.raises(RuntimeError, match="without Finished"):
        await take(conductor(model, memory))
    assert memory.closings[0].state is MessageState.FAILED


async def test_an_engine_that_was_told_to_stop_is_stored_as_cancelled() -> None:
    model, memory = ScriptedModel([TextDelta(text="P"), Finished(finish_reason=FinishReason.CANCELLED)]), DictMemory()
    await take(conductor(model, memory))
    assert memory.closings[0].state is MessageState.CANCELLED


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_a_consumer_that_leaves_stops_the_engine_at_once(count: int) -> None:
    model, memory = ScriptedModel(says(*"abcdefgh")), DictMemory()
    await take(conductor(model, memory), count)
    (closing,) = memory.closings
    assert (closing.state, closing.finish_reason) == (MessageState.CANCELLED, FinishReason.CANCELLED)
    assert closing.text == "abcdefgh"[: count - 1]
    assert model.running == 0
    assert model.emitted == count - 1


async def test_leaving_at_finished_is_no_cancellation() -> None:
    model, memory = ScriptedModel(says("a")), DictMemory()
    await take(conductor(model, memory), 4)
    assert [closing.state for closing in memory.closings] == [MessageState.COMPLETE]


async def test_a_cancelled_task_still_stores_even_when_cancelled_twice() -> None:
    model, memory = ScriptedModel([TextDelta(text="Par"), WAIT]), DictMemory()
    task = asyncio.create_task(take(conductor(model, memory)))
    await until(lambda: model.emitted)
    memory.slow = asyncio.Event()
    task.cancel()
    await until(lambda: memory.closings)
    task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()
    memory.slow.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    (closing,) = memory.closings
    assert (closing.text, closing.state) == ("Par", MessageState.CANCELLED)
    assert memory.messages["c1"][-1].text == "Par"


async def test_cancelled_while_the_message_is_being_stored() -> None:
    model, memory = ScriptedModel(), DictMemory(slow=asyncio.Event())
    task = asyncio.create_task(take(conductor(model, memory)))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.sleep(0.01)
    assert memory.slow is not None
    memory.slow.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [closing.state for closing in memory.closings] == [MessageState.CANCELLED]
    assert model.requests == []


async def test_cancelled_while_storing_fails_is_no_unseen_error() -> None:
    memory = DictMemory(slow=asyncio.Event(), open_error=StoreFull("full"))
    task = asyncio.create_task(take(conductor(ScriptedModel(), memory)))
    await asyncio.sleep(0.01)
    task.cancel()
    assert memory.slow is not None
    memory.slow.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert memory.closings == []


async def test_a_full_disk_is_told_instead_of_finished() -> None:
    model, memory = ScriptedModel(says("a")), DictMemory(close_error=StoreFull("the disk is full"))
    with pytest.raises(StoreFull):
        await take(conductor(model, memory))
    assert len(memory.closings) == 1


async def test_the_next_turn_waits_for_one_that_is_just_being_cancelled() -> None:
    model, memory = ScriptedModel([TextDelta(text="a"), WAIT, *END]), DictMemory()
    turns = conductor(model, memory)
    first = asyncio.create_task(take(turns))
    await until(lambda: model.emitted)
    memory.slow = asyncio.Event()
    first.cancel()
    await until(lambda: memory.closings)
    second = asyncio.create_task(take(turns, 1, conversation_id="c1"))
    await asyncio.sleep(0.01)
    assert memory.opened == 1
    memory.slow.set()
    await second
    assert [message.state for message in memory.messages["c1"] if message.role is Role.ASSISTANT] == [
        MessageState.CANCELLED,
        MessageState.CANCELLED,
    ]
    await asyncio.gather(first, return_exceptions=True)
    assert turns._running == {}


STEPS: st.SearchStrategy[Step] = st.one_of(
    st.text(max_size=3).map(lambda text: TextDelta(text=text)),
    st.text(max_size=3).map(lambda text: ReasoningDelta(text=text)),
    st.sampled_from([*END, Unavailable("gone"), ValueError("bug")]),
)


@given(script=st.lists(STEPS, min_size=1, max_size=8), count=st.integers(0, 10), cancel=st.booleans())
def test_every_path_closes_once_and_stores_what_was_shown(script: list[Step], count: int, cancel: bool) -> None:
    asyncio.run(_one_path(script, count, cancel))


async def _one_path(script: list[Step], count: int, cancel: bool) -> None:
    model, memory = ScriptedModel(script), DictMemory()
    seen: list[TurnEvent] = []

    async def consume() -> None:
        async with aclosing(conductor(model, memory).run(parts=HELLO, reader=OPERATOR)) as turn:
            async for event in turn:
                seen.append(event)
                if len(seen) == count:
                    if not cancel:
                        return
                    this = asyncio.current_task()
                    assert this is not None
                    this.cancel()

    await asyncio.gather(consume(), return_exceptions=True)
    (closing,) = memory.closings
    assert model.running == 0
    assert closing.text == "".join(event.text for event in seen if isinstance(event, TextDelta))
    assert closing.reasoning == "".join(event.text for event in seen if isinstance(event, ReasoningDelta))
    finished = any(isinstance(event, Finished) for event in seen)
    assert not finished or closing.state is MessageState.COMPLETE
