"""Every call of every service, found by reflection, at every door: who may make it and who may not."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from edged.client import Client
from edged.records import Scope
from edged.server.caller import INCLUDES, NEEDED
from edged.server.server import MAX_CONCURRENT_CALLS, MAX_LAN_CONNECTIONS
from edged.v1 import assistant_pb2
from tests.server.lan_server import LanServer
from tests.server.scripted import WAIT, says, until
from tests.server.test_server_contract import Reflected

ASK = "/edged.v1.AssistantService/Ask"
CONVERSE = "/edged.v1.AssistantService/Converse"
RENEW = "/edged.v1.DeviceService/RenewCertificate"
UNAUTHENTICATED, DENIED = "UNAUTHENTICATED", "PERMISSION_DENIED"
HEALTH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
REFUSED = (UNAUTHENTICATED, DENIED)
OPEN = assistant_pb2.ConverseRequest(open={"mode": 2, "encoding": 1})
Calls = dict[str, bool]
"""Each method, and whether it answers with a stream."""


@pytest.fixture
async def lan(run_dir: Path) -> AsyncIterator[LanServer]:
    async with LanServer(run_dir).serving() as server:
        yield server


@pytest.fixture
async def calls(lan: LanServer) -> Calls:
    """All of edged's own, as the server itself tells."""
    found: Calls = {}
    async with grpc.aio.insecure_channel(f"unix:{lan.socket}") as channel:
        reflected = Reflected(channel)
        for service in await reflected.services():
            if service.startswith("edged."):
                await reflected.add_file_with(service)
                for method in reflected.pool.FindServiceByName(service).methods:
                    found[f"/{service}/{method.name}"] = bool(method.server_streaming)
    return found


async def test_every_call_has_its_scope(calls: Calls) -> None:
    """One that somebody adds and forgets is the operator's alone."""
    assert calls.keys() == {method for method in NEEDED if method.startswith("/edged.v1.")}


async def test_who_is_not_paired_makes_no_call_at_the_web_port(lan: LanServer, calls: Calls) -> None:
    device_id, token = await lan.browser(*Scope)
    await lan.registry.revoke(device_id)
    for shown in ("", "nobody".ljust(43, "x"), token):
        for method, is_stream in calls.items():
            if method != CONVERSE:
                assert await lan.web_outcome(method, shown, is_stream=is_stream) == UNAUTHENTICATED, method
        assert await lan.socket_outcome(CONVERSE, shown, OPEN) == 4016


async def test_who_is_not_paired_makes_no_call_over_grpc(lan: LanServer, calls: Calls) -> None:
    program = await lan.program(*Scope)
    await lan.registry.revoke(program.device_id)
    async with lan.channel(program) as revoked, lan.channel(None) as stranger:
        for method in calls:
            assert await lan.grpc_outcome(revoked, method) == UNAUTHENTICATED, method
        assert await lan.grpc_outcome(stranger, ASK) == "UNAVAILABLE"  # the handshake fails
        assert await lan.grpc_outcome(revoked, "/edged.v1.PairingService/StartPairing") == "UNIMPLEMENTED"


async def test_an_expired_certificate_shakes_no_hands(lan: LanServer) -> None:
    short = await lan.program(*Scope, expires_at=datetime.now(UTC) + timedelta(seconds=1.5))
    await asyncio.sleep(2.5)
    async with lan.channel(short) as channel:
        assert await lan.grpc_outcome(channel, ASK) == "UNAVAILABLE"


async def test_a_paired_device_cannot_be_the_daemon(lan: LanServer) -> None:
    """Its certificate is one of the same authority, but none of a server."""
    program = await lan.program(*Scope)
    server = grpc.aio.server()
    credentials = grpc.ssl_server_credentials([(program.key, program.certificate)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    lan.grpc_port = port
    async with lan.channel(program) as channel:
        assert await lan.grpc_outcome(channel, ASK) == "UNAVAILABLE"
    await server.stop(None)


async def test_without_its_scope_every_call_is_refused_and_with_it_none(lan: LanServer, calls: Calls) -> None:
    for needed in (*Scope, None):
        enough = {scope for scope in Scope if scope == needed or (needed and INCLUDES.get(needed) == scope)}
        poor = await lan.program(*(set(Scope) - enough) if needed else ())
        rich = await lan.program(*([needed] if needed else []))
        _, poor_token = await lan.browser(*(set(Scope) - enough) if needed else ())
        _, rich_token = await lan.browser(*([needed] if needed else []))
        async with lan.channel(poor) as poor_channel, lan.channel(rich) as rich_channel:
            for method in (method for method in calls if NEEDED[method] == needed):
                found = [await lan.grpc_outcome(poor_channel, method), await lan.grpc_outcome(rich_channel, method)]
                if method == CONVERSE:
                    codes = [await lan.socket_outcome(method, token, OPEN) for token in (poor_token, rich_token)]
                    assert codes[0] == 4007 and codes[1] not in (4007, 4016)
                elif method != RENEW:  # browsers have nothing to renew
                    tokens = (poor_token, rich_token)
                    found += [await lan.web_outcome(method, token, is_stream=calls[method]) for token in tokens]
                assert [code in REFUSED for code in found[::2]] == [needed is not None] * len(found[::2]), method
                assert not any(code in REFUSED for code in found[1::2]), (method, found)
                assert needed is None or set(found[::2]) == {DENIED}


async def test_what_one_device_asks_no_other_sees_but_by_scope_or_person(lan: LanServer) -> None:
    own = (Scope.CHAT, Scope.HISTORY)
    anna, tablet = await lan.program(*own, person="Anna"), await lan.program(*own, person="Anna")
    ben, nurse = await lan.program(*own), await lan.program(Scope.HISTORY_ALL)
    ask = assistant_pb2.AskRequest(parts=[{"text": "Hello"}]).SerializeToString()
    async with lan.channel(anna) as channel:
        assert await lan.grpc_outcome(channel, ASK, ask) == "OK"
    name = "c1"
    get = f"/edged.v1.ConversationService/{'GetConversation'}"
    request = b"\x0a" + bytes([len(name)]) + name.encode()  # field 1, a string
    seen = {}
    for who, program in (("anna", anna), ("tablet", tablet), ("ben", ben), ("nurse", nurse)):
        async with lan.channel(program) as channel:
            seen[who] = await lan.grpc_outcome(channel, get, request)
    assert seen == {"anna": "OK", "tablet": "OK", "ben": "NOT_FOUND", "nurse": "OK"}
    async with Client(f"unix:{lan.socket}") as operator:
        assert [one.id for one in (await operator.list_conversations()).conversations] == [name]


@pytest.mark.parametrize("door", ["grpc", "web", "scope"])
async def test_revoking_breaks_off_what_runs(lan: LanServer, door: str) -> None:
    lan.model.script = [*says("a", "b")[:2], WAIT]
    ask = assistant_pb2.AskRequest(parts=[{"text": "Hello"}]).SerializeToString()
    if door == "web":
        device_id, token = await lan.browser(Scope.CHAT)
        asking = asyncio.create_task(lan.web_outcome(ASK, token, is_stream=True, request=ask))
    else:
        program = await lan.program(Scope.CHAT)
        device_id, channel = program.device_id, lan.channel(program)
        asking = asyncio.create_task(lan.grpc_outcome(channel, ASK, ask))
    async with asyncio.timeout(10):
        await until(lambda: lan.model.running)
        if door == "scope":
            await lan.registry.update(device_id, scopes=frozenset({Scope.HISTORY}))
        else:
            await lan.registry.revoke(device_id)
        assert await asking == (DENIED if door == "scope" else UNAUTHENTICATED)
        await until(lambda: not lan.model.running)
    if door != "web":
        await channel.close()


@pytest.mark.parametrize("changed", [{"scopes": frozenset({Scope.CHAT})}, {"person": "Ben"}])
async def test_who_sees_less_sees_no_more_of_it(lan: LanServer, changed: dict[str, Any]) -> None:
    lan.model.script = [*says("a", "b")[:2], WAIT]
    program = await lan.program(Scope.CHAT, Scope.HISTORY_ALL)
    ask = assistant_pb2.AskRequest(parts=[{"text": "Hello"}]).SerializeToString()
    async with lan.channel(program) as channel:
        asking = asyncio.create_task(lan.grpc_outcome(channel, ASK, ask))
        await until(lambda: lan.model.running)
        await lan.registry.update(program.device_id, name="other", scopes=frozenset(Scope))
        await asyncio.sleep(0.05)
        assert lan.model.running
        await lan.registry.update(program.device_id, **changed)
        assert await asking == DENIED


async def test_a_device_is_not_told_where_things_lie(lan: LanServer) -> None:
    for scopes, is_told in (((Scope.CHAT,), False), ((Scope.ADMIN,), True)):
        program = await lan.program(*scopes)
        async with lan.channel(program) as channel:
            call = channel.unary_unary("/edged.v1.StatusService/GetStatus")
            assert (b"memory" in await call(b"")) is is_told


async def test_no_device_takes_up_the_operators_calls(lan: LanServer) -> None:
    """Whoever has a certificate shakes hands, and need not say what it wants."""
    revoked = await lan.program(*Scope)
    await lan.registry.revoke(revoked.device_id)
    async with lan.channel(revoked) as channel, Client(f"unix:{lan.socket}") as operator:
        for method in (HEALTH, REFLECTION):
            assert await lan.grpc_outcome(channel, method) == "UNIMPLEMENTED"
        silent = [channel.stream_stream(ASK)() for _ in range(MAX_CONCURRENT_CALLS)]
        async with asyncio.timeout(30):
            while await lan.grpc_outcome(channel, ASK) != "RESOURCE_EXHAUSTED":
                pass  # nothing else tells that all have arrived
        assert (await operator.status()).state
        for call in silent:
            call.cancel()


async def test_strangers_take_up_a_bounded_number_of_connections(lan: LanServer) -> None:
    connections = [socket.create_connection(("127.0.0.1", lan.grpc_port)) for _ in range(MAX_LAN_CONNECTIONS + 8)]
    try:
        for connection in connections:
            connection.setblocking(False)
        await until(lambda: sum(map(is_closed, connections)) >= 8)
        assert not is_closed(connections[0])
    finally:
        for connection in connections:
            connection.close()


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


async def test_new_connections_are_shown_a_renewed_certificate(lan: LanServer) -> None:
    before, program = lan.identity.fingerprint, await lan.program(Scope.CHAT)
    lan.identity = lan.authority.server_identity(["another-name"])
    assert lan.identity.fingerprint != before
    _, writer = await asyncio.open_connection("127.0.0.1", lan.grpc_port, ssl=lan.trust())
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    assert hashlib.sha256(shown).digest().hex(":").upper() == lan.identity.fingerprint
    writer.transport.abort()
    async with lan.channel(program) as channel:
        assert await lan.grpc_outcome(channel, "/edged.v1.StatusService/GetStatus") == "OK"
