"""What goes up the lifeline, and when its other end is gone."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from edged.daemon.lifeline import Lifeline
from edged.errors import AlreadyRunning


def pair() -> tuple[socket.socket, Lifeline]:
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    return ours, Lifeline(theirs.detach())


async def test_ready_then_gone_when_the_starter_lets_go() -> None:
    ours, lifeline = pair()
    lifeline.ready("unix:/run/x.sock")
    assert json.loads(ours.recv(4096)) == {"ready": "unix:/run/x.sock"}
    gone = asyncio.create_task(lifeline.gone())
    await asyncio.sleep(0)
    assert not gone.done()
    ours.close()
    await asyncio.wait_for(gone, 10)
    lifeline.close()


def test_an_error_keeps_its_message_and_code() -> None:
    ours, lifeline = pair()
    lifeline.failed(AlreadyRunning("a daemon runs"))
    assert json.loads(ours.recv(4096)) == {
        "error": "a daemon runs",
        "code": "FAILED_PRECONDITION",
        "reason": "ALREADY_RUNNING",
    }
    ours.close()
    lifeline.close()


def test_a_starter_that_went_first_is_no_failure() -> None:
    ours, lifeline = pair()
    ours.close()
    lifeline.ready("unix:/x")
    lifeline.close()


async def test_without_a_starter_nothing_ever_ends() -> None:
    lifeline = Lifeline(None)
    lifeline.ready("unix:/x")
    assert not lifeline.held
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(lifeline.gone(), 0.05)
