"""kill -9 at any moment: what was acknowledged is there and whole, and the database opens."""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edged.events import MessageState
from edged.records import OPERATOR
from edged.store import ConversationStore, KeySource

WRITER = """
import pathlib, sys
from edged.records import OPERATOR
from edged.store import ConversationStore, KeySource
from talking import answer, ask, picture

store = ConversationStore.open(pathlib.Path(sys.argv[1]), KeySource(kind="file", directory=pathlib.Path(sys.argv[2])))
number = int(sys.argv[3])

def acknowledge(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()

acknowledge("ready")
old = []
while True:
    number += 1
    name = old[-1] if number % 3 and old else ""
    turn = ask(store, f"question {number} " * 50, picture(b"%d" % number * 500), conversation_id=name)
    acknowledge("asked", turn.conversation_id, turn.user_message_id, number)
    answer(store, turn, f"answer {number} " * (number % 7 * 300))
    acknowledge("answered", turn.conversation_id, turn.answer_message_id, number)
    if not name:
        old.append(turn.conversation_id)
    if len(old) > 4:
        acknowledge("deleting", old[0], "-", number)
        store.delete(old[0], reader=OPERATOR)
        acknowledge("deleted", old.pop(0), "-", number)
"""
Acknowledged = list[tuple[str, str, str, int]]


def killed_writer(state_dir: Path, source: KeySource, number: int, seconds: float) -> Acknowledged:
    """What a writer had acknowledged when it was killed, `seconds` after it was ready."""
    command = [sys.executable, "-c", WRITER, str(state_dir), str(source.directory), str(number)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        output, deadline = b"", time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([writer.stdout], [], [], left)[0]:
                output += os.read(writer.stdout.fileno(), 65536)
        writer.kill()
        output += writer.stdout.read()
    lines = output.decode().split("\n")[:-1]  # a line cut off by the kill was not acknowledged
    return [(what, conversation, message, int(n)) for what, conversation, message, n in map(str.split, lines)]


def check(store: ConversationStore, acknowledged: Acknowledged) -> None:
    """Everything acknowledged is there as it was, except what was then being deleted."""
    deleted = {conversation for what, conversation, _, _ in acknowledged if what == "deleted"}
    uncertain = {conversation for what, conversation, _, _ in acknowledged if what == "deleting"} - deleted
    stored = {
        message.id: message
        for name in store.ids(reader=OPERATOR)
        for message in store.get(name, reader=OPERATOR).messages
    }
    assert not deleted & set(store.ids(reader=OPERATOR))
    for what, conversation, message_id, number in acknowledged:
        if what in ("deleting", "deleted") or conversation in deleted:
            continue
        if conversation in uncertain and message_id not in stored:
            continue
        message = stored[message_id]
        assert message.state is MessageState.COMPLETE
        if what == "asked":
            assert message.text == f"question {number} " * 50
            assert message.parts[1].data == b"%d" % number * 500
        else:
            assert message.text == f"answer {number} " * (number % 7 * 300)
    assert all(message.state is not MessageState.PENDING for message in stored.values())


def rounds(count: int, state_dir: Path, source: KeySource, *, longest: float, seed: int = 0) -> None:
    chance, acknowledged, number = random.Random(seed), [], 0
    for _ in range(count):
        acknowledged += killed_writer(state_dir, source, number, chance.uniform(0, longest))
        number = acknowledged[-1][3] + 1 if acknowledged else 0
        store = ConversationStore.open(state_dir, source)
        with store._reading() as db:
            assert db.execute("PRAGMA cipher_integrity_check").fetchall() == []
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        check(store, acknowledged)
        store.close()
    assert number > count  # the writers were not killed before they had begun


def test_nothing_acknowledged_is_lost_when_killed(state_dir, source):
    rounds(30, state_dir, source, longest=0.08)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_nothing_acknowledged_is_lost_when_killed_hundreds_of_times(state_dir, source):
    for seed in range(10):
        rounds(30, state_dir / str(seed), source, longest=0.2, seed=seed)
