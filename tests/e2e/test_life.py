"""The daemon from start to end, as its users and systemd see it."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import socket
import time
from pathlib import Path

import pytest

from edged.client import Client
from edged.engine.manifest import FileEntry, read_manifest
from edged.errors import EdgedError
from edged.events import Finished, FinishReason, MessageState, Role, Started, Text, TextDelta, TurnEvent
from edged.records import DaemonState
from tests.e2e.program import DaemonProcess, Home
from tests.tiny_artefact import tiny_artefact


async def ask(client: Client, text: str, *, conversation_id: str = "", max_tokens: int = 8) -> list[TurnEvent]:
    sampling = {"max_tokens": max_tokens, "temperature": 0.0}
    return [event async for event in client.ask((Text(text=text),), conversation_id=conversation_id, sampling=sampling)]


def started(events: list[TurnEvent]) -> Started:
    assert isinstance(events[0], Started)
    return events[0]


async def test_a_conversation_is_still_there_after_a_restart(home: Home) -> None:
    with home.daemon() as daemon:
        async with Client(home.address) as client:
            events = await ask(client, "the first question")
        assert isinstance(events[-1], Finished)
        daemon.stop()
        assert "STOPPING=1" in daemon.heard or daemon.next_notification() == "STOPPING=1"
    assert not home.config.socket_path.exists()
    with home.daemon():
        async with Client(home.address) as client:
            transcript = await client.get_conversation(started(events).conversation_id)
            second = await ask(client, "the second question", conversation_id=transcript.conversation.id)
    assert [message.role for message in transcript.messages] == [Role.USER, Role.ASSISTANT]
    assert transcript.messages[0].text == "the first question"
    answer = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert transcript.messages[1].text == answer
    assert isinstance(second[-1], Finished)


async def test_status_reports_what_is_enforced(served: Home) -> None:
    async with Client(served.address) as client:
        await ask(client, "hello")
        status = await client.status()
    assert status.state is DaemonState.SERVING
    assert status.listening_on == (served.address,)
    assert status.store.encrypted
    assert status.store.key_source == str(served.folder / ".config/edged/database.key")
    controls = {control.name for control in status.privacy.enforcements}
    assert controls == {"telemetry off", "no core files", "landlock", "landlock files", "seccomp", "audit hook"}
    assert status.privacy.refused_connections == 0
    # ONNX Runtime's telemetry would have put its device id there.
    assert not (served.folder / ".cache").exists()
    assert not status.privacy.content_logging


async def test_sigterm_lets_an_answer_finish_and_takes_no_new_one(home: Home) -> None:
    with home.daemon(EDGED_ENGINE__DEFAULT="slow", EDGED_DAEMON__DRAIN_SECONDS="60") as daemon:
        async with Client(home.address) as client:
            count = 0
            async for event in client.ask((Text(text="go on"),), sampling={"max_tokens": 60}):
                count += isinstance(event, TextDelta)
                if count == 1:
                    daemon.signal(signal.SIGTERM)
                    daemon.wait_until("STOPPING=1")
                    count += 1
                    with pytest.raises(EdgedError) as caught:
                        await ask(client, "one more")
                    assert caught.value.code.name == "UNAVAILABLE"
            assert event == Finished(finish_reason=FinishReason.LENGTH)
        assert daemon.wait() == 0
    with home.daemon():
        async with Client(home.address) as client:
            conversations = (await client.list_conversations()).conversations
            transcript = await client.get_conversation(conversations[0].id)
    assert len(conversations) == 1
    assert transcript.messages[-1].state is MessageState.COMPLETE


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """Engines "tiny" and "huge", which takes hours to check but no room."""
    tiny_artefact(tmp_path, "tiny")
    artefact = tiny_artefact(tmp_path, "huge")
    manifest = read_manifest(artefact)
    size = 2**40
    with (artefact / "sparse").open("wb") as file:
        file.truncate(size)
    files = {**manifest.files, "sparse": FileEntry(sha256="0" * 64, bytes=size)}
    dataclasses.replace(manifest, files=files).write(artefact)
    return tmp_path


def test_sigterm_while_an_engine_is_loading_does_not_wait_for_it(home: Home, endless: Path) -> None:
    daemon = DaemonProcess(home, {"EDGED_ENGINES_DIR": str(endless), "EDGED_ENGINE__DEFAULT": "huge"})
    try:
        while not home.config.socket_path.exists():
            time.sleep(0.05)
            assert daemon.process.poll() is None, daemon.log.read_text()
        time.sleep(0.3)  # it checks the endless file by then
        daemon.stop()
        assert "Traceback" not in daemon.log.read_text()
    finally:
        daemon.kill()
    assert not home.config.socket_path.exists()


async def test_sigterm_while_a_second_engine_is_loading_keeps_what_was_said(home: Home, endless: Path) -> None:
    with home.daemon(EDGED_ENGINES_DIR=str(endless), EDGED_DAEMON__DRAIN_SECONDS="0.1") as daemon:
        async with Client(home.address) as client:
            await ask(client, "first")
            with pytest.raises(EdgedError) as caught:
                async for event in client.ask((Text(text="to the huge one"),), model="huge"):
                    if isinstance(event, Started):
                        await asyncio.sleep(0.3)
                        daemon.signal(signal.SIGTERM)
        assert caught.value.code.name == "UNAVAILABLE"
        assert daemon.wait() == 0
        assert "Traceback" not in daemon.log.read_text()
    assert not home.config.socket_path.exists()
    with home.daemon():
        async with Client(home.address) as client:
            conversations = (await client.list_conversations()).conversations
            transcripts = [await client.get_conversation(one.id) for one in conversations]
    ended = {transcript.messages[0].text: transcript.messages[-1].state for transcript in transcripts}
    assert ended["first"] is MessageState.COMPLETE
    assert ended["to the huge one"] in (MessageState.CANCELLED, MessageState.FAILED)


@pytest.mark.parametrize(("drain_seconds", "signals"), [("0.1", 1), ("60", 2)])
async def test_an_answer_that_is_cut_off_is_stored_as_that(home: Home, drain_seconds: str, signals: int) -> None:
    with home.daemon(EDGED_ENGINE__DEFAULT="slow", EDGED_DAEMON__DRAIN_SECONDS=drain_seconds) as daemon:
        with pytest.raises(EdgedError) as caught:
            async with Client(home.address) as client:
                async for event in client.ask((Text(text="go on"),), sampling={"max_tokens": 1900}):
                    if isinstance(event, TextDelta) and "STOPPING=1" not in daemon.heard:
                        daemon.signal(signal.SIGTERM)
                        daemon.wait_until("STOPPING=1")
                        if signals == 2:
                            daemon.signal(signal.SIGTERM)
        assert caught.value.code.name == "UNAVAILABLE"
        assert daemon.wait() == 0
        assert "Traceback" not in daemon.log.read_text()
    with home.daemon():
        async with Client(home.address) as client:
            conversations = (await client.list_conversations()).conversations
            transcript = await client.get_conversation(conversations[0].id)
    user, answer = transcript.messages
    assert user.text == "go on"
    assert answer.state in (MessageState.CANCELLED, MessageState.FAILED)
    assert answer.text


async def test_watchdog_pings_reach_systemd(home: Home) -> None:
    with home.daemon(WATCHDOG_USEC="5000000") as daemon:
        for _ in range(2):
            assert daemon.next_notification() == "WATCHDOG=1"


async def test_logs_hold_what_was_said_only_on_request(home: Home) -> None:
    canary = "zebra-7319"
    with home.daemon(EDGED_LOGGING__LEVEL="debug") as daemon:
        async with Client(home.address) as client:
            await ask(client, canary)
            with pytest.raises(EdgedError):
                await ask(client, canary, conversation_id=canary)
        daemon.stop()
        assert canary not in daemon.log.read_text()
    with home.daemon(EDGED_LOGGING__CONTENT="true") as daemon:
        async with Client(home.address) as client:
            await ask(client, canary)
            assert (await client.status()).privacy.content_logging
        daemon.stop()
        assert canary in daemon.log.read_text()


@pytest.mark.parametrize("command", [("ask", "hello"), ("conversations", "list"), ("status",)], ids=" ".join)
def test_a_database_that_is_taken_away_is_told_at_once(home: Home, command: tuple[str, ...]) -> None:
    with home.daemon():
        file = home.state / "edged.db"
        kept = file.rename(file.with_name("kept"))
        done = home.run(*command)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"edged: {file} was moved, deleted or replaced while it is in use: put it back, or restart edged\n"
        )
        kept.rename(file)
        assert home.run(*command).returncode == 0


async def test_a_loopback_port_is_served_if_asked_for(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with home.daemon(EDGED_DAEMON__TCP=f"127.0.0.1:{port}"):
        async with Client(f"127.0.0.1:{port}") as client:
            assert isinstance((await ask(client, "hello"))[-1], Finished)
            status = await client.status()
    assert status.listening_on == (home.address, f"127.0.0.1:{port}")


async def test_only_the_owner_can_open_the_socket(served: Home) -> None:
    assert served.config.socket_path.stat().st_mode & 0o777 == 0o600
    assert served.state.stat().st_mode & 0o777 == 0o700
    assert (served.folder / ".config/edged/database.key").stat().st_mode & 0o777 == 0o600


def one_line_of(home: Home, **environ: str) -> str:
    """What `edged serve` says when it cannot start."""
    done = home.run("serve", **environ)
    lines = [line for line in done.stderr.splitlines() if " INFO " not in line and " WARNING " not in line]
    assert (done.returncode, done.stdout, len(lines)) == (1, "", 1), done.stderr
    return lines[0]


def test_a_second_daemon_is_refused_and_the_first_goes_on(home: Home) -> None:
    with home.daemon() as daemon:
        assert f"process {daemon.process.pid}" in one_line_of(home)
        daemon.stop()


def test_a_socket_in_use(home: Home, tmp_path: Path) -> None:
    shared = str(home.folder / "shared.sock")
    with home.daemon(EDGED_DAEMON__SOCKET=shared):
        line = one_line_of(home, EDGED_DAEMON__SOCKET=shared, EDGED_STATE_DIR=str(tmp_path / "other"))
    assert shared in line


def test_a_port_in_use_leaves_nothing_behind(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert f"port {port}" in one_line_of(home, EDGED_DAEMON__TCP=f"127.0.0.1:{port}")
    assert not home.config.socket_path.exists()
    with home.daemon():
        pass


def test_a_socket_that_a_dead_daemon_left_is_replaced(home: Home) -> None:
    with home.daemon() as daemon:
        daemon.kill()
        assert home.config.socket_path.exists()
    with home.daemon():
        pass


def test_state_directories_that_cannot_be_used(home: Home) -> None:
    file = home.folder / "file"
    file.touch()
    assert f"{file} cannot be used: it is not a directory" in one_line_of(home, EDGED_STATE_DIR=str(file))
    assert "/proc/edged cannot be used" in one_line_of(home, EDGED_STATE_DIR="/proc/edged")


def test_a_corrupt_configuration(home: Home) -> None:
    file = home.folder / "edged.toml"
    file.write_text("[daemon]\ndrain_secnds = 1\n")
    line = one_line_of(home, EDGED_CONFIG=str(file))
    assert 'unknown key daemon.drain_secnds (did you mean "drain_seconds"?)' in line
    assert str(file) in line


def test_an_engine_that_is_missing_or_torn_leaves_nothing_behind(home: Home) -> None:
    assert 'did you mean "tiny"' in one_line_of(home, EDGED_ENGINE__DEFAULT="tinny")
    assert not home.config.socket_path.exists()
    torn = home.folder / "engines" / "torn"
    torn.mkdir(parents=True)
    (torn / "manifest.json").write_text("{")
    assert "manifest.json" in one_line_of(home, EDGED_ENGINES_DIR=str(torn.parent), EDGED_ENGINE__DEFAULT="torn")
    with home.daemon():
        pass


def test_a_signal_while_loading_ends_it_cleanly(home: Home) -> None:
    daemon = DaemonProcess(home, {})
    try:
        while not home.config.socket_path.exists():
            assert daemon.process.poll() is None, daemon.log.read_text()
            time.sleep(0.001)
        daemon.signal(signal.SIGINT)
        assert daemon.wait() == 0, daemon.log.read_text()
    finally:
        daemon.kill()
    assert not home.config.socket_path.exists()
    assert "Traceback" not in daemon.log.read_text()
