"""Conversations out of one database and into another, beside the daemon that uses it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from talking import answer, ask, picture, recording, talk

from edged.errors import InvalidInput, NotFound
from edged.events import Audio, Image, Message, MessageState, Role, Text
from edged.records import OPERATOR, Transcript
from edged.store import ConversationStore
from edged.store.transfer import transfer


@pytest.fixture
def talked(store) -> ConversationStore:
    """Two conversations, one with a picture and a recording, one that is being answered."""
    shown = Image(data=b"PNG" * 999, media_type="image/png", description="a zebra")
    said = Audio(data=b"RIFF" * 999, media_type="audio/wav", transcript="what is this")
    answer(store, ask(store, "look", shown, said, system="Be brief."), "A zebra.")
    ask(store, "unanswered so far")
    return store


def all_of(state_dir, source) -> list[Transcript]:
    with transfer(state_dir / "edged.db", source) as opened:
        return list(opened.transcripts())


@pytest.mark.usefixtures("talked")
def test_what_went_out_comes_in_as_it_was(state_dir, source, tmp_path):
    out = all_of(state_dir, source)
    other = tmp_path / "other"
    with transfer(other / "edged.db", source) as opened:
        assert [opened.insert(transcript) for transcript in out] == [True, True]
        assert [opened.insert(transcript) for transcript in out] == [False, False]
    came = all_of(other, source)
    assert came[0] == out[0]
    # Nobody is answering it there.
    assert [message.state for message in came[1].messages] == [MessageState.COMPLETE, MessageState.INTERRUPTED]
    store = ConversationStore.open(other, source)
    assert store.search("zebra", reader=OPERATOR)[0] and store.search("what is this", reader=OPERATOR)[0]
    talk(store, "and on", conversation_id=out[0].conversation.id)
    store.delete(out[0].conversation.id, reader=OPERATOR)
    store.close()


def test_a_daemon_goes_on_meanwhile(talked, state_dir, source):
    with transfer(state_dir / "edged.db", source) as opened:
        reading = opened.transcripts()
        first = next(reading)
        name = talk(talked, "meanwhile").conversation_id
        talked.delete(name, reader=OPERATOR)
        assert len(list(reading)) == 1
        copy = replace(first, conversation=replace(first.conversation, id="copy"), messages=(renamed(first, "copied"),))
        assert opened.insert(copy)
    assert talked.get("copy", reader=OPERATOR).messages[0].parts == copy.messages[0].parts
    # What was being answered still is.
    assert talked.status().messages == 6


def renamed(transcript: Transcript, name: str) -> Message:
    return replace(transcript.messages[1], id=name)


def test_named_ones_only_and_none_that_is_not_there(talked, state_dir, source):
    name = talked.ids(reader=OPERATOR)[1]
    with transfer(state_dir / "edged.db", source) as opened:
        assert [one.conversation.id for one in opened.transcripts([name])] == [name]
        with pytest.raises(NotFound):
            list(opened.transcripts(["nonesuch"]))


@pytest.mark.usefixtures("talked")
def test_what_cannot_be_is_refused_whole(state_dir, source, tmp_path):
    good = all_of(state_dir, source)[0]
    question = good.messages[1]
    conversation = good.conversation
    hostile = {
        "no messages": replace(good, messages=()),
        "an id of a path": replace(good, conversation=replace(conversation, id="../../x")),
        "a long id": replace(good, conversation=replace(conversation, id="x" * 65)),
        "no id": replace(good, messages=(replace(question, id=""),)),
        "two of one id": replace(good, messages=(question, question)),
        "no title": replace(good, conversation=replace(conversation, title="")),
        "a title with NUL": replace(good, conversation=replace(conversation, title="a\0b")),
        "an owner with NUL": replace(good, conversation=replace(conversation, owner="a\0b")),
    }
    with transfer(tmp_path / "other" / "edged.db", source) as opened:
        for what, transcript in hostile.items():
            with pytest.raises(InvalidInput) as caught:
                opened.insert(transcript)
            assert "\n" not in caught.value.message, what
        assert list(opened.transcripts()) == []
        assert opened.insert(good)
        # Under another id, with the messages of that one.
        with pytest.raises(InvalidInput, match="another conversation"):
            opened.insert(replace(good, conversation=replace(conversation, id="another")))
        assert len(list(opened.transcripts())) == 1


def test_text_that_cannot_be_stored_is_mended(store, state_dir, source):
    parts = (Text(text="a\0b\ud800"), replace(picture(b"x"), description="c\0d"), recording(b"y"))
    transcript = Transcript(
        conversation=replace(first_conversation(store), id="mended"),
        messages=(Message(role=Role.USER, parts=parts, id="m1"),),
    )
    with transfer(state_dir / "edged.db", source) as opened:
        assert opened.insert(transcript)
    message = store.get("mended", reader=OPERATOR).messages[0]
    assert message.text.startswith("a\ufffdb\ufffd")
    assert message.parts[1].description == "c\ufffdd"


def first_conversation(store):
    return store.get(talk(store, "hello").conversation_id, reader=OPERATOR).conversation


@pytest.mark.usefixtures("talked")
def test_the_signing_key_stays_the_same(state_dir, source, tmp_path):
    with transfer(state_dir / "edged.db", source) as opened:
        seed = opened.signing_seed()
        assert len(seed) == 32
    with transfer(state_dir / "edged.db", source) as opened:
        assert opened.signing_seed() == seed
    with transfer(tmp_path / "other" / "edged.db", source) as opened:
        assert opened.signing_seed() != seed
