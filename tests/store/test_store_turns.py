from __future__ import annotations

import pytest
from talking import USAGE, answer, ask, picture, recording, talk

from edged.errors import Code, ConversationBusy, InvalidInput, NotFound
from edged.events import FinishReason, Message, MessageState, Role, Text
from edged.records import OPERATOR
from edged.store import ConversationStore, KeySource
from edged.store.history import history


def texts(messages: tuple[Message, ...]) -> list[tuple[str, str]]:
    return [(message.role.value, message.text) for message in messages]


def test_a_turn_reads_back_as_it_was_stored(store):
    turn = ask(store, "What is this?", picture(b"\x89PNG\x00"), recording(b"RIFF"), system="Be brief.")
    store.close_turn(
        turn.answer_message_id,
        parts=(Text(text="A cat."),),
        reasoning="It has whiskers.",
        state=MessageState.COMPLETE,
        finish_reason=FinishReason.LENGTH,
        usage=USAGE,
    )
    system, user, reply = store.get(turn.conversation_id, reader=OPERATOR).messages
    assert (system.role, system.text) == (Role.SYSTEM, "Be brief.")
    assert user.id == turn.user_message_id
    assert user.parts == (Text(text="What is this?"), picture(b"\x89PNG\x00"), recording(b"RIFF"))
    assert reply.id == turn.answer_message_id
    assert (reply.text, reply.reasoning, reply.usage, reply.model) == ("A cat.", "It has whiskers.", USAGE, "tiny")
    assert (reply.state, reply.finish_reason) == (MessageState.COMPLETE, FinishReason.LENGTH)
    assert reply.created_at is not None and reply.created_at.utcoffset().total_seconds() == 0
    assert turn.history == (system, user)


def test_history_is_the_system_prompt_then_what_was_said(store):
    first = answer(store, ask(store, "one", system="old"), "1")
    second = answer(store, ask(store, "two", conversation_id=first.conversation_id, system="new"), "2")
    third = ask(store, "three", conversation_id=first.conversation_id)
    expected = [("system", "new"), ("user", "one"), ("assistant", "1"), ("user", "two")]
    assert texts(second.history) == expected
    assert texts(third.history) == [*expected, ("assistant", "2"), ("user", "three")]


def test_the_same_system_prompt_is_stored_once_and_an_empty_one_ends_it(store):
    turn = answer(store, ask(store, "one", system="p"), "1")
    answer(store, ask(store, "two", conversation_id=turn.conversation_id, system="p"), "2")
    last = ask(store, "three", conversation_id=turn.conversation_id, system="")
    stored = store.get(turn.conversation_id, reader=OPERATOR).messages
    assert [message.text for message in stored if message.role is Role.SYSTEM] == ["p", ""]
    assert last.history[0].role is Role.USER


@pytest.mark.parametrize("ending", [MessageState.CANCELLED, MessageState.INTERRUPTED])
def test_a_broken_off_answer_stays_and_an_empty_one_joins_the_questions(store, ending):
    turn = answer(store, ask(store, "one"), "half an ans", ending)
    answer(store, ask(store, "two", conversation_id=turn.conversation_id), "", ending)
    last = ask(store, "three", conversation_id=turn.conversation_id)
    assert texts(last.history) == [("user", "one"), ("assistant", "half an ans"), ("user", "two\nthree")]
    assert [message.state for message in store.get(turn.conversation_id, reader=OPERATOR).messages[1::2]] == [
        ending,
        ending,
        MessageState.PENDING,
    ]


def test_a_question_that_only_met_an_error_is_kept_but_not_shown_to_the_model_again(store):
    turn = answer(store, ask(store, "one"), "1")
    answer(store, ask(store, "too long", conversation_id=turn.conversation_id), "", MessageState.FAILED)
    last = ask(store, "three", conversation_id=turn.conversation_id)
    assert texts(last.history) == [("user", "one"), ("assistant", "1"), ("user", "three")]
    assert [message.text for message in store.get(turn.conversation_id, reader=OPERATOR).messages[2:4]] == [
        "too long",
        "",
    ]


def test_history_takes_turns_whatever_happened():
    def message(role: Role, text: str) -> Message:
        return Message(role=role, parts=(Text(text=text),) if text else ())

    told = [message(Role.USER, "a"), message(Role.ASSISTANT, ""), message(Role.USER, "b"), message(Role.SYSTEM, "s")]
    assert texts(history([*told, message(Role.ASSISTANT, "c"), message(Role.USER, "d")])) == [
        ("system", "s"),
        ("user", "a\nb"),
        ("assistant", "c"),
        ("user", "d"),
    ]
    assert history([]) == ()


def test_one_turn_at_a_time_in_a_conversation_and_several_in_different_ones(store):
    turn = ask(store, "one")
    with pytest.raises(ConversationBusy, match="still being answered") as caught:
        ask(store, "two", conversation_id=turn.conversation_id)
    assert caught.value.code is Code.FAILED_PRECONDITION
    assert len(store.get(turn.conversation_id, reader=OPERATOR).messages) == 2
    ask(store, "elsewhere")
    answer(store, turn, "1")
    ask(store, "two", conversation_id=turn.conversation_id)


def test_an_answer_whose_daemon_died_is_interrupted(state_dir, source: KeySource):
    died = ConversationStore.open(state_dir, source)
    turn = ask(died, "still there?")
    died.close()
    store = ConversationStore.open(state_dir, source)
    user, reply = store.get(turn.conversation_id, reader=OPERATOR).messages
    assert (user.state, reply.state, reply.text) == (MessageState.COMPLETE, MessageState.INTERRUPTED, "")
    assert texts(ask(store, "hello?", conversation_id=turn.conversation_id).history) == [
        ("user", "still there?\nhello?")
    ]
    store.close()


def test_a_conversation_deleted_while_answered_stays_deleted(store):
    turn = ask(store, "forget this")
    store.delete(turn.conversation_id, reader=OPERATOR)
    with pytest.raises(NotFound, match="deleted"):
        answer(store, turn, "too late")
    assert store.list(reader=OPERATOR) == ((), "")
    assert store.search("forget late", reader=OPERATOR) == ((), "")


def test_an_ended_answer_cannot_end_again(store):
    turn = talk(store, "one", "first")
    with pytest.raises(NotFound):
        answer(store, turn, "second")
    assert store.get(turn.conversation_id, reader=OPERATOR).messages[1].text == "first"


@pytest.mark.parametrize(
    ("parts", "message"),
    [((), "empty"), (("",), "empty"), ((" \n\t",), "empty"), (("a\0b",), "NUL"), (("a\ud83d",), "character 2")],
)
def test_what_cannot_be_said_is_refused_and_nothing_stored(store, parts, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        ask(store, *parts)
    assert caught.value.field == "parts"
    assert store.list(reader=OPERATOR) == ((), "")


def test_a_system_prompt_must_be_text_too(store):
    with pytest.raises(InvalidInput) as caught:
        ask(store, "hello", system="\udc00")
    assert caught.value.field == "system_prompt"


def test_an_answer_is_never_refused(store):
    turn = answer(store, ask(store, "hello"), "a\0b\ud800c")
    assert store.get(turn.conversation_id, reader=OPERATOR).messages[1].text == "a\ufffdb\ufffd\ufffd\ufffdc"


@pytest.mark.parametrize("call", ["get", "delete", "ids", "rename", "open_turn"])
def test_an_unknown_conversation_is_named(store, call):
    calls = {
        "get": lambda name: store.get(name, reader=OPERATOR),
        "delete": lambda name: store.delete(name, reader=OPERATOR),
        "ids": lambda name: store.ids([name], reader=OPERATOR),
        "rename": lambda name: store.rename(name, "title", reader=OPERATOR),
        "open_turn": lambda name: ask(store, "hello", conversation_id=name),
    }
    for name in ("nowhere", "-x", "'; DROP TABLE messages", "a\udc80", "a\0"):
        with pytest.raises(NotFound) as caught:
            calls[call](name)
        assert caught.value.resource[0] == "conversation"


def test_ids_are_short_and_safe_on_a_command_line(store):
    turns = [talk(store, "hi") for _ in range(50)]
    ids = {name for turn in turns for name in (turn.conversation_id, turn.user_message_id, turn.answer_message_id)}
    assert len(ids) == 150
    assert all(len(name) == 12 and name.isalnum() and name.isascii() for name in ids)


@pytest.mark.parametrize(
    ("said", "title"),
    [
        (("What is\n the  capital of France?",), "What is the capital of France?"),
        (("word " * 40,), "word word word word word word word word word word word word…"),
        (("長" * 100,), "長" * 60 + "…"),
        (("\x1b[31mred\x07",), "[31mred"),
        (("\U0001f469\u200d\U0001f467 and I",), "\U0001f469\u200d\U0001f467 and I"),
        ((picture(b"1"),), "Image"),
        ((recording(b"1"), "", "and this"), "and this"),
        ((recording(b"1"),), "Recording"),
        (("\x07",), "Untitled"),
    ],
)
def test_a_conversation_is_titled_after_its_first_message(store, said, title):
    turn = ask(store, *said)
    assert store.get(turn.conversation_id, reader=OPERATOR).conversation.title == title


def test_rename(store):
    turn = talk(store, "hello")
    assert store.rename(turn.conversation_id, " A  better\nname ", reader=OPERATOR).title == "A better name"
    assert store.get(turn.conversation_id, reader=OPERATOR).conversation.title == "A better name"
    for title in ("", " \n", "x" * 201, "\ud800", "a\0"):
        with pytest.raises(InvalidInput) as caught:
            store.rename(turn.conversation_id, title, reader=OPERATOR)
        assert caught.value.field == "title"


def test_ids_for_export_are_oldest_first(store):
    names = [talk(store, f"number {i}").conversation_id for i in range(5)]
    talk(store, "again", conversation_id=names[0])
    assert store.ids(reader=OPERATOR) == tuple(names)
    assert store.ids([names[3], names[1], names[3]], reader=OPERATOR) == (names[1], names[3])
    with pytest.raises(NotFound):
        store.ids([names[0], "nowhere"], reader=OPERATOR)


def test_ten_megabytes_of_text(store):
    text = "0123456 " * 1_250_000 + "needle"
    turn = talk(store, text, "short")
    assert store.get(turn.conversation_id, reader=OPERATOR).messages[0].text == text
    (hit,), _ = store.search("needle", reader=OPERATOR)
    assert hit.snippet.endswith("\x02needle\x03")
    assert len(hit.snippet) < 200


def test_status_counts(store, state_dir):
    talk(store, "hello")
    status = store.status()
    assert (status.conversations, status.messages, status.encrypted) == (1, 2, True)
    assert status.database == str(state_dir / "edged.db")
    assert status.database_bytes >= (state_dir / "edged.db").stat().st_size > 0
    assert status.key_source in status.protection


def test_an_id_named_often_is_looked_up_once(store):
    turn = talk(store, "one")
    statements: list[str] = []
    store._db.conn.set_trace_callback(statements.append)
    assert store.ids([turn.conversation_id] * 100, reader=OPERATOR) == (turn.conversation_id,)
    assert len(statements) < 10
