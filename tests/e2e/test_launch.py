"""Daemons that callers start for their own use."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from edged.cli.connection import with_client
from edged.client import Client
from edged.config import Config, load_config
from edged.errors import EdgedError, Unavailable
from edged.events import Finished, Text, TurnEvent
from edged.launch import daemon_for
from edged.records import DaemonState
from tests.cli.test_cli_terminal import Terminal
from tests.e2e.program import SECONDS, Home

CALLER = """
import asyncio, sys
from edged.config import load_config
from edged.launch import daemon_for

async def hold():
    async with daemon_for(load_config()) as daemon:
        print(daemon.started, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(hold())
"""


@pytest.fixture
def config(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Config]:
    """This process is the caller, so its environment names the home."""
    for name in [name for name in os.environ if name.startswith(("EDGED_", "XDG_"))]:
        monkeypatch.delenv(name)
    for name, value in home.environ.items():
        monkeypatch.setenv(name, value)
    yield load_config()


def daemon_pid(home: Home) -> int:
    return int((home.state / "edged.lock").read_text())


def caller_holding_a_daemon(home: Home) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CALLER]
    return subprocess.Popen(command, env=home.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def ended(pid: int) -> None:
    """Return when the process has ended, whoever its parent is."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ready, _, _ = await asyncio.to_thread(select.select, [process], [], [], SECONDS)
    os.close(process)
    assert ready, f"process {pid} still runs"


def descriptors(pid: int) -> list[str]:
    return [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]


def standard_streams(pid: int) -> list[str]:
    return [str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in range(3)]


async def ask(address: str, max_tokens: int) -> list[TurnEvent]:
    async with Client(address) as client:
        return [event async for event in client.ask((Text(text="hello"),), sampling={"max_tokens": max_tokens})]


async def test_a_daemon_is_started_and_ends_with_its_caller(home: Home, config: Config) -> None:
    async with daemon_for(config) as daemon:
        assert daemon.started
        pid = daemon_pid(home)
        assert isinstance((await ask(daemon.address, 4))[-1], Finished)
    assert not await asyncio.to_thread(Path(f"/proc/{pid}").exists)
    assert not config.socket_path.exists()


async def test_a_call_that_a_vanished_daemon_did_not_hear_is_made_of_another(home: Home, config: Config) -> None:
    with home.daemon() as running:
        asked: list[Client] = []

        async def call(client: Client) -> DaemonState:
            asked.append(client)
            if len(asked) == 1:
                await asyncio.to_thread(running.kill)
            return (await client.status()).state

        assert await with_client(config, call) is DaemonState.SERVING
        assert len(asked) == 2

        async def call_in_vain(client: Client) -> None:
            asked.append(client)
            raise Unavailable("gone")

        with pytest.raises(Unavailable):
            await with_client(config, call_in_vain, may_repeat=lambda: False)
        assert len(asked) == 3


def test_a_chat_goes_on_when_the_daemon_it_found_has_gone(home: Home, config: Config) -> None:
    with home.daemon() as running:
        terminal = Terminal("--max-tokens", "4")
        terminal.wait_for("> ")
        running.kill()
        terminal.type("hello\n")
        terminal.wait_for("started one for this command")
        terminal.wait_for("> ")
        terminal.type("hello\n")
        terminal.wait_for("(cut off")
        terminal.wait_for("> ")
        terminal.leave()
        assert terminal.exit_code() == 0


async def test_a_running_daemon_is_used_and_stays(home: Home, config: Config) -> None:
    with home.daemon() as running:
        async with daemon_for(config) as daemon:
            assert not daemon.started
            assert isinstance((await ask(daemon.address, 4))[-1], Finished)
        assert running.process.poll() is None


async def test_a_socket_without_a_daemon_is_replaced(home: Home, config: Config) -> None:
    with home.daemon() as daemon:
        daemon.kill()
    assert config.socket_path.exists()
    async with daemon_for(config) as started:
        assert started.started


async def test_it_holds_nothing_of_its_caller(home: Home, config: Config) -> None:
    async with daemon_for(config):
        pid = daemon_pid(home)
        assert os.getsid(pid) == pid
        assert standard_streams(pid) == ["/dev/null", "/dev/null", str(home.state / "edged.log")]
        held = set(descriptors(pid))
    assert not held & (set(standard_streams(os.getpid())) - {"/dev/null"})


async def test_two_callers_at_once_share_one_daemon(home: Home, config: Config) -> None:
    both_answered = asyncio.Barrier(2)

    async def use() -> tuple[bool, int]:
        async with daemon_for(config) as daemon:
            events = await ask(daemon.address, 4)
            assert isinstance(events[-1], Finished)
            await both_answered.wait()
            return daemon.started, daemon_pid(home)

    async with asyncio.TaskGroup() as tasks:
        users = [tasks.create_task(use()) for _ in range(2)]
    results = [user.result() for user in users]
    assert any(started for started, _ in results)


async def test_the_owner_leaves_and_the_answer_of_another_is_finished(
    home: Home, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGED_ENGINE__DEFAULT", "slow")
    config = load_config()
    async with AsyncExitStack() as owner, Client(f"unix:{config.socket_path}") as other:
        await owner.enter_async_context(daemon_for(config))
        pid = daemon_pid(home)
        events = other.ask((Text(text="hello"),), sampling={"max_tokens": 50})
        await anext(events)
        leaving = asyncio.create_task(owner.aclose())
        rest = [event async for event in events]
        await leaving
    assert isinstance(rest[-1], Finished)
    await ended(pid)


async def test_a_caller_that_is_killed_leaves_no_daemon(home: Home) -> None:
    with caller_holding_a_daemon(home) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == "True\n"
        pid = daemon_pid(home)
        caller.send_signal(signal.SIGKILL)
    await ended(pid)
    assert not home.config.socket_path.exists()


async def test_what_keeps_it_from_starting_is_told(home: Home, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGED_ENGINE__DEFAULT", "tinny")
    with pytest.raises(EdgedError) as caught:
        async with daemon_for(load_config()):
            pytest.fail("served without an engine")
    assert 'did you mean "tiny"' in caught.value.message
    assert caught.value.code.name == "NOT_FOUND"
    assert not config.socket_path.exists()


async def test_a_daemon_that_lingers_serves_the_next_caller_and_then_ends(
    home: Home, monkeypatch: pytest.MonkeyPatch, config: Config
) -> None:
    monkeypatch.setenv("EDGED_DAEMON__LINGER_SECONDS", "3")
    config = load_config()
    async with daemon_for(config) as first:
        assert first.started
        pid = daemon_pid(home)
    async with daemon_for(config) as second:
        assert not second.started
        assert isinstance((await ask(second.address, 4))[-1], Finished)
    await ended(pid)
    assert not config.socket_path.exists()


async def test_a_daemon_that_listens_elsewhere_is_named(
    home: Home, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.launch.FAREWELL_SECONDS", 0.2)
    monkeypatch.setenv("EDGED_DAEMON__DRAIN_SECONDS", "0")
    with home.daemon(EDGED_DAEMON__SOCKET=str(home.folder / "elsewhere.sock")) as daemon:
        with pytest.raises(EdgedError) as caught:
            async with daemon_for(load_config()):
                pytest.fail("reached")
        assert f"process {daemon.process.pid}" in caught.value.message
