"""The conformance daemon tells a client that keeps to the contract from one that does not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from clients.conformance.__main__ import NEEDS_LAN
from clients.conformance.checks import TASKS
from clients.conformance.daemon import WatchedDaemon, watched_daemon
from edged.audio.pcm import to_bytes
from edged.client import Client
from edged.client.daemons import Pairing
from edged.client.pairing import Comparing, pair
from edged.errors import Code, RemoteError, Unavailable
from edged.events import Started, Text, TextDelta
from edged.voice_events import Button, Opening, SpokenInput, VoiceEvent, VoiceMode
from tests.pipeline.stages import speech
from tests.server.scripted import until


@pytest.fixture
async def daemon() -> AsyncIterator[WatchedDaemon]:
    async with watched_daemon() as daemon:
        yield daemon


@pytest.fixture
async def client(daemon: WatchedDaemon) -> AsyncIterator[Client]:
    async with Client(daemon.address) as client:
        yield client


async def answer(client: Client, question: str, conversation_id: str = "") -> tuple[str, str]:
    """Conversation and text."""
    text = ""
    async for event in client.ask([Text(text=question)], conversation_id=conversation_id):
        if isinstance(event, Started):
            conversation_id = event.conversation_id
        if isinstance(event, TextDelta):
            text += event.text
    return conversation_id, text


async def streams(client: Client, address: str) -> None:
    for task in ("stream", "unknown"):
        _, text = await answer(client, task)
        assert (await answer(client, f"{task} {text.split()[-1]}"))[1] == "well done"


async def fetches_what_is_long(client: Client, address: str) -> None:
    conversation_id, _ = await answer(client, "long")
    transcript = await client.get_conversation(conversation_id)
    await answer(client, f"long {transcript.messages[-1].text[-8:]}")


async def cancels(client: Client, address: str) -> None:
    async with aclosing(client.ask([Text(text="cancel")])) as events:
        count = 0
        async for event in events:
            count += isinstance(event, TextDelta)
            if count > 4:
                break


async def keeps_a_deadline(client: Client, address: str) -> None:
    with pytest.raises(RemoteError) as caught:
        async for _ in client.ask([Text(text="deadline")], timeout_seconds=1.0):
            pass
    assert caught.value.code is Code.DEADLINE_EXCEEDED


async def reads_details(client: Client, address: str) -> None:
    with pytest.raises(RemoteError) as caught:
        await answer(client, "details")
    await answer(client, f"details {caught.value.reason} {caught.value.field}")
    with pytest.raises(RemoteError) as caught:
        await answer(client, "retry")
    assert caught.value.retry_seconds
    await asyncio.sleep(caught.value.retry_seconds)
    await answer(client, "retry")


async def asks_for_health(client: Client, address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())


async def talks(client: Client, address: str) -> None:
    call = client.converse(Opening(mode=VoiceMode.PUSH_TO_TALK))
    await call.send(Button(is_pressed=True))
    sound = speech(1.2)
    for start in range(0, len(sound), 3200):
        await call.send(SpokenInput(data=to_bytes(sound[start : start + 3200])))
    await call.send(Button(is_pressed=False))
    await call.finish()
    async with aclosing(call.events()) as events:
        heard: list[VoiceEvent] = [event async for event in events]
    assert [event.text for event in heard if isinstance(event, TextDelta)] == ["well done"]
    assert sum(isinstance(event, Started) for event in heard) == 1


GOOD: dict[Callable[[Client, str], Awaitable[None]], set[str]] = {
    streams: {"stream", "unknown"},
    fetches_what_is_long: {"long"},
    cancels: {"cancel"},
    keeps_a_deadline: {"deadline"},
    reads_details: {"details", "retry"},
    asks_for_health: {"health"},
    talks: {"voice", "resume"},
}


@pytest.mark.parametrize("does", GOOD, ids=lambda does: does.__name__)
async def test_our_own_client_passes(
    daemon: WatchedDaemon, client: Client, does: Callable[[Client, str], Awaitable[None]]
) -> None:
    await does(client, daemon.address)
    await asyncio.sleep(0.2)  # the daemon hears of a cancelled call a moment later
    checks = daemon.observer.checks
    assert {name for name, check in checks.items() if check.has_passed} == GOOD[does], {
        name: check.result for name, check in checks.items()
    }


def test_every_task_is_tried() -> None:
    assert set().union(*GOOD.values()) | set(NEEDS_LAN) == set(TASKS)


async def test_pairing_and_a_call_with_the_certificate() -> None:
    told: list[str] = []
    async with watched_daemon(lan_ports=(free_port(), free_port()), tell=told.append) as daemon:
        checks = daemon.observer.checks
        await until(lambda: told)
        address, code = re.findall(r"pair with (\S+), code (\d+)", told[0])[0]
        async with aclosing(pair(address, code=code, device_name="A client")) as steps:
            async for step in steps:
                if isinstance(step, Comparing):
                    await until(lambda: len(told) > 1)
                    assert told[1] == f"A client must show {step.short_string}"
                    assert checks["pair"].result.startswith("not tried")
        assert isinstance(step, Pairing)
        checks = daemon.observer.checks
        assert checks["pair"].has_passed and not checks["certificate"].has_passed
        async with Client(step.grpc_address, step.credentials) as client:
            assert (await answer(client, "hello"))[1] == "well done"
        assert daemon.observer.checks["certificate"].has_passed


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("question", "problem"),
    [
        ("stream 499", "'499' is not how the answer ended"),
        ("details INTERNAL text", "INTERNAL text is not what the details say"),
        ("long xxxxxxxx", "'xxxxxxxx' is not how the answer ended"),
    ],
)
async def test_a_client_that_guesses_fails(daemon: WatchedDaemon, client: Client, question: str, problem: str) -> None:
    await answer(client, question)
    check = daemon.observer.checks[question.split()[0]]
    assert check.result == f"failed: {problem}"


async def test_a_client_that_comes_back_at_once_or_sets_no_deadline_fails(
    daemon: WatchedDaemon, client: Client
) -> None:
    with pytest.raises(RemoteError):
        await answer(client, "retry")
    await answer(client, "retry")
    assert daemon.observer.checks["retry"].result.startswith("failed: it came back after 0.0")
    async with aclosing(client.ask([Text(text="deadline")])) as events:
        await anext(events)
    await asyncio.sleep(0.2)
    assert daemon.observer.checks["deadline"].result.startswith("failed: the deadline was None")


async def test_one_that_opens_a_new_session_in_place_of_a_broken_one_fails(
    daemon: WatchedDaemon, client: Client
) -> None:
    for _ in range(2):
        call = client.converse(Opening(mode=VoiceMode.PUSH_TO_TALK))
        await call.send(Button(is_pressed=True))
        await call.send(SpokenInput(data=to_bytes(speech(1.0))))
        await call.send(Button(is_pressed=False))
        await call.finish()
        with contextlib.suppress(Unavailable):  # the first one breaks
            async for _ in call._one_call():
                pass
    assert daemon.observer.checks["resume"].result.startswith("failed: a new session")


def test_the_program_serves_and_reports() -> None:
    command = [sys.executable, "-m", "clients.conformance", "serve", "--json", "--only", "health", "--only", "stream"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as serving:
        assert serving.stdout
        address = serving.stdout.readline().removeprefix("listening on ").strip()

        async def use() -> None:
            async with Client(address) as client:
                await asks_for_health(client, address)
                await answer(client, "stream nothing")

        asyncio.run(use())
        serving.send_signal(signal.SIGTERM)
        report = json.loads(serving.stdout.read())
        assert serving.wait(30) == 1
    assert report == {"health": "passed", "stream": "failed: 'nothing' is not how the answer ended"}
