"""The engine hangs, breaks or goes away: the daemon is restarted, and what was acknowledged is there."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from edged.client import Client
from edged.errors import EdgedError
from edged.events import Finished, MessageState, Started, Text, TextDelta
from edged.records import Transcript
from tests.e2e.program import Home
from tests.faults.supervisor import Supervisor


@pytest.fixture
def supervisor(home: Home, tmp_path: Path) -> Supervisor:
    plant = Path(__file__).with_name("planted.py")
    (tmp_path / "sitecustomize.py").write_bytes(plant.read_bytes())
    return Supervisor(home, {"PYTHONPATH": str(tmp_path), "EDGED_ENGINE__DEFAULT": "slow"})


async def ask(home: Home, text: str, *, max_tokens: int = 4, fault: str = "") -> tuple[Started, str]:
    """The beginning and the text of an answer, in which a fault happens after the first piece."""
    said = ""
    async with Client(home.address) as client:
        async for event in client.ask((Text(text=text),), sampling={"max_tokens": max_tokens}):
            if isinstance(event, Started):
                started = event
            if isinstance(event, TextDelta):
                said += event.text
                if fault:
                    (home.state / "fault").write_text(fault)
    assert isinstance(event, Finished)
    return started, said


async def stored(home: Home) -> list[Transcript]:
    """All conversations, the oldest first."""
    async with Client(home.address) as client:
        listed = (await client.list_conversations()).conversations
        return [await client.get_conversation(one.id) for one in reversed(listed)]


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        ("hang", -signal.SIGABRT),
        pytest.param("stuck", -signal.SIGABRT, marks=pytest.mark.faults),
        pytest.param("exit", 1, marks=pytest.mark.faults),
    ],
)
async def test_an_engine_that_does_not_come_back_is_replaced(
    home: Home, supervisor: Supervisor, fault: str, end: int
) -> None:
    if end != 1:
        supervisor.watchdog_seconds = 3.0
    async with supervisor.running():
        _, before = await ask(home, "before")
        with pytest.raises(EdgedError) as caught:
            await ask(home, "amid", max_tokens=500, fault=fault)
        assert caught.value.code.name == "UNAVAILABLE"
        await supervisor.serving(ends=1)
        _, after = await ask(home, "after")
        first, amid, last = await stored(home)
    assert supervisor.ends == [end]
    assert [first.messages[1].text, last.messages[1].text] == [before, after]
    assert amid.messages[0].text == "amid"
    assert amid.messages[1].state in (MessageState.INTERRUPTED, MessageState.FAILED)
    is_said = "cut off when edged last ended, their questions are kept: 1" in (home.folder / "daemon.log").read_text()
    assert is_said is (amid.messages[1].state is MessageState.INTERRUPTED)


@pytest.mark.faults
async def test_an_engine_that_fails_once_goes_on(home: Home, supervisor: Supervisor) -> None:
    async with supervisor.running():
        with pytest.raises(EdgedError, match="failed while answering"):
            await ask(home, "amid", max_tokens=500, fault="lost")
        (home.state / "fault").unlink()
        await ask(home, "after")
        amid, _ = await stored(home)
    assert supervisor.ends == []
    assert amid.messages[1].state is MessageState.FAILED and amid.messages[1].text


async def test_a_gpu_that_is_lost_takes_a_new_process(home: Home, supervisor: Supervisor) -> None:
    async with supervisor.running():
        (home.state / "fault").write_text("lost")
        for number in range(3):
            with pytest.raises(EdgedError, match="failed while answering"):
                await ask(home, f"question {number}")
        await supervisor.serving(ends=1)
        await ask(home, "after")
        transcripts = await stored(home)
    assert supervisor.ends == [1]
    assert [one.messages[0].text for one in transcripts] == ["question 0", "question 1", "question 2", "after"]
    log = (home.folder / "daemon.log").read_text()
    assert "edged: the engine has stopped (RuntimeError); restart edged" in log.splitlines()
    assert "question" not in log
