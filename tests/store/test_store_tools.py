"""Calls of tools and their results, stored and read back; results only for calls that wait for one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from talking import answer, ask, talk

from edged.errors import InvalidInput
from edged.events import FinishReason, Message, MessageState, Part, Role, Text, ToolCall, ToolResult
from edged.records import OPERATOR
from edged.store import ConversationStore
from edged.store.store import StoredTurn

ROME = ToolCall(id="aaaaaaaaa", name="go", arguments='{"city": "Rome"}')
OSLO = replace(ROME, id="bbbbbbbbb", arguments='{"city": "Oslo"}')
THERE = ToolResult(call_id=ROME.id, content="It is warm in Xanthopolis.")
LOOKING = Text(text="Let me look.")


def close(store: ConversationStore, turn: StoredTurn, *parts: Part) -> None:
    store.close_turn(
        turn.answer_message_id,
        parts=parts,
        reasoning="",
        state=MessageState.COMPLETE,
        finish_reason=FinishReason.TOOL_CALLS,
        usage=None,
    )


def called(store: ConversationStore, *parts: Part) -> StoredTurn:
    turn = ask(store, "Where is it warm?")
    close(store, turn, *parts)
    return turn


def shown(messages: tuple[Message, ...]) -> list[tuple[Role, tuple[Part, ...]]]:
    return [(message.role, message.parts) for message in messages]


def test_calls_and_results_read_back_as_they_were_stored(store):
    turn = called(store, LOOKING, ROME, OSLO)
    results = (THERE, ToolResult(call_id=OSLO.id, content=""))
    answered = answer(store, ask(store, *results, conversation_id=turn.conversation_id), "In Rome.")
    messages = store.get(turn.conversation_id, reader=OPERATOR).messages
    assert shown(messages[1:3]) == [(Role.ASSISTANT, (LOOKING, ROME, OSLO)), (Role.TOOL, results)]
    assert messages[1].finish_reason is FinishReason.TOOL_CALLS
    assert shown(answered.history) == shown(messages[:3])


def test_what_the_daemon_ran_itself_stands_in_the_answer(store):
    turn = called(store, ROME, THERE, Text(text="In Rome."))
    assert store.get(turn.conversation_id, reader=OPERATOR).messages[1].parts == (ROME, THERE, Text(text="In Rome."))
    with pytest.raises(InvalidInput, match="waits for no results"):
        ask(store, THERE, conversation_id=turn.conversation_id)


@pytest.mark.parametrize(
    "results",
    [
        (),
        ("aaaaaaaaa",),
        ("aaaaaaaaa", "aaaaaaaaa"),
        ("aaaaaaaaa", "bbbbbbbbb", "ccccccccc"),
        ("aaaaaaaaa", "ccccccccc"),
    ],
)
def test_other_results_than_those_of_all_open_calls_are_refused(store, results):
    turn = called(store, ROME, OSLO)
    parts = tuple(ToolResult(call_id=name, content="x") for name in results) or (ToolResult(call_id="", content=""),)
    with pytest.raises(InvalidInput, match="aaaaaaaaa, bbbbbbbbb") as raised:
        ask(store, *parts, conversation_id=turn.conversation_id)
    assert raised.value.field == "parts"
    assert len(store.get(turn.conversation_id, reader=OPERATOR).messages) == 2


def test_results_begin_no_conversation(store):
    with pytest.raises(InvalidInput, match="waits for no results"):
        ask(store, THERE)
    assert store.list(reader=OPERATOR) == ((), "")


def test_results_that_only_met_an_error_are_asked_for_again(store):
    turn = called(store, ROME)
    failed = ask(store, THERE, conversation_id=turn.conversation_id)
    store.close_turn(
        failed.answer_message_id, parts=(), reasoning="", state=MessageState.FAILED, finish_reason=None, usage=None
    )
    again = ask(store, THERE, conversation_id=turn.conversation_id)
    assert [role for role, _ in shown(again.history)] == [Role.USER, Role.ASSISTANT, Role.TOOL]


def test_whoever_goes_on_without_results_leaves_the_calls_behind(store):
    turn = called(store, ROME)
    spoken = called(store, LOOKING, OSLO)
    assert shown(ask(store, "Never mind.", conversation_id=turn.conversation_id).history) == [
        (Role.USER, (Text(text="Where is it warm?"), Text(text="Never mind.")))
    ]
    assert [parts for _, parts in shown(ask(store, "Well?", conversation_id=spoken.conversation_id).history)] == [
        (Text(text="Where is it warm?"),),
        (LOOKING,),
        (Text(text="Well?"),),
    ]


def test_only_what_was_said_is_found(store):
    turn = called(store, LOOKING, ROME, THERE, Text(text="In Xanthopolis."))
    hits, _ = store.search("Xanthopolis", reader=OPERATOR)
    assert [hit.message_id for hit in hits] == [turn.answer_message_id]
    assert store.search("warm in", reader=OPERATOR)[0] == ()
    assert store.search("Rome", reader=OPERATOR)[0] == ()


def test_they_are_deleted_with_the_conversation(store):
    kept, turn = talk(store, "Stay"), called(store, ROME, THERE)
    store.delete(turn.conversation_id, reader=OPERATOR)
    assert [one.id for one in store.list(reader=OPERATOR)[0]] == [kept.conversation_id]


def test_what_cannot_be_stored_is_replaced_in_answers_and_refused_in_results(store):
    turn = called(store, replace(ROME, arguments='{"city": "\ud800\0"}'))
    (call,) = store.get(turn.conversation_id, reader=OPERATOR).messages[1].parts
    assert "\ufffd" in call.arguments and not {"\ud800", "\0"} & set(call.arguments)
    with pytest.raises(InvalidInput, match="NUL"):
        ask(store, replace(THERE, content="\0"), conversation_id=turn.conversation_id)
