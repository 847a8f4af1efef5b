"""Pairing over real TLS, with the daemon's own desk on the other side, and with people in between."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.client.daemons import Pairing
from edged.client.pairing import Comparing, pair
from edged.client.web_port import MAX_RESPONSE_BYTES, WebPort
from edged.errors import EdgedError, InvalidInput, RemoteError, Unauthenticated, Unavailable
from edged.records import DeviceKind, Scope
from edged.trust.authority import Authority
from edged.v1 import device_pb2
from tests.client.web import GRPC_PORT, Kitchen, listening


@pytest.fixture
async def kitchen(tmp_path: Path) -> AsyncIterator[Kitchen]:
    async with Kitchen(tmp_path).open() as kitchen:
        yield kitchen


async def paired(kitchen: Kitchen, **given: str) -> tuple[Comparing, Pairing]:
    """What the device gets whom the operator lets in at once."""
    async with aclosing(pair(**{"device_name": "Desk", **given})) as steps:
        comparing = await anext(steps)
        assert isinstance(comparing, Comparing)
        await kitchen.let_in(comparing.short_string)
        result = await anext(steps)
        assert isinstance(result, Pairing)
        assert [step async for step in steps] == []
    return comparing, result


@pytest.mark.parametrize("spelt", ["{code}", "{code:.3} {code:.3}", "link"])
async def test_a_program_is_let_in(kitchen: Kitchen, spelt: str) -> None:
    offer = await kitchen.offer(Scope.CHAT, Scope.VOICE)
    spaced = f"{offer.code[:3]} {offer.code[3:]}"
    given = {
        "{code}": {"address": kitchen.address, "code": offer.code},
        "{code:.3} {code:.3}": {"address": kitchen.address, "code": spaced},
        "link": {"link": offer.link},
    }[spelt]
    comparing, pairing = await paired(kitchen, **given)
    (device,) = kitchen.registry.devices.values()
    assert (device.name, device.kind) == ("Desk", DeviceKind.PROGRAM)
    assert (pairing.device_id, pairing.scopes) == (device.id, {Scope.CHAT, Scope.VOICE})
    assert (pairing.grpc_address, pairing.web_address) == (f"127.0.0.1:{GRPC_PORT}", kitchen.address)
    assert comparing.ca_certificate == pairing.credentials.ca_certificate == kitchen.authority.certificate_pem
    certificate = x509.load_pem_x509_certificate(pairing.credentials.certificate)
    assert certificate.not_valid_after_utc == pairing.expires_at
    assert comparing.daemon == pairing.name and pairing.name.isascii()


async def test_a_wrong_code(kitchen: Kitchen) -> None:
    offer = await kitchen.offer()
    wrong = f"{(int(offer.code) + 1) % 10**6:06d}"
    with pytest.raises(RemoteError, match="the code is wrong") as raised:
        await paired(kitchen, address=kitchen.address, code=wrong)
    assert raised.value.code.grpc_status == "UNAUTHENTICATED" and kitchen.registry.devices == {}


async def test_no_pairing_is_open(kitchen: Kitchen) -> None:
    with pytest.raises(RemoteError, match="no pairing is open"):
        await paired(kitchen, address=kitchen.address, code="123456")


async def test_the_operator_says_no(kitchen: Kitchen) -> None:
    offer = await kitchen.offer()
    async with aclosing(pair(link=offer.link, device_name="Desk")) as steps:
        comparing = await anext(steps)
        await kitchen.desk.confirm(offer.pairing_id, comparing.short_string, False)
        with pytest.raises(RemoteError, match="refused") as raised:
            await anext(steps)
    assert raised.value.code.grpc_status == "PERMISSION_DENIED"


async def test_somebody_between_with_another_certificate(kitchen: Kitchen, tmp_path: Path) -> None:
    """Passes on everything else as it is, to the daemon and back."""
    between = Authority.open(tmp_path / "between", "kitchen").server_identity([])
    (tmp_path / "other").mkdir()
    async with listening(tmp_path / "other", between, kitchen._answer) as address:
        offer = await kitchen.offer()
        with pytest.raises(RemoteError, match="somebody is between") as raised:
            await paired(kitchen, address=address, code=offer.code)
        assert raised.value.code.grpc_status == "UNAUTHENTICATED" and "somebody between" in kitchen.registry.notes
        redirected = offer.link.replace(kitchen.address, address)
        asked = len(kitchen.registry.notes)
        with pytest.raises(Unauthenticated, match="shows another certificate than the code tells"):
            await paired(kitchen, link=redirected)
    assert len(kitchen.registry.notes) == asked and kitchen.registry.devices == {}


@pytest.mark.parametrize("field", ["confirmation", "ca_certificate"])
async def test_a_daemon_that_does_not_know_the_code(kitchen: Kitchen, field: str, tmp_path: Path) -> None:
    other = Authority.open(tmp_path / "other", "kitchen")

    def tamper(method: str, message: object) -> object:
        if isinstance(message, device_pb2.ProvePairingResponse):
            setattr(message, field, other.certificate if field == "ca_certificate" else bytes(32))
        return message

    kitchen.tamper = tamper
    offer = await kitchen.offer()
    with pytest.raises(Unauthenticated, match="does not know the code itself"):
        await paired(kitchen, link=offer.link)


async def test_a_certificate_for_somebody_elses_key(kitchen: Kitchen, tmp_path: Path) -> None:
    def tamper(method: str, message: object) -> object:
        if isinstance(message, device_pb2.ClaimPairingResponse):
            message.certificate = kitchen.authority.certificate
        return message

    kitchen.tamper = tamper
    offer = await kitchen.offer()
    with pytest.raises(InvalidInput, match="the daemon gave a certificate"):
        await paired(kitchen, link=offer.link)


async def test_leaving_while_the_operator_thinks_takes_no_time(kitchen: Kitchen) -> None:
    offer = await kitchen.offer()
    async with asyncio.timeout(10), aclosing(pair(link=offer.link, device_name="Desk")) as steps:
        await anext(steps)
        waiting = asyncio.ensure_future(anext(steps))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


@pytest.mark.parametrize(
    "link",
    [
        "",
        "http://127.0.0.1:1/#pair=" + "a" * 22 + "&fp=" + "0" * 64,
        "https://127.0.0.1:1/#pair=" + "a" * 22,
        "https://127.0.0.1:1/#pair=short&fp=" + "0" * 64,
        "https://127.0.0.1:1/#pair=" + "a" * 22 + "&fp=" + "z" * 64,
        "https://x@127.0.0.1:1/#pair=" + "a" * 22 + "&fp=" + "0" * 64,
        "https://[::1/#pair=" + "a" * 22 + "&fp=" + "0" * 64,
    ],
)
async def test_a_link_that_is_none_is_not_quoted(link: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        await anext(pair(link=link, device_name="Desk"))
    assert raised.value.field in ("link", "code") and "aaaa" not in raised.value.message


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６"])
async def test_a_code_has_six_digits(code: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        await anext(pair("127.0.0.1:1", code=code, device_name="Desk"))
    assert raised.value.field == "code"


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 61, "\x1b[31m"])
async def test_a_name_is_one_line(name: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        await anext(pair("127.0.0.1:1", code="123456", device_name=name))
    assert raised.value.field == "device_name"


async def test_nobody_there() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(Unavailable, match=r"no daemon answers.*edged serve --lan"):
        await anext(pair(f"127.0.0.1:{port}", code="123456", device_name="Desk"))


async def test_tls_1_2_is_not_spoken(tmp_path: Path, kitchen: Kitchen) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    old = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with old:
        with pytest.raises(Unavailable, match=r"does not speak TLS 1\.3"):
            await anext(pair(f"127.0.0.1:{old.sockets[0].getsockname()[1]}", code="123456", device_name="Desk"))


BODIES = st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["code", "message", "details", "type", "value"]), inner, max_size=5)
    ),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())


async def test_whatever_a_stranger_answers_is_one_line(tmp_path: Path) -> None:
    identity = Authority.open(tmp_path / "trust", "stranger").server_identity([])
    answers: list[tuple[int, bytes]] = []

    async def answer(path: str, body: bytes) -> tuple[int, bytes]:
        return answers.pop()

    async with listening(tmp_path, identity, answer) as address:

        async def ask(status: int, body: bytes) -> None:
            answers.append((status, body))
            try:
                async with WebPort(address) as port:
                    await port.call("/x", device_pb2.ClaimPairingRequest(), device_pb2.ClaimPairingResponse)
            except EdgedError as exc:
                assert exc.message.isprintable() and len(exc.message) < 500
            else:
                device_pb2.ClaimPairingResponse.FromString(body)
                assert status == 200

        loop = asyncio.get_running_loop()

        @given(st.sampled_from([200, 302, 401, 500]), BODIES)
        @settings(max_examples=80, deadline=None)
        def try_out(status: int, body: bytes) -> None:
            asyncio.run_coroutine_threadsafe(ask(status, body), loop).result(30)

        await asyncio.to_thread(try_out)
        with pytest.raises(Unavailable, match="is no daemon"):
            answers.append((200, bytes(MAX_RESPONSE_BYTES + 1)))
            async with WebPort(address) as port:
                await port.call("/x", device_pb2.ClaimPairingRequest(), device_pb2.ClaimPairingResponse)


async def test_one_that_never_answers(tmp_path: Path) -> None:
    identity = Authority.open(tmp_path / "trust", "stranger").server_identity([])

    async def answer(path: str, body: bytes) -> tuple[int, bytes]:
        await asyncio.sleep(60)
        raise AssertionError

    async with listening(tmp_path, identity, answer) as address, WebPort(address) as port:
        with pytest.raises(Unavailable, match="does not answer in time"):
            await port.call("/x", device_pb2.ClaimPairingRequest(), device_pb2.ClaimPairingResponse, seconds=0.2)
