"""The pairing desk: who is let in, and all the ways in which nobody is."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from edged.errors import InvalidInput, NotFound, PairingClosed, PairingExpired, PermissionDenied, QueueFull
from edged.records import Device, DeviceKind, PairingCandidate, PairingEnd, PairingOffer, Scope
from edged.trust.pairing import DEFAULT_SCOPES, OFFER_SECONDS, PairingMeans
from tests.trust.desk import ADDRESS, Desk, Guest, certificate_request


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
async def offer(desk: Desk) -> PairingOffer:
    return await desk.desk.open(frozenset(), "", None)


async def reading(events: AsyncIterator[PairingCandidate | PairingEnd]) -> list[PairingCandidate | PairingEnd]:
    return [event async for event in events]


async def test_a_browser_is_let_in(desk: Desk, offer: PairingOffer) -> None:
    watching = asyncio.create_task(reading(desk.desk.watch(offer.pairing_id)))
    phone = Guest(desk.desk, offer.code)
    shown = await phone.come()
    claiming = asyncio.create_task(desk.desk.claim(phone.attempt_id))
    await asyncio.sleep(0)
    assert not claiming.done()
    device = await desk.desk.confirm(offer.pairing_id, shown, True)
    granted = await claiming
    assert device == granted.device == desk.registry.devices[device.id]
    assert (device.name, device.kind, device.scopes) == ("Anna's phone", DeviceKind.BROWSER, DEFAULT_SCOPES)
    assert not granted.certificate
    assert len(granted.token) >= 43
    assert desk.registry.credentials[device.id] == hashlib.sha256(granted.token.encode()).digest()
    assert granted.token not in repr(granted)
    candidate = PairingCandidate(short_string=shown, device_name=phone.name, kind=DeviceKind.BROWSER, address=ADDRESS)
    assert await watching == [candidate, PairingEnd(device=device, reason="")]
    assert desk.registry.notes == ["pairing opened", "asks to pair"]


async def test_a_program_is_let_in(desk: Desk) -> None:
    until = datetime.now(UTC) + timedelta(days=3)
    offer = await desk.desk.open(frozenset({Scope.ADMIN}), "Anna", until)
    laptop = program(desk, offer.secret, PairingMeans.SECRET)
    device = await desk.desk.confirm(offer.pairing_id, await laptop.come(), True)
    assert device is not None
    granted = await desk.desk.claim(laptop.attempt_id)
    assert (device.person, device.scopes, device.expires_at) == ("Anna", {Scope.ADMIN}, until)
    certificate = x509.load_der_x509_certificate(granted.certificate)
    assert certificate.subject.rfc4514_string() == f"CN={device.id}"
    assert desk.registry.credentials[device.id] == hashlib.sha256(granted.certificate).digest()
    assert not granted.token


def program(desk: Desk, password: str, means: PairingMeans = PairingMeans.CODE) -> Guest:
    return Guest(
        desk.desk,
        password,
        means,
        name="laptop",
        kind=DeviceKind.PROGRAM,
        certificate_request=certificate_request(),
        seen_fingerprint=bytes.fromhex(desk.fingerprint.replace(":", "")),
    )


async def test_the_daemon_proves_itself_too(desk: Desk, offer: PairingOffer) -> None:
    phone = Guest(desk.desk, offer.code)
    await phone.start()
    confirmation, ca_certificate = await phone.prove()
    assert phone.keys is not None
    expected = phone.keys.daemon_confirmation(attempt_id=phone.attempt_id, ca_certificate=ca_certificate)
    assert confirmation == expected
    assert ca_certificate == desk.authority.certificate


async def test_what_the_operator_is_given(desk: Desk, offer: PairingOffer) -> None:
    assert len(offer.code) == 6
    assert offer.code.isdigit()
    fragment = f"pair={offer.secret}&fp={offer.fingerprint.replace(':', '')}"
    assert offer.link == f"https://192.168.7.1:8443/#{fragment}"
    assert len(offer.secret) == 22  # 128 bits in base64
    assert offer.fingerprint == desk.fingerprint
    assert offer.addresses == ("192.168.7.1:8443", "[fd00::1]:8443")
    assert timedelta(0) < offer.expires_at - datetime.now(UTC) <= timedelta(seconds=OFFER_SECONDS)


async def test_codes_and_secrets_are_new_each_time(desk: Desk) -> None:
    offers = [await desk.desk.open(frozenset(), "", None) for _ in range(20)]
    for of in ("pairing_id", "secret", "link"):
        assert len({getattr(offer, of) for offer in offers}) == 20
    assert len({offer.code for offer in offers}) > 15


@pytest.mark.parametrize("person", ["a\nb", " ", "x" * 61])
async def test_a_person_has_a_name_of_one_line(desk: Desk, person: str) -> None:
    with pytest.raises(InvalidInput):
        await desk.desk.open(frozenset(), person, None)


async def test_a_device_cannot_have_expired_before_it_comes(desk: Desk) -> None:
    with pytest.raises(InvalidInput):
        await desk.desk.open(frozenset(), "", datetime(2020, 1, 1, tzinfo=UTC))


async def test_nobody_is_let_in_while_no_pairing_is_open(desk: Desk) -> None:
    with pytest.raises(PairingClosed):
        await Guest(desk.desk, "123456").start()
    with pytest.raises(PairingClosed):
        await desk.desk.claim("abc")
    with pytest.raises(NotFound):
        await desk.desk.confirm("abc", "1234-5678", True)
    with pytest.raises(NotFound):
        await reading(desk.desk.watch("abc"))


async def test_after_two_minutes_everything_is_void(desk: Desk, offer: PairingOffer) -> None:
    phone, late = Guest(desk.desk, offer.code), Guest(desk.desk, offer.code)
    shown = await phone.come()
    await late.start()
    claiming = asyncio.create_task(desk.desk.claim(phone.attempt_id))
    await asyncio.sleep(0)
    desk.clock.pass_seconds(OFFER_SECONDS)
    with pytest.raises(PairingExpired):
        await claiming
    with pytest.raises(PairingExpired):
        await desk.desk.claim(phone.attempt_id)
    with pytest.raises(NotFound):
        await desk.desk.confirm(offer.pairing_id, shown, True)
    for comes in (late.prove, Guest(desk.desk, offer.code).start, Guest(desk.desk, offer.secret).start):
        with pytest.raises(PairingClosed):
            await comes()
    assert not desk.registry.devices
    (_, end) = await reading(desk.desk.watch(offer.pairing_id))
    assert end == PairingEnd(device=None, reason="two minutes are over")


async def test_a_new_pairing_takes_the_place_of_the_last(desk: Desk, offer: PairingOffer) -> None:
    watching = asyncio.create_task(reading(desk.desk.watch(offer.pairing_id)))
    phone = Guest(desk.desk, offer.code)
    shown = await phone.come()
    claiming = asyncio.create_task(desk.desk.claim(phone.attempt_id))
    await asyncio.sleep(0)
    newer = await desk.desk.open(frozenset(), "", None)
    assert (await watching)[-1] == PairingEnd(device=None, reason="another pairing took its place")
    with pytest.raises(PairingClosed):
        await claiming
    for pairing_id in (offer.pairing_id, newer.pairing_id):
        with pytest.raises(NotFound):
            await desk.desk.confirm(pairing_id, shown, True)
    desk.clock.pass_seconds(OFFER_SECONDS - 1)
    await Guest(desk.desk, newer.code).come()  # the older one's end is not its own


async def test_only_one_device_is_let_in(desk: Desk, offer: PairingOffer) -> None:
    phones = [Guest(desk.desk, offer.code, name=name) for name in ("one", "two", "three")]
    shown = [await phone.come() for phone in phones]
    claims = [asyncio.create_task(desk.desk.claim(phone.attempt_id)) for phone in phones]
    await asyncio.sleep(0)
    await desk.desk.confirm(offer.pairing_id, shown[1], True)
    assert (await claims[1]).device.name == "two"
    for claim in (claims[0], claims[2]):
        with pytest.raises(PermissionDenied):
            await claim
    for string in shown:
        with pytest.raises(NotFound):
            await desk.desk.confirm(offer.pairing_id, string, True)
    with pytest.raises(PairingClosed):
        await Guest(desk.desk, offer.code).start()
    assert len(desk.registry.devices) == 1
    assert (await desk.desk.claim(phones[1].attempt_id)).device.name == "two"  # the first answer may have been lost


async def test_two_operators_at_once_let_one_in(desk: Desk, offer: PairingOffer) -> None:
    shown = [await Guest(desk.desk, offer.code, name=name).come() for name in ("one", "two")]
    said = [desk.desk.confirm(offer.pairing_id, string, True) for string in shown]
    results = await asyncio.gather(*said, return_exceptions=True)
    assert sum(isinstance(result, NotFound) for result in results) == 1
    assert len(desk.registry.devices) == 1


async def test_the_operator_says_no(desk: Desk, offer: PairingOffer) -> None:
    stranger, phone = Guest(desk.desk, offer.code, name="stranger"), Guest(desk.desk, offer.code)
    shown = await stranger.come()
    assert await desk.desk.confirm(offer.pairing_id, shown, False) is None
    with pytest.raises(PermissionDenied):
        await desk.desk.claim(stranger.attempt_id)
    with pytest.raises(NotFound):
        await desk.desk.confirm(offer.pairing_id, shown, True)
    assert ("refused", "stranger", ADDRESS) in desk.registry.noted
    assert await desk.desk.confirm(offer.pairing_id, await phone.come(), True)


async def test_a_string_that_nobody_shows_is_not_found(desk: Desk, offer: PairingOffer) -> None:
    phone = Guest(desk.desk, offer.code)
    await phone.start()
    assert phone.keys is not None
    with pytest.raises(NotFound):  # begun is not proved
        await desk.desk.confirm(offer.pairing_id, phone.keys.short_string, True)
    with pytest.raises(NotFound):
        await desk.desk.claim(phone.attempt_id)


async def test_a_registry_that_is_full_can_be_tried_again(desk: Desk, offer: PairingOffer) -> None:
    phone = Guest(desk.desk, offer.code)
    shown = await phone.come()
    desk.registry.refusal = QueueFull("256 devices are enough")
    with pytest.raises(QueueFull):
        await desk.desk.confirm(offer.pairing_id, shown, True)
    desk.registry.refusal = None
    assert await desk.desk.confirm(offer.pairing_id, shown, True)
    assert await desk.desk.claim(phone.attempt_id)


async def test_an_operator_who_says_yes_in_time_is_not_too_late(desk: Desk, offer: PairingOffer) -> None:
    phone = Guest(desk.desk, offer.code)
    shown = await phone.come()
    disk = asyncio.Event()
    add = desk.registry.add

    async def slow_add(**device: object) -> object:
        await disk.wait()
        return await add(**device)  # type: ignore[arg-type]

    desk.registry.add = slow_add  # type: ignore[method-assign, assignment]
    confirming = asyncio.create_task(desk.desk.confirm(offer.pairing_id, shown, True))
    await asyncio.sleep(0.01)
    desk.clock.pass_seconds(OFFER_SECONDS + 1)
    disk.set()
    device = await confirming
    assert device is not None
    desk.clock.pass_seconds(10)
    assert (await reading(desk.desk.watch(offer.pairing_id)))[-1] == PairingEnd(device=device, reason="")


async def test_an_operator_who_says_yes_need_not_wait(
    desk: Desk, offer: PairingOffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, add = asyncio.Event(), desk.registry.add

    async def slow(**known: Any) -> Device:
        device = await add(**known)
        await go_on.wait()
        return device

    monkeypatch.setattr(desk.registry, "add", slow)
    phone = Guest(desk.desk, offer.code)
    confirming = asyncio.create_task(desk.desk.confirm(offer.pairing_id, await phone.come(), True))
    await asyncio.sleep(0.01)
    confirming.cancel()
    await asyncio.gather(confirming, return_exceptions=True)
    go_on.set()
    async with asyncio.timeout(5):
        assert (await desk.desk.claim(phone.attempt_id)).device.id in desk.registry.devices


async def test_a_device_that_goes_away_may_ask_again(desk: Desk, offer: PairingOffer) -> None:
    phone = Guest(desk.desk, offer.code)
    shown = await phone.come()
    claiming = asyncio.create_task(desk.desk.claim(phone.attempt_id))
    await asyncio.sleep(0)
    claiming.cancel()
    await asyncio.wait({claiming})
    await desk.desk.confirm(offer.pairing_id, shown, True)
    assert (await desk.desk.claim(phone.attempt_id)).token


async def test_no_id_names_the_pairing_that_was_opened_last(desk: Desk, offer: PairingOffer) -> None:
    shown = await Guest(desk.desk, offer.code).come()
    assert await desk.desk.confirm("", shown, True)
    assert await reading(desk.desk.watch("")) == await reading(desk.desk.watch(offer.pairing_id))


async def test_the_operator_closes_it(desk: Desk) -> None:
    offer = await desk.desk.open(frozenset(), "", None)
    desk.desk.close(offer.pairing_id)
    assert await reading(desk.desk.watch(offer.pairing_id)) == [
        PairingEnd(device=None, reason="the operator closed it")
    ]
    with pytest.raises(PairingClosed):
        await Guest(desk.desk, offer.code).start()
