"""Paired daemons as they lie on disk, and their certificates as time goes by."""

from __future__ import annotations

import asyncio
import socket
import stat
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.client import Client
from edged.client.daemons import PairedDaemons, is_due
from edged.client.discovery import Found
from edged.errors import AlreadyExists, ConfigError, InvalidInput, NotFound, Unavailable
from edged.trust.authority import Authority
from tests.client.secure import RenewalScript, pairing, serving


@pytest.fixture
def kitchen(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path / "kitchen", "kitchen")


@pytest.fixture
def daemons(tmp_path: Path) -> PairedDaemons:
    return PairedDaemons(tmp_path / "config" / "daemons")


def test_what_is_kept_is_found_again(daemons: PairedDaemons, kitchen: Authority) -> None:
    assert daemons.names() == ()
    first, second = pairing(kitchen, "192.168.0.9:50051"), pairing(kitchen, "192.168.0.7:50051", name="attic")
    daemons.add(first)
    daemons.add(second)
    assert daemons.names() == ("attic", "kitchen")
    assert (daemons.load("kitchen"), daemons.load("attic")) == (first, second)
    daemons.remove("kitchen")
    assert daemons.names() == ("attic",) and not (daemons.directory / "kitchen").exists()


def test_nobody_else_can_read_it(daemons: PairedDaemons, kitchen: Authority) -> None:
    daemons.add(pairing(kitchen, "192.168.0.9:50051"))
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in [daemons.directory, *daemons.directory.rglob("*")]
    }
    assert modes == {"daemons": 0o700, "kitchen": 0o700, "identity.pem": 0o600, "ca.pem": 0o600, "pairing.json": 0o600}
    (daemons.directory / "kitchen" / "identity.pem").chmod(0o640)
    with pytest.raises(ConfigError, match="others can read the key"):
        daemons.load("kitchen")


def test_openssl_takes_the_files(daemons: PairedDaemons, kitchen: Authority) -> None:
    daemons.add(pairing(kitchen, "192.168.0.9:50051"))
    folder = daemons.directory / "kitchen"
    verify = ["openssl", "verify", "-purpose", "sslclient", "-CAfile", folder / "ca.pem", folder / "identity.pem"]
    assert subprocess.run(verify, capture_output=True, text=True, check=True).stdout.endswith("identity.pem: OK\n")
    subprocess.run(["openssl", "pkey", "-in", folder / "identity.pem", "-noout", "-check"], check=True)


@pytest.mark.parametrize(
    ("file", "damage"),
    [("pairing.json", text) for text in (b"", b"{}", b"[]", b'{"scopes": 3}', b"\xff")]
    + [("ca.pem", b""), ("identity.pem", b""), ("identity.pem", b"-----BEGIN CERTIFICATE-----")],
)
def test_damage_is_one_line(daemons: PairedDaemons, kitchen: Authority, file: str, damage: bytes) -> None:
    daemons.add(pairing(kitchen, "192.168.0.9:50051"))
    (daemons.directory / "kitchen" / file).write_bytes(damage)
    with pytest.raises(ConfigError, match=r"kitchen is damaged: `edged daemons forget kitchen`"):
        daemons.load("kitchen")
    daemons.remove("kitchen")


def test_names(daemons: PairedDaemons, kitchen: Authority) -> None:
    daemons.add(pairing(kitchen, "192.168.0.9:50051"))
    with pytest.raises(NotFound, match=r"no daemon named 'kitchn'.*did you mean \"kitchen\""):
        daemons.load("kitchn")
    with pytest.raises(NotFound):
        daemons.remove("attic")


@given(st.text(max_size=70) | st.sampled_from(["..", ".", "a/b", "../x", "a\n", "-x", ".x", "a\0"]))
def test_no_name_leads_elsewhere(name: str) -> None:
    daemons = PairedDaemons(Path("/nonexistent/daemons"))
    with pytest.raises(NotFound):
        daemons.load(name)
    if not name or "/" in name or name[0] in ".-" or not name.isprintable():
        with pytest.raises(InvalidInput):
            daemons.check_free(name)


def test_another_daemon_does_not_take_a_name(daemons: PairedDaemons, kitchen: Authority, tmp_path: Path) -> None:
    daemons.add(pairing(kitchen, "192.168.0.9:50051"))
    again = pairing(kitchen, "192.168.0.8:50051")
    daemons.add(again)
    assert daemons.load("kitchen") == again
    with pytest.raises(AlreadyExists, match="edged daemons forget kitchen"):
        daemons.add(pairing(Authority.open(tmp_path / "other", "kitchen"), "192.168.0.9:50051"))
    assert daemons.load("kitchen") == again


@pytest.mark.parametrize(
    ("given_days", "left_days", "due"),
    [(730, 61, False), (730, 59, True), (30, 29, False), (30, 11, False), (30, 9, True)],
)
def test_when_a_certificate_is_renewed(kitchen: Authority, given_days: int, left_days: int, due: bool) -> None:
    now = datetime.now(UTC)
    known = replace(
        pairing(kitchen, "192.168.0.9:50051"),
        issued_at=now - timedelta(days=given_days - left_days),
        expires_at=now + timedelta(days=left_days),
    )
    assert is_due(known) is due


async def test_renewal_takes_the_place_of_the_old_key(daemons: PairedDaemons, kitchen: Authority) -> None:
    script = RenewalScript(kitchen)
    async with serving(kitchen, script) as address:
        old = pairing(kitchen, address, days=50)
        daemons.add(old)
        one, other = await asyncio.gather(daemons.renew_if_due(old), daemons.renew_if_due(old))
        assert script.renewed == 1 and one == other == daemons.load("kitchen")
        assert one.credentials.key != old.credentials.key and not is_due(one)
        assert await daemons.renew_if_due(one) is one
        async with Client(address, one.credentials) as client:
            await client.status()


async def test_a_renewal_that_fails_leaves_what_was(daemons: PairedDaemons, kitchen: Authority, tmp_path: Path) -> None:
    other = Authority.open(tmp_path / "other", "kitchen")

    class Wrong(RenewalScript):
        async def RenewCertificate(self, request, context):
            response = await super().RenewCertificate(request, context)
            response.ca_certificate = other.certificate
            return response

    async with serving(kitchen, Wrong(kitchen)) as address:
        old = pairing(kitchen, address, days=50)
        daemons.add(old)
        with pytest.raises(InvalidInput, match="its CA has not made"):
            await daemons.renew_if_due(old)
        assert daemons.load("kitchen") == old


async def test_a_daemon_that_moved_is_found_by_its_key(
    daemons: PairedDaemons, kitchen: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Authority.open(tmp_path / "other", "kitchen")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nowhere = f"127.0.0.1:{probe.getsockname()[1]}"
    async with serving(other) as theirs, serving(kitchen) as ours:
        ports = [int(address.rpartition(":")[2]) for address in (theirs, ours)]

        async def discover(seconds: float) -> tuple[Found, ...]:
            return tuple(Found(name="x", addresses=("127.0.0.1",), web_port=1, grpc_port=port) for port in ports)

        monkeypatch.setattr("edged.client.discovery.discover", discover)
        daemons.add(pairing(kitchen, nowhere))
        assert (await daemons.reach(daemons.load("kitchen"))).grpc_address == ours
        assert daemons.load("kitchen").grpc_address == ours
    with pytest.raises(Unavailable, match="no daemon answers"):
        await daemons.reach(daemons.load("kitchen"))
