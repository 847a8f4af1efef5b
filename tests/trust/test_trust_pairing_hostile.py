"""The pairing desk and whoever must not come in: guesses, floods, and somebody in between."""

from __future__ import annotations

import asyncio
import gc
import secrets
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.errors import EdgedError, InvalidInput, NotFound, PairingLocked, QueueFull, Unauthenticated
from edged.records import DeviceKind, PairingOffer
from edged.trust.offer import MAX_ATTEMPTS, MAX_WRONG_CODES
from edged.trust.pairing import PROOF_SECONDS, PairingMeans
from edged.trust.pake import ClientSide, DaemonSide, PairingKeys
from edged.trust.start_limit import MAX_STARTS, MAX_STARTS_OF_ADDRESS, WINDOW_SECONDS, StartLimit
from tests.trust.desk import ADDRESS, Desk, FakeClock, Guest, certificate_request

STRANGER = "192.168.7.66"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
async def offer(desk: Desk) -> PairingOffer:
    return await desk.desk.open(frozenset(), "", None)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06d}"


async def guess(desk: Desk, code: str) -> None:
    stranger = Guest(desk.desk, code, address=STRANGER)
    await stranger.start()
    with pytest.raises(Unauthenticated):
        await stranger.prove()


async def test_five_wrong_codes_lock_the_code_and_not_the_link(desk: Desk, offer: PairingOffer) -> None:
    for _ in range(MAX_WRONG_CODES):
        await guess(desk, wrong(offer.code))
    for code in (offer.code, wrong(offer.code)):
        with pytest.raises(PairingLocked):
            await Guest(desk.desk, code).start()
    assert desk.registry.notes == ["pairing opened", *["wrong code"] * MAX_WRONG_CODES, "locked out"]
    assert ("locked out", "", STRANGER) in desk.registry.noted
    owner = Guest(desk.desk, offer.secret, PairingMeans.SECRET)
    assert await desk.desk.confirm(offer.pairing_id, await owner.come(), True)


async def test_a_right_code_costs_nothing(desk: Desk, offer: PairingOffer) -> None:
    for _ in range(MAX_WRONG_CODES - 1):
        await guess(desk, wrong(offer.code))
    for _ in range(3):
        await Guest(desk.desk, offer.code).come()
    await guess(desk, wrong(offer.code))
    with pytest.raises(PairingLocked):
        await Guest(desk.desk, offer.code).start()


async def test_guesses_that_are_never_proved_count(desk: Desk, offer: PairingOffer) -> None:
    for _ in range(MAX_WRONG_CODES):
        await Guest(desk.desk, wrong(offer.code)).start()
    with pytest.raises(QueueFull):  # all five may still turn out right
        await Guest(desk.desk, offer.code).start()
    desk.clock.pass_seconds(PROOF_SECONDS)
    for _ in range(3):
        with pytest.raises(PairingLocked):
            await Guest(desk.desk, offer.code).start()
    assert desk.registry.notes.count("locked out") == 1


async def test_a_broken_message_counts_as_a_guess(desk: Desk, offer: PairingOffer) -> None:
    for _ in range(MAX_WRONG_CODES):
        with pytest.raises(InvalidInput):
            await desk.desk.start(PairingMeans.CODE, b"A" + bytes(32), STRANGER)
    with pytest.raises(PairingLocked):
        await Guest(desk.desk, offer.code).start()


async def test_a_proof_is_given_once_and_in_time(desk: Desk, offer: PairingOffer) -> None:
    phone, slow = Guest(desk.desk, offer.code), Guest(desk.desk, offer.code)
    await phone.come()
    with pytest.raises(NotFound):
        await phone.prove()
    await slow.start()
    desk.clock.pass_seconds(PROOF_SECONDS)
    with pytest.raises(NotFound):
        await slow.prove()
    failing = Guest(desk.desk, offer.code)
    await failing.start()
    with pytest.raises(Unauthenticated):
        await failing.prove(bytes(32))
    with pytest.raises(NotFound):
        await failing.prove()


async def test_ten_thousand_wrong_codes(desk: Desk, offer: PairingOffer) -> None:
    """Neither let anybody in, nor fill the memory or the log."""
    message = ClientSide(wrong(offer.code)).message

    async def try_codes(numbers: range) -> int:
        refused = 0
        for number in numbers:
            try:
                attempt_id, _ = await desk.desk.start(
                    PairingMeans.CODE, message, f"10.0.{number // 250}.{number % 250}"
                )
                await desk.desk.prove(
                    attempt_id,
                    device_name="x",
                    kind=DeviceKind.BROWSER,
                    certificate_request=b"",
                    seen_fingerprint=b"",
                    confirmation=secrets.token_bytes(32),
                )
            except EdgedError:
                refused += 1
        return refused

    assert await try_codes(range(100)) == 100
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    assert await try_codes(range(100, 10_000)) == 9_900
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 50_000
    assert not desk.registry.devices
    assert len(desk.registry.notes) < 10


async def test_others_are_served_during_the_arithmetic(
    desk: Desk, offer: PairingOffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    others_were_served = threading.Event()

    class Slow(DaemonSide):
        def finish(self, message: bytes) -> PairingKeys:
            assert others_were_served.wait(20)
            return super().finish(message)

    monkeypatch.setattr("edged.trust.pairing.DaemonSide", Slow)
    starting = asyncio.create_task(Guest(desk.desk, offer.code).come())
    await asyncio.sleep(0.05)
    others_were_served.set()
    await starting


async def test_a_flood_with_the_secret_is_bounded(desk: Desk, offer: PairingOffer) -> None:
    message = ClientSide("not it").message

    async def flood(number: int) -> bool:
        try:
            await desk.desk.start(PairingMeans.SECRET, message, f"10.0.0.{number}")
        except QueueFull as exc:
            assert exc.retry_seconds is not None
            return False
        return True

    begun = await asyncio.gather(*(flood(number) for number in range(200)))
    assert sum(begun) == MAX_ATTEMPTS
    await Guest(desk.desk, offer.code).come()  # by the code, the owner gets in meanwhile
    desk.clock.pass_seconds(PROOF_SECONDS)
    await Guest(desk.desk, offer.secret, PairingMeans.SECRET).come()


async def test_wrong_secrets_lock_nothing(desk: Desk, offer: PairingOffer) -> None:
    for _ in range(12):
        stranger = Guest(desk.desk, "A" * 22, PairingMeans.SECRET, address=STRANGER)
        await stranger.start()
        with pytest.raises(Unauthenticated):
            await stranger.prove()
    await Guest(desk.desk, offer.code).come()
    assert "locked out" not in desk.registry.notes


async def test_each_means_has_its_own_password(desk: Desk, offer: PairingOffer) -> None:
    for password, means in (
        (offer.secret, PairingMeans.CODE),
        (offer.code, PairingMeans.SECRET),
        ("", PairingMeans.CODE),
    ):
        guest = Guest(desk.desk, password, means)
        await guest.start()
        with pytest.raises(Unauthenticated):
            await guest.prove()


def a_program(desk: Desk, offer: PairingOffer, **changed: object) -> Guest:
    said: dict[str, object] = {
        "name": "laptop",
        "kind": DeviceKind.PROGRAM,
        "certificate_request": certificate_request(),
        "seen_fingerprint": bytes.fromhex(desk.fingerprint.replace(":", "")),
    }
    return Guest(desk.desk, offer.secret, PairingMeans.SECRET, **(said | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize("seen", [b"", bytes(31), bytes(32), bytes(33)], ids=len)
async def test_a_program_that_saw_another_certificate_is_refused(desk: Desk, offer: PairingOffer, seen: bytes) -> None:
    guest = a_program(desk, offer, seen_fingerprint=seen)
    await guest.start()
    with pytest.raises(Unauthenticated, match="between"):
        await guest.prove()
    assert desk.registry.notes[-1] == "somebody between"


async def test_a_browser_that_claims_to_have_seen_another_is_refused(desk: Desk, offer: PairingOffer) -> None:
    guest = Guest(desk.desk, offer.code, seen_fingerprint=bytes(32))
    await guest.start()
    with pytest.raises(Unauthenticated, match="between"):
        await guest.prove()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("certificate_request", b""),
        ("certificate_request", b"\x30\x03\x02\x01\x00"),
        ("device_name", ""),
        ("device_name", " "),
        ("device_name", "two\nlines"),
        ("device_name", "right to \u202e left"),
        ("device_name", "x" * 61),
    ],
)
async def test_what_a_device_says_of_itself_is_checked(
    desk: Desk, offer: PairingOffer, field: str, value: object
) -> None:
    guest = a_program(desk, offer, **{"name" if field == "device_name" else field: value})
    await guest.start()
    with pytest.raises(InvalidInput) as caught:
        await guest.prove()
    assert caught.value.field == field
    assert not [note for note in desk.registry.notes if note == "asks to pair"]


async def test_a_browser_asks_for_no_certificate(desk: Desk, offer: PairingOffer) -> None:
    guest = Guest(desk.desk, offer.code, certificate_request=certificate_request())
    await guest.start()
    with pytest.raises(InvalidInput):
        await guest.prove()


@pytest.mark.parametrize("changed", ["name", "kind", "certificate_request", "attempt"])
async def test_what_somebody_in_between_changes_is_noticed(desk: Desk, offer: PairingOffer, changed: str) -> None:
    guest, other = a_program(desk, offer), a_program(desk, offer)
    await guest.start()
    await other.start()
    confirmation = guest.confirmation()
    if changed == "name":
        guest.name = "another"
    elif changed == "kind":
        guest.kind = DeviceKind.BROWSER
    elif changed == "certificate_request":
        guest.certificate_request = certificate_request()
    else:
        guest.attempt_id = other.attempt_id
    with pytest.raises(Unauthenticated):
        await guest.prove(confirmation)


async def test_two_devices_that_show_the_same_string_are_not_told_apart(desk: Desk, offer: PairingOffer) -> None:
    first, second = Guest(desk.desk, offer.code), Guest(desk.desk, offer.code)
    shown = await first.come()
    await second.start()
    attempt, keys = desk.desk._offer.unproved(second.attempt_id)  # type: ignore[union-attr]
    attempt.keys = type(keys)(client=keys.client, daemon=keys.daemon, short_string=shown)
    with pytest.raises(QueueFull, match="same string"):
        await second.prove()
    device = await desk.desk.confirm(offer.pairing_id, shown, True)
    assert (await desk.desk.claim(first.attempt_id)).device == device


async def test_a_caller_that_leaves_during_the_arithmetic_has_used_a_try(desk: Desk, offer: PairingOffer) -> None:
    for _ in range(MAX_WRONG_CODES):
        starting = asyncio.create_task(desk.desk.start(PairingMeans.CODE, ClientSide("1").message, ADDRESS))
        await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait({starting})
    with pytest.raises(PairingLocked):
        await Guest(desk.desk, offer.code).start()


async def test_neither_codes_nor_secrets_are_in_errors(desk: Desk, offer: PairingOffer) -> None:
    stranger = Guest(desk.desk, wrong(offer.code))
    await stranger.start()
    with pytest.raises(Unauthenticated) as caught:
        await stranger.prove()
    for secret in (offer.code, offer.secret, stranger.password, stranger.attempt_id):
        assert secret not in caught.value.message
    assert all(offer.code not in note and offer.secret not in note for note in desk.registry.notes)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 5)), max_size=300))
def test_starts_in_any_minute_stay_below_the_limits(tries: list[tuple[int, float]]) -> None:
    clock = FakeClock()
    limit = StartLimit(clock.time)
    taken: list[tuple[float, int]] = []
    for address, pause in tries:
        clock.pass_seconds(pause)
        try:
            limit.take(str(address))
        except QueueFull as exc:
            assert exc.retry_seconds is not None
            assert 0 < exc.retry_seconds <= WINDOW_SECONDS
        else:
            taken.append((clock.time(), address))
        recent = [(time, other) for time, other in taken if time > clock.time() - WINDOW_SECONDS]
        assert len(recent) <= MAX_STARTS
        assert sum(other == address for _, other in recent) <= MAX_STARTS_OF_ADDRESS
