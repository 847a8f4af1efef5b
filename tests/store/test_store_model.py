"""Random operations against a plain-Python model of what a store is."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from talking import answer, ask, picture

from edged.errors import ConversationBusy, NotFound
from edged.events import MessageState
from edged.records import OPERATOR
from edged.store import ConversationStore, KeySource
from edged.store.store import StoredTurn

texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)
questions = texts.filter(str.strip)
blobs = st.sampled_from([b"", b"one", b"two" * 5000])
endings = st.sampled_from([state for state in MessageState if state is not MessageState.PENDING])


@dataclass
class Told:
    """What a conversation should hold."""

    title: str
    messages: list[tuple[str, str, MessageState]] = field(default_factory=list)
    blobs: list[bytes] = field(default_factory=list)
    open_answer: str = ""


class StoreMachine(RuleBasedStateMachine):
    conversations = Bundle("conversations")

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.source = KeySource(kind="file", directory=self.directory / "config")
        self.store = ConversationStore.open(self.directory / "state", self.source)
        self.model: dict[str, Told] = {}
        self.used: list[str] = []

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.directory)

    def opened(self, turn: StoredTurn, question: str, blob: bytes) -> StoredTurn:
        told = self.model[turn.conversation_id]
        told.messages += [("user", question, MessageState.COMPLETE), ("assistant", "", MessageState.PENDING)]
        told.blobs.append(blob)
        told.open_answer = turn.answer_message_id
        self.used = [name for name in self.used if name != turn.conversation_id] + [turn.conversation_id]
        return turn

    @rule(target=conversations, question=questions, blob=blobs)
    def begin(self, question: str, blob: bytes) -> str:
        turn = ask(self.store, question, picture(blob))
        self.model[turn.conversation_id] = Told(
            title=self.store.get(turn.conversation_id, reader=OPERATOR).conversation.title
        )
        self.opened(turn, question, blob)
        return turn.conversation_id

    @rule(name=conversations, question=questions, blob=blobs)
    def go_on(self, name: str, question: str, blob: bytes) -> None:
        if name not in self.model:
            with pytest.raises(NotFound):
                ask(self.store, question, conversation_id=name)
        elif self.model[name].open_answer:
            with pytest.raises(ConversationBusy):
                ask(self.store, question, conversation_id=name)
        else:
            self.opened(ask(self.store, question, picture(blob), conversation_id=name), question, blob)

    @rule(name=conversations, text=texts, ending=endings)
    def end(self, name: str, text: str, ending: MessageState) -> None:
        told = self.model.get(name)
        if told and told.open_answer:
            turn = StoredTurn(conversation_id=name, user_message_id="", answer_message_id=told.open_answer, history=())
            answer(self.store, turn, text, ending)
            told.messages[-1] = ("assistant", text, ending)
            told.open_answer = ""

    @rule(name=conversations, title=st.text("abc 天", min_size=1).filter(str.strip))
    def rename(self, name: str, title: str) -> None:
        if name in self.model:
            self.model[name].title = " ".join(title.split())
            self.store.rename(name, title, reader=OPERATOR)

    @rule(name=consumes(conversations))
    def delete(self, name: str) -> None:
        self.store.delete(name, reader=OPERATOR)
        del self.model[name]
        self.used.remove(name)
        with pytest.raises(NotFound):
            self.store.get(name, reader=OPERATOR)

    @rule(clean=st.booleans())
    def reopen(self, clean: bool) -> None:
        if clean:
            self.store.close()
        else:  # as after a crash: the files as they are, the log not emptied
            crashed = self.directory / "crashed"
            shutil.copytree(self.directory / "state", crashed)
            self.store.close()
            shutil.rmtree(self.directory / "state")
            crashed.rename(self.directory / "state")
        self.store = ConversationStore.open(self.directory / "state", self.source)
        for told in self.model.values():
            if told.open_answer:
                told.messages[-1] = ("assistant", "", MessageState.INTERRUPTED)
                told.open_answer = ""

    @invariant()
    def agrees(self) -> None:
        listed, token = self.store.list(page_size=200, reader=OPERATOR)
        assert ([conversation.id for conversation in listed], token) == (self.used[::-1], "")
        for name, told in self.model.items():
            transcript = self.store.get(name, reader=OPERATOR)
            assert transcript.conversation.title == told.title
            assert transcript.conversation.message_count == len(told.messages)
            stored = [(message.role.value, message.text, message.state) for message in transcript.messages]
            assert stored == told.messages
            assert [message.parts[1].data for message in transcript.messages[::2]] == told.blobs


StoreMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestStoreAgainstModel = StoreMachine.TestCase
