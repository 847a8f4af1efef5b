"""Whose conversations are whose: what a reader does not see does not exist for them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from talking import answer

from edged.errors import ConversationBusy, NotFound
from edged.events import Text
from edged.records import OPERATOR, Reader
from edged.store import ConversationStore
from edged.store.store import StoredTurn

ANNA = Reader(owner="person:Anna", sees_all=False)
TABLET = Reader(owner="device:1", sees_all=False)
NURSE = Reader(owner="device:2", sees_all=True)
READERS = (ANNA, TABLET, NURSE, OPERATOR)


def begin(store: ConversationStore, reader: Reader, text: str, conversation_id: str = "") -> StoredTurn:
    turn = store.open_turn(
        conversation_id=conversation_id, parts=(Text(text=text),), system_prompt=None, model="tiny", reader=reader
    )
    return answer(store, turn, "Yes.")


@pytest.mark.parametrize("conversation_id", ["hidden", "ghost"])
def test_what_is_not_seen_is_as_if_it_were_not_there(store: ConversationStore, conversation_id: str) -> None:
    hidden = begin(store, ANNA, "a secret lighthouse").conversation_id
    name = hidden if conversation_id == "hidden" else "ghostghostgh"
    calls = (
        partial(store.get, name, reader=TABLET),
        partial(store.rename, name, "mine", reader=TABLET),
        partial(store.delete, name, reader=TABLET),
        partial(store.ids, [name], reader=TABLET),
        partial(begin, store, TABLET, "and?", name),
    )
    for call in calls:
        with pytest.raises(NotFound) as caught:
            call()
        assert caught.value.message == f'no conversation "{name}": `edged conversations list` shows what there is'
    assert store.search("lighthouse", reader=TABLET) == ((), "")
    assert store.search("a", reader=TABLET) == ((), "")
    assert store.list(reader=TABLET) == ((), "")
    assert store.ids(reader=TABLET) == ()
    assert store.get(hidden, reader=ANNA).messages[0].text == "a secret lighthouse"


def test_that_somebody_is_being_answered_is_nobody_elses_business(store: ConversationStore) -> None:
    turn = store.open_turn(conversation_id="", parts=(Text(text="hi"),), system_prompt=None, model="tiny", reader=ANNA)
    with pytest.raises(NotFound):
        begin(store, TABLET, "and?", turn.conversation_id)
    with pytest.raises(ConversationBusy):
        begin(store, ANNA, "and?", turn.conversation_id)


def test_who_goes_on_with_a_conversation_does_not_take_it(store: ConversationStore) -> None:
    conversation = begin(store, ANNA, "mine").conversation_id
    begin(store, NURSE, "may I?", conversation)
    assert len(store.get(conversation, reader=ANNA).messages) == 4
    assert store.list(reader=Reader(owner=NURSE.owner, sees_all=False)) == ((), "")


@dataclass
class Kept:
    owner: str
    words: list[str] = field(default_factory=list)


class Owners(RuleBasedStateMachine):
    """Against a dictionary: after whatever was done, each reader sees exactly what is theirs, page by page."""

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, Kept] = {}
        self.folder = tempfile.TemporaryDirectory()
        self.store = ConversationStore(Path(self.folder.name) / "edged.db", None)

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    def drawn(self, data: st.DataObject) -> str:
        """By place: ids are other ones each time."""
        return list(self.model)[data.draw(st.integers(0, len(self.model) - 1))]

    def seen(self, reader: Reader) -> dict[str, Kept]:
        return {name: kept for name, kept in self.model.items() if reader.sees_all or kept.owner == reader.owner}

    @rule(reader=st.sampled_from(READERS), word=st.sampled_from(["lighthouse", "灯塔", "io"]))
    def begins(self, reader: Reader, word: str) -> None:
        name = begin(self.store, reader, word).conversation_id
        self.model[name] = Kept(reader.owner, [word])

    @rule(reader=st.sampled_from(READERS), data=st.data(), word=st.sampled_from(["lighthouse", "灯塔", "io"]))
    def goes_on(self, reader: Reader, data: st.DataObject, word: str) -> None:
        if self.model:
            name = self.drawn(data)
            if name in self.seen(reader):
                begin(self.store, reader, word, name)
                self.model[name].words.append(word)
            else:
                with pytest.raises(NotFound):
                    begin(self.store, reader, word, name)

    @rule(reader=st.sampled_from(READERS), data=st.data())
    def deletes(self, reader: Reader, data: st.DataObject) -> None:
        if self.model:
            name = self.drawn(data)
            if name in self.seen(reader):
                self.store.delete(name, reader=reader)
                del self.model[name]
            else:
                with pytest.raises(NotFound):
                    self.store.delete(name, reader=reader)

    @invariant()
    def everybody_sees_their_own(self) -> None:
        for reader in READERS:
            seen = self.seen(reader)
            assert set(self.store.ids(reader=reader)) == set(seen)
            assert sorted(self.listed(reader)) == sorted(seen)
            for word in ("lighthouse", "灯塔", "io"):
                hits, _ = self.store.search(word, reader=reader, page_size=200)
                expected = sorted(name for name, kept in seen.items() for said in kept.words if said == word)
                assert sorted(hit.conversation.id for hit in hits) == expected

    def listed(self, reader: Reader) -> list[str]:
        names, token = list[str](), ""
        while True:
            page, token = self.store.list(reader=reader, page_size=2, page_token=token)
            names += [conversation.id for conversation in page]
            assert len(page) == 2 or not token  # pages are full but the last
            if not token:
                return names


TestOwners = Owners.TestCase
TestOwners.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
