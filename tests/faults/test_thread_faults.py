"""No thread can be started, or a pool of them is broken: an error says so, or the daemon is replaced; nothing hangs."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from edged.client import Client
from edged.errors import EdgedError
from edged.events import OutputFormat, OutputKind, Text, TextDelta
from tests.e2e.program import SECONDS, DaemonProcess, Home
from tests.faults.test_surroundings import ask


async def choose(client: Client, *choices: str) -> str:
    """What takes threads that a daemon has not started yet: a grammar is prepared."""
    form, said = OutputFormat(kind=OutputKind.CHOICES, choices=choices), ""
    async for event in client.ask((Text(text="Which?"),), output=form, sampling={"max_tokens": 9}):
        said += event.text if isinstance(event, TextDelta) else ""
    return said


async def test_no_thread_can_be_started_while_it_serves(home: Home, library: Path, tmp_path: Path) -> None:
    """What needs none is answered, the rest is refused by one line, and works once there are threads again."""
    fault = tmp_path / "fault"
    with home.daemon(LD_PRELOAD=str(library), FAULT_THREADS=str(fault)) as daemon:
        async with Client(home.address) as client, asyncio.timeout(SECONDS):
            name, _ = await ask(client, "before")
            fault.touch()
            await ask(client, "amid", conversation_id=name)
            for number in range(3):
                with pytest.raises(EdgedError, match="no more threads") as caught:
                    await choose(client, f"a{number}")
                assert caught.value.code.name == "UNAVAILABLE" and "TasksMax" in caught.value.message
            fault.unlink()
            assert await choose(client, "a0") == "a0"
            texts = [message.text for message in (await client.get_conversation(name)).messages[::2]]
        daemon.stop()
        assert "Traceback" not in daemon.log.read_text()
    assert texts == ["before", "amid"]


def test_no_thread_can_be_started_at_all(home: Home, library: Path, tmp_path: Path) -> None:
    (tmp_path / "fault").touch()
    daemon = DaemonProcess(home, {"LD_PRELOAD": str(library), "FAULT_THREADS": str(tmp_path / "fault")})
    try:
        code = daemon.wait()
    finally:
        daemon.kill()
    said = daemon.log.read_text()
    assert code == 1 and "Traceback" not in said, said
    assert "no more threads" in said.splitlines()[-1] and "TasksMax" in said


async def _outcome(home: Home, library: Path, first: int) -> str:
    """Of a daemon that may start fewer than `first` threads, and is asked for all that takes more; "" for success."""
    daemon = DaemonProcess(home, {"LD_PRELOAD": str(library), "FAULT_THREAD": str(first)})
    try:
        async with asyncio.timeout(SECONDS):
            while "READY=1" not in daemon.notifications():
                if (code := daemon.process.poll()) is not None:
                    return f"ended with {code}"
                await asyncio.sleep(0.02)
            async with Client(home.address) as client:
                try:
                    await ask(client, "a question")
                    await choose(client, "a")
                except EdgedError as exc:
                    return f"{exc.code.name}: {exc.message}"
        daemon.signal(signal.SIGTERM)
        return f"ended with {code}" if (code := daemon.wait()) else ""
    finally:
        daemon.kill()


@pytest.mark.faults
async def test_whichever_thread_is_the_last_nothing_hangs(home: Home, library: Path) -> None:
    """Fewer threads than the daemon would start: refused by a line, or ended by itself (gRPC's core aborts).

    Once they are enough, all is well.
    """
    outcomes = []
    while not outcomes or outcomes[-1]:
        outcomes.append(await _outcome(home, library, len(outcomes) + 1))
    print(*enumerate(outcomes, start=1), sep="\n")
    assert len(outcomes) > 5, "too few threads to be true"
    for outcome in outcomes[:-1]:
        assert outcome.startswith("ended with") or outcome.startswith("UNAVAILABLE: "), outcome
        assert "ended with 0" not in outcome
