"""kill -9 at random points of 50 answers: nothing that was acknowledged is lost or torn."""

from __future__ import annotations

import asyncio
import random
import signal
from dataclasses import dataclass

from edged.client import Client
from edged.errors import EdgedError
from edged.events import Finished, MessageState, Role, Started, Text, TextDelta
from tests.e2e.program import DaemonProcess, Home

KILLS, ANSWERS = 10, 5
"""Each kill hits five answers at a time, each at a point of its own."""


@dataclass
class Asked:
    """What a client saw of its turn before the daemon died."""

    text: str
    started: Started | None = None
    received: str = ""
    finished: bool = False


async def ask(client: Client, asked: Asked, max_tokens: int) -> None:
    sampling = {"max_tokens": max_tokens}
    try:
        async for event in client.ask((Text(text=asked.text),), sampling=sampling):
            if isinstance(event, Started):
                asked.started = event
            elif isinstance(event, TextDelta):
                asked.received += event.text
            elif isinstance(event, Finished):
                asked.finished = True
    except EdgedError as exc:
        assert exc.code.name in ("UNAVAILABLE", "CANCELLED"), exc


async def kill_amid_answers(daemon: DaemonProcess, home: Home, turn: int, dice: random.Random) -> list[Asked]:
    """Five answers of different length under way, some just begun, some done, when the daemon dies."""
    all_asked = [Asked(text=f"question {turn}.{index} {'x' * dice.randrange(2000)}") for index in range(ANSWERS)]
    async with Client(home.address) as client, asyncio.TaskGroup() as tasks:
        for asked in all_asked:
            tasks.create_task(ask(client, asked, max_tokens=dice.choice((2, 10, 50, 200))))
        await asyncio.sleep(dice.uniform(0.0, 0.3))
        daemon.signal(signal.SIGKILL)
    return all_asked


async def check(client: Client, asked: Asked) -> None:
    """What was acknowledged is on the disk, whole."""
    if asked.started is None:
        return
    transcript = await client.get_conversation(asked.started.conversation_id)
    user, answer = transcript.messages
    assert (user.role, user.text, user.id) == (Role.USER, asked.text, asked.started.user_message_id)
    assert (answer.role, answer.id) == (Role.ASSISTANT, asked.started.answer_message_id)
    if asked.finished:
        assert (answer.state, answer.text) == (MessageState.COMPLETE, asked.received)
    else:
        # It may have been stored whole in the moment before the last event went out.
        assert answer.state in (MessageState.INTERRUPTED, MessageState.COMPLETE)
        assert answer.state is MessageState.INTERRUPTED or answer.text.startswith(asked.received)


async def test_nothing_is_lost_or_torn(home: Home) -> None:
    dice = random.Random(1123)
    home.extra = {"EDGED_ENGINE__DEFAULT": "slow", "EDGED_ENGINE__MAX_ACTIVE": str(ANSWERS)}
    all_asked: list[Asked] = []
    for turn in range(KILLS):
        with home.daemon() as daemon:
            all_asked += await kill_amid_answers(daemon, home, turn, dice)
    with home.daemon():
        async with Client(home.address) as client:
            for asked in all_asked:
                await check(client, asked)
            after = Asked(text="does the next question work?")
            await ask(client, after, max_tokens=2)
    assert after.finished
    acknowledged = [asked for asked in all_asked if asked.started]
    assert len(acknowledged) > KILLS, "the kills came too early to show anything"
    assert any(not asked.finished for asked in acknowledged)
