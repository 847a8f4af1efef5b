"""Loading, serving, draining: what is answered when, and how running calls end."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from edged.client import Client
from edged.errors import Code, RemoteError, Unavailable
from edged.events import Finished, MessageState, Text, TextDelta, TurnEvent
from edged.records import DaemonState
from edged.server.server import MAX_CONCURRENT_CALLS, SERVICES
from tests.server.conftest import Daemon
from tests.server.scripted import END, WAIT, until

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
HELLO = (Text(text="Hello"),)


async def ask(client: Client) -> list[TurnEvent]:
    async with aclosing(client.ask(HELLO)) as turn:
        return [event async for event in turn]


async def checked(daemon: Daemon) -> set[int]:
    async with grpc.aio.insecure_channel(daemon.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        requests = [health_pb2.HealthCheckRequest(service=name) for name in ("", *SERVICES)]
        return {(await health.Check(request)).status for request in requests}


async def test_health_check_follows_the_state(loading: Daemon) -> None:
    assert await checked(loading) == {NOT_SERVING}
    loading.server.serve()
    assert await checked(loading) == {SERVING}
    loading.server.lifecycle.enter(DaemonState.DRAINING)
    assert await checked(loading) == {NOT_SERVING}


async def test_health_of_a_service_that_is_not_here(daemon: Daemon) -> None:
    async with grpc.aio.insecure_channel(daemon.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service="edged.v1.Nothing")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await health.Check(request)
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND
        watch = health.Watch(request)
        assert (await watch.read()).status == SERVICE_UNKNOWN
        watch.cancel()


async def test_all_watchers_see_all_changes_even_when_one_left(loading: Daemon) -> None:
    async with grpc.aio.insecure_channel(loading.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        names = ("", SERVICES[0], "", SERVICES[0])
        watches = [health.Watch(health_pb2.HealthCheckRequest(service=name)) for name in names]
        assert [(await watch.read()).status for watch in watches] == [NOT_SERVING] * 4
        watches.pop().cancel()
        watches.pop().cancel()
        loading.server.serve()
        assert [(await watch.read()).status for watch in watches] == [SERVING] * 2
        await loading.server.drain(0)
        assert [(await watch.read()).status for watch in watches] == [NOT_SERVING] * 2


async def test_while_loading_only_questions_are_refused(loading: Daemon) -> None:
    async with Client(loading.address) as client:
        with pytest.raises(RemoteError) as raised:
            await ask(client)
        assert raised.value.code is Code.UNAVAILABLE
        assert raised.value.retry_seconds
        assert (await client.list_conversations()).conversations == ()
        assert (await client.status()).state is DaemonState.LOADING
        with pytest.raises(Unavailable, match="still loading"):
            await client.wait_until_serving(0.1)
        waiting = asyncio.create_task(client.wait_until_serving(10))
        await asyncio.sleep(0.01)
        loading.server.serve()
        await waiting
        await ask(client)


async def test_draining_refuses_new_calls_and_lets_running_ones_end(daemon: Daemon, client: Client) -> None:
    daemon.model.script = [TextDelta(text="a"), WAIT, TextDelta(text="b"), *END]
    running = asyncio.create_task(ask(client))
    await until(lambda: daemon.model.emitted)
    drain = asyncio.create_task(daemon.server.drain(30))
    await asyncio.sleep(0)
    for refused in (ask(client), client.list_conversations(), client.get_model()):
        with pytest.raises(RemoteError, match="shutting down") as raised:
            await refused
        assert raised.value.code is Code.UNAVAILABLE
        assert raised.value.retry_seconds
    assert (await client.status()).state is DaemonState.DRAINING
    assert await checked(daemon) == {NOT_SERVING}
    daemon.model.release.set()
    assert isinstance((await running)[-1], Finished)
    await drain
    assert [closing.state for closing in daemon.memory.closings] == [MessageState.COMPLETE]
    assert not daemon.socket.exists()


async def test_draining_cuts_off_what_takes_too_long_and_stores_it(daemon: Daemon, client: Client) -> None:
    daemon.model.script = [TextDelta(text="a"), WAIT]
    running = [asyncio.create_task(ask(client)) for _ in range(2)]
    await until(lambda: daemon.model.emitted == 2)
    daemon.memory.slow = asyncio.Event()
    drain = asyncio.create_task(daemon.server.drain(0.05))
    await until(lambda: len(daemon.memory.closings) == 2)
    assert not drain.done()
    daemon.memory.slow.set()
    await drain
    for task in running:
        with pytest.raises(RemoteError, match="shutting down") as raised:
            await task
        assert raised.value.code is Code.UNAVAILABLE
    assert [message[-1].text for message in daemon.memory.messages.values()] == ["a", "a"]
    assert {closing.state for closing in daemon.memory.closings} == {MessageState.CANCELLED}
    assert daemon.model.running == 0


async def test_a_drain_can_be_hurried(daemon: Daemon, client: Client) -> None:
    daemon.model.script = [TextDelta(text="a"), WAIT]
    running = asyncio.create_task(ask(client))
    await until(lambda: daemon.model.emitted)
    patient = asyncio.create_task(daemon.server.drain(60))
    await asyncio.sleep(0.01)
    patient.cancel()
    await asyncio.gather(patient, return_exceptions=True)
    await daemon.server.drain(0)
    with pytest.raises(RemoteError, match="shutting down"):
        await running
    assert [closing.state for closing in daemon.memory.closings] == [MessageState.CANCELLED]


async def test_calls_beyond_the_limit_are_refused(daemon: Daemon, client: Client) -> None:
    async with grpc.aio.insecure_channel(daemon.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        watches = [health.Watch(health_pb2.HealthCheckRequest()) for _ in range(MAX_CONCURRENT_CALLS)]
        for watch in watches:
            await watch.read()
        with pytest.raises(RemoteError) as raised:
            await client.get_model()
        assert raised.value.code is Code.RESOURCE_EXHAUSTED
    await client.wait_until_serving(10)


async def test_after_draining_nobody_answers(daemon: Daemon, client: Client) -> None:
    await ask(client)
    await daemon.server.drain(1)
    with pytest.raises(Unavailable, match="edged serve"):
        await ask(client)


async def test_a_client_outlives_its_daemon(daemon: Daemon, client: Client) -> None:
    await ask(client)
    await daemon.server.drain(0)
    again = Daemon(daemon.socket)
    await again.server.start(again.socket)
    again.server.serve()
    await client.wait_until_serving(10)
    assert isinstance((await ask(client))[-1], Finished)
    await again.server.drain(0)


async def test_status_reports_everything(daemon: Daemon, client: Client) -> None:
    await ask(client)
    status = await client.status()
    assert status.listening_on == (daemon.address,)
    assert (status.engine, status.store) == (daemon.model.status(), await daemon.memory.status())
    assert status.state is DaemonState.SERVING
