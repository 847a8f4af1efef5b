"""Conversations by voice that wait for whoever began them, and for nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from edged.records import Scope
from edged.v1 import assistant_pb2, assistant_pb2_grpc
from tests.server.lan_server import LanServer
from tests.server.scripted import until


@pytest.fixture
async def lan(run_dir: Path) -> AsyncIterator[LanServer]:
    async with LanServer(run_dir).serving() as server:
        yield server


async def opened(channel: grpc.aio.Channel, session_id: str = "") -> str:
    """The session's id, once a call has begun or resumed it and its connection is broken."""
    stub = assistant_pb2_grpc.AssistantServiceStub(channel)
    call = stub.Converse()
    asked = {"mode": 2, "encoding": 1, "session_id": session_id}
    await call.write(assistant_pb2.ConverseRequest(open=asked))
    response = await call.read()
    call.cancel()
    return str(response.opened.session_id)


async def refused(channel: grpc.aio.Channel, session_id: str) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await opened(channel, session_id)
    return caught.value.code(), str(caught.value.details())


async def test_a_kept_session_is_there_for_its_device_alone(lan: LanServer) -> None:
    phone, other = await lan.program(Scope.VOICE), await lan.program(*Scope)
    calls = lan.server.voice_calls
    assert calls is not None
    async with (
        lan.channel(phone) as mine,
        lan.channel(other) as theirs,
        grpc.aio.insecure_channel(f"unix:{lan.socket}") as operators,
    ):
        kept = await opened(mine)
        for channel in (theirs, operators):
            assert await refused(channel, kept) == await refused(channel, "nobodys")
        assert await opened(mine, kept) == kept

        begun_by_operator = await opened(operators)
        assert await refused(mine, begun_by_operator) == await refused(mine, "nobodys")

        await lan.registry.revoke(phone.device_id)
        await until(lambda: calls.count == 1)
        assert await opened(operators, begun_by_operator) == begun_by_operator


async def test_a_session_ends_when_its_device_sees_others_than_it_did(lan: LanServer) -> None:
    phone = await lan.program(Scope.VOICE, Scope.HISTORY_ALL)
    async with lan.channel(phone) as mine:
        kept = await opened(mine)
        await lan.registry.update(phone.device_id, name="Renamed")
        assert await opened(mine, kept) == kept
        await lan.registry.update(phone.device_id, scopes=frozenset({Scope.VOICE}))
        assert await refused(mine, kept) == await refused(mine, "nobodys")
