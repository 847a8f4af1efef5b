"""The clock jumps, pages rot, the disk turns read-only, memory runs out: one line says so, and the rest goes on."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import struct
from pathlib import Path

import pytest

from edged.client import Client
from edged.errors import EdgedError, NotFound, StoreError
from edged.events import Finished, MessageState, Started, Text, TextDelta
from edged.records import OPERATOR
from edged.store import ConversationStore, KeySource
from tests.e2e.program import Home
from tests.store.talking import talk
from tests.tiny_artefact import tiny_artefact

LONG = 200_000
"""Tokens of context, which are 100 MB to the tiny engine."""
SPARE_BYTES = 30 * 2**20
DECADE = 10 * 365 * 24 * 3600


async def ask(client: Client, text: str, *, conversation_id: str = "", max_tokens: int = 4) -> tuple[str, str]:
    """Conversation and answer, or EdgedError."""
    said, name = "", ""
    async for event in client.ask(
        (Text(text=text),), conversation_id=conversation_id, sampling={"max_tokens": max_tokens}
    ):
        if isinstance(event, Started):
            name = event.conversation_id
        elif isinstance(event, TextDelta):
            said += event.text
    assert isinstance(event, Finished)
    return name, said


async def test_the_clock_jumps(home: Home, library: Path, tmp_path: Path) -> None:
    """Ten years back, thirty forward: an answer under way goes on, the watchdog is fed, nothing changes places."""
    clock = tmp_path / "clock"
    clock.write_bytes(bytes(8))

    def set_clock(seconds: int) -> None:
        with clock.open("r+b") as file:  # in place: the daemon has mapped it
            file.write(struct.pack("<q", seconds * 1_000_000))

    faults = {"LD_PRELOAD": str(library), "FAULT_CLOCK": str(clock), "WATCHDOG_USEC": "1000000"}
    with home.daemon(EDGED_ENGINE__DEFAULT="slow", **faults) as daemon:
        async with Client(home.address) as client:
            name, _ = await ask(client, "first")
            long = asyncio.create_task(ask(client, "through the jump", max_tokens=100))
            for place, seconds in enumerate((-DECADE, 2 * DECADE)):
                await asyncio.sleep(0.3)
                set_clock(seconds)
                await ask(client, f"jump {place}", conversation_id=name)
            await long
            last, _ = await ask(client, "last")
            transcript = await client.get_conversation(name)
            listed = (await client.list_conversations()).conversations
        assert "WATCHDOG=1" in daemon.notifications() + daemon.notifications()
        daemon.stop()
        assert "no sign of life" not in daemon.log.read_text()
    texts = [message.text for message in transcript.messages[::2]]
    assert texts == ["first", "jump 0", "jump 1"]
    years = [message.created_at.year for message in transcript.messages[::2] if message.created_at]
    assert years[1] < years[0] < years[2], "the clock did not jump"
    assert listed[0].id == last


def database_of(state: Path, source: KeySource) -> dict[str, str]:
    """A closed database; what was answered in each of its conversations."""
    store, answers = ConversationStore.open(state, source), {}
    for number in range(20):
        answer = f"answer {number} " * 150
        answers[talk(store, f"question {number}", answer).conversation_id] = answer
    store.close()
    return answers


def read_as_far_as_possible(state: Path, source: KeySource) -> dict[str, str]:
    """Answers by conversation; what is damaged says so in one line, and nothing else happens."""
    found: dict[str, str] = {}
    try:
        store = ConversationStore.open(state, source)
    except StoreError as exc:
        assert "damaged" in exc.message and "backup" in exc.message and "\n" not in exc.message
        return found
    try:
        for name in store.ids(reader=OPERATOR):
            try:
                found[name] = store.get(name, reader=OPERATOR).messages[1].text
            except (StoreError, NotFound) as exc:
                assert "\n" not in exc.message
    except StoreError as exc:
        assert "damaged" in exc.message
    finally:
        store.close()
    return found


def flipped_pages(tmp_path: Path, count: int) -> int:
    """How many of `count` databases with one flipped byte still gave something; none gave anything wrong."""
    source, dice = KeySource(kind="file", directory=tmp_path / "key"), random.Random(3)
    answers = database_of(tmp_path / "state", source)
    database = tmp_path / "state" / "edged.db"
    whole, useful = database.read_bytes(), 0
    for _ in range(count):
        damaged = bytearray(whole)
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        database.write_bytes(damaged)
        found = read_as_far_as_possible(tmp_path / "state", source)
        assert found.items() <= answers.items()
        useful += bool(found)
        for left in database.parent.glob("edged.db-*"):
            left.unlink()
    return useful


def test_a_flipped_byte_gives_nothing_wrong(tmp_path: Path) -> None:
    flipped_pages(tmp_path, 15)


@pytest.mark.faults
def test_hundreds_of_flipped_bytes_give_nothing_wrong(tmp_path: Path) -> None:
    print(flipped_pages(tmp_path, 500), "of 500 were still of use")


def address_space(pid: int) -> int:
    """Bytes of it that a process has taken."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


async def test_memory_runs_out_and_comes_back(home: Home, tmp_path: Path) -> None:
    """Where it is enough for the context of one conversation, others at the same time are refused, and no more."""
    tiny_artefact(tmp_path, slow_ms=3, context_length=LONG)
    home.engines = tmp_path
    home.extra |= {"EDGED_ENGINE__MAX_SEQ_LEN": str(LONG), "EDGED_ENGINE__MAX_ACTIVE": "3"}
    with home.daemon() as daemon:
        pid = daemon.process.pid
        async with Client(home.address) as client:
            answered = dict([await ask(client, "before")])
            resource.prlimit(pid, resource.RLIMIT_AS, (address_space(pid) + SPARE_BYTES, resource.RLIM_INFINITY))
            asked = (ask(client, f"amid {number}", max_tokens=40) for number in range(3))
            outcomes = await asyncio.gather(*asked, return_exceptions=True)
            resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            asked = (ask(client, f"after {number}") for number in range(3))
            answered |= dict(await asyncio.gather(*asked))
        assert daemon.process.poll() is None and "Traceback" not in daemon.log.read_text()
        daemon.kill()
    refused = [outcome for outcome in outcomes if isinstance(outcome, EdgedError)]
    answered |= dict(outcome for outcome in outcomes if not isinstance(outcome, BaseException))
    assert len(refused) + len(answered) == 7 and len(refused) in (1, 2), outcomes
    for error in refused:
        assert error.code.name == "UNAVAILABLE" and "memory" in error.message and "kv_cache_mb" in error.message
    with home.daemon():
        async with Client(home.address) as client:
            listed = (await client.list_conversations()).conversations
            kept = {one.id: (await client.get_conversation(one.id)).messages for one in listed}
    assert len(kept) == 7, "questions are kept, those too that were not answered"
    answers = {name: messages[1] for name, messages in kept.items()}
    assert {name: answers[name].text for name in answered} == answered
    states = {answers.pop(name).state for name in answered}
    assert states == {MessageState.COMPLETE} and {one.state for one in answers.values()} == {MessageState.FAILED}
