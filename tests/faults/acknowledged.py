"""What a client was told of its turns until the daemon died, and whether the database still holds it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edged.client import Client
from edged.errors import EdgedError
from edged.events import Finished, MessageState, Started, Text, TextDelta
from edged.records import OPERATOR
from edged.store import ConversationStore, KeySource

REFUSED = ("STORE", "STORE_FULL")
"""Reasons of a failing disk and a full one; without one of them, UNAVAILABLE says that the daemon is gone."""


@dataclass
class Turn:
    """Each `_at` is a moment of the clock given to `Acknowledged`, or None for what was not acknowledged."""

    text: str
    started: Started | None = None
    answer: str = ""
    started_at: int | None = None
    finished_at: int | None = None
    deleting_at: int | None = None
    deleted_at: int | None = None


@dataclass
class Acknowledged:
    """A client's memory of what a daemon said."""

    clock: Callable[[], int] = lambda: 0
    turns: list[Turn] = field(default_factory=list)
    errors: list[EdgedError] = field(default_factory=list)

    async def talk(self, address: str, dice: random.Random, turns: int) -> None:
        """Ask, go on and delete, until done or the daemon dies."""
        async with Client(address) as client:
            with contextlib.suppress(EdgedError):
                await client.wait_until_serving(5)
            for _ in range(turns):
                try:
                    if (turn := self._begin(dice)).started:
                        await self._delete(client, turn)
                    else:
                        await self._ask(client, turn, dice)
                except EdgedError as exc:
                    self.errors.append(exc)
                    if exc.reason not in REFUSED:
                        return

    def _begin(self, dice: random.Random) -> Turn:
        """A turn to be deleted, or a new one."""
        if dice.random() < 0.2 and (old := [turn for turn in self.turns if turn.started and turn.deleting_at is None]):
            return dice.choice(old)
        self.turns.append(Turn(f"question {len(self.turns)} " + "x" * dice.choice((3, 300, 1500))))
        return self.turns[-1]

    async def _ask(self, client: Client, turn: Turn, dice: random.Random) -> None:
        sampling = {"max_tokens": dice.choice((1, 5, 30))}
        async for event in client.ask((Text(text=turn.text),), sampling=sampling):
            if isinstance(event, Started):
                turn.started, turn.started_at = event, self.clock()
            elif isinstance(event, TextDelta):
                turn.answer += event.text
            elif isinstance(event, Finished):
                turn.finished_at = self.clock()

    async def _delete(self, client: Client, turn: Turn) -> None:
        assert turn.started
        turn.deleting_at = self.clock()
        await client.delete(turn.started.conversation_id)
        turn.deleted_at = self.clock()

    def check(self, state: Path, source: KeySource, *, until: int | None = None) -> list[Turn]:
        """Open the database: it is whole, and holds what was acknowledged before `until`. Returns what is lost."""
        store = ConversationStore.open(state, source)
        try:
            with store._reading() as db:
                assert db.execute("PRAGMA cipher_integrity_check").fetchall() == []
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return [turn for turn in self.turns if not self._is_kept(store, turn, until)]
        finally:
            store.close()

    def _is_kept(self, store: ConversationStore, turn: Turn, until: int | None) -> bool:
        def before(moment: int | None) -> bool:
            return moment is not None and (until is None or moment <= until)

        if turn.started is None or not before(turn.started_at):
            return True
        name = turn.started.conversation_id
        there = name in store.ids(reader=OPERATOR)
        if before(turn.deleting_at):
            return not there or turn.deleted_at is None or not before(turn.deleted_at)
        if not there:
            return turn.deleting_at is not None and until is None
        user, answer = store.get(name, reader=OPERATOR).messages
        if (user.id, user.text, answer.id) != (turn.started.user_message_id, turn.text, turn.started.answer_message_id):
            return False
        if before(turn.finished_at):
            return (answer.state, answer.text) == (MessageState.COMPLETE, turn.answer)
        return answer.state is not MessageState.PENDING
