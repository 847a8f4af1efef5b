"""The client and a daemon elsewhere: real handshakes, with a certificate on either side."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edged.client import Client
from edged.client.address import parse_address
from edged.client.certificate_request import new_key
from edged.client.channel import Credentials, pem_of
from edged.errors import EdgedError, InvalidInput, Unauthenticated, Unavailable
from edged.records import DaemonState
from edged.trust.authority import Authority
from edged.voice_events import FinalTranscript, Opening, SpokenInput, VoiceMode
from tests.client.secure import ConverseScript, RenewalScript, credentials, serving


@pytest.fixture
def kitchen(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path / "kitchen", "kitchen")


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path / "stranger", "kitchen")


async def status_of(address: str, known: Credentials) -> DaemonState:
    async with Client(address, known) as client:
        return (await client.status()).state


async def test_a_paired_client_is_served_by_whatever_address_it_comes(kitchen: Authority) -> None:
    async with serving(kitchen) as address:
        port = address.rpartition(":")[2]
        for host in ("127.0.0.1", "localhost"):
            assert await status_of(f"{host}:{port}", credentials(kitchen)) is DaemonState.SERVING


async def test_another_daemon_is_not_trusted(kitchen: Authority, stranger: Authority) -> None:
    async with serving(stranger) as address:
        with pytest.raises(Unauthenticated, match="not the daemon that was paired with: `edged join`"):
            await status_of(address, credentials(stranger, trusting=kitchen))


async def test_a_certificate_that_the_daemon_did_not_give_or_that_ran_out(
    kitchen: Authority, stranger: Authority, tmp_path: Path
) -> None:
    long_ago = Authority.open(tmp_path / "kitchen", "kitchen", now=lambda: datetime.now(UTC) - timedelta(seconds=100))
    key = new_key()
    expired = long_ago.client_certificate(
        key.request, device_id="d1", expires_at=datetime.now(UTC) - timedelta(seconds=50)
    )
    ran_out = Credentials(ca_certificate=kitchen.certificate_pem, certificate=pem_of(expired), key=key.pem)
    async with serving(kitchen) as address:
        for refused in (credentials(stranger, trusting=kitchen), ran_out):
            with pytest.raises(Unavailable, match=r"hung up.*`edged join`"):
                await status_of(address, refused)


async def test_what_is_no_daemon(kitchen: Authority) -> None:
    plain = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = plain.sockets[0].getsockname()[1]
    async with plain:
        with pytest.raises(EdgedError) as raised:
            await status_of(f"127.0.0.1:{port}", credentials(kitchen))
    assert "\n" not in raised.value.message and f"127.0.0.1:{port}" in raised.value.message
    with pytest.raises(Unavailable, match=r"no daemon answers.*edged serve --lan"):
        await status_of(f"127.0.0.1:{port}", credentials(kitchen))


async def test_a_name_that_nobody_knows(kitchen: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*question: object, **how: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)  # no test asks the network
    with pytest.raises(Unavailable, match="no host named nowhere is known here"):
        await status_of("nowhere:1", credentials(kitchen))


@pytest.mark.parametrize("address", ["", "192.168.0.9", "unix:/run/s", "https://a:1", "a b:1", "host:0", "host:99999"])
def test_what_is_no_address_elsewhere(address: str, kitchen: Authority) -> None:
    with pytest.raises(InvalidInput) as raised:
        Client(address, credentials(kitchen))
    assert raised.value.field == "address"


@pytest.mark.parametrize(
    ("address", "parsed"),
    [
        ("192.168.0.9", ("192.168.0.9", 8443)),
        ("kitchen.local:1", ("kitchen.local", 1)),
        ("::1", ("::1", 8443)),
        ("[::1]", ("::1", 8443)),
        ("[fe80::1%eth0]:50051", ("fe80::1%eth0", 50051)),
    ],
)
def test_addresses_with_a_port_of_their_own_or_not(address: str, parsed: tuple[str, int]) -> None:
    assert parse_address(address, 8443) == parsed


async def test_a_conversation_by_voice_goes_on_when_the_daemon_comes_back(kitchen: Authority) -> None:
    script = ConverseScript()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    heard = []
    first = serving(kitchen, script, port=port)
    address = await first.__aenter__()
    async with Client(address, credentials(kitchen)) as client:
        call = client.converse(Opening(mode=VoiceMode.OPEN))
        await call.send(SpokenInput(data=b"one"))
        async with aclosing(call.events()) as events:
            heard.append(await anext(events))
            await first.__aexit__(None, None, None)
            await call.send(SpokenInput(data=b"two"))
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0.5)
            async with serving(kitchen, script, port=port):
                heard.append(await waiting)
                await call.finish()
                assert [event async for event in events] == []
    assert [event.text for event in heard if isinstance(event, FinalTranscript)] == ["one", "two"]
    assert script.heard == [b"one", b"two"]
    assert script.opened == [("", 0), ("s1", 1)]


async def test_renewal(kitchen: Authority) -> None:
    key = new_key()
    async with (
        serving(kitchen, RenewalScript(kitchen)) as address,
        Client(address, credentials(kitchen)) as client,
    ):
        renewed = await client.devices.renew_certificate(key.request)
        later = Credentials(
            ca_certificate=pem_of(renewed.ca_certificate), certificate=pem_of(renewed.certificate), key=key.pem
        )
        assert await status_of(address, later) is DaemonState.SERVING
    with pytest.raises(InvalidInput, match="another key"):
        new_key().check(renewed.certificate, renewed.ca_certificate)


def test_the_key_is_not_shown(kitchen: Authority) -> None:
    known = credentials(kitchen)
    assert known.key and "PRIVATE" not in repr(known)


def test_importing_the_client_needs_no_extra() -> None:
    program = (
        "import sys\n"
        "for name in ('cryptography', 'spake2', 'zeroconf', 'segno'): sys.modules[name] = None\n"
        "import edged.client, edged.client.daemons, edged.cli, edged.cli.connection\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
