"""edged.v1.PairingService: what arrives from devices that nobody knows yet."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from edged import wire
from edged.errors import Code, EdgedError, InvalidInput
from edged.records import DeviceKind, PairingOffer
from edged.server.pairing import PairingServicer
from edged.trust.pake import ClientSide, PairingKeys
from edged.v1 import device_pb2 as pb
from tests.trust.desk import Desk, certificate_request


@dataclass
class Context:
    host: str = "study.local"
    tokens: list[tuple[str, datetime | None]] = field(default_factory=list)

    def peer_address(self) -> str:
        return "192.168.7.2"

    def server_host(self) -> str:
        return self.host

    def give_token(self, token: str, expires_at: datetime | None) -> None:
        self.tokens.append((token, expires_at))


class Device:
    """Speaks in messages alone."""

    def __init__(self, servicer: PairingServicer, context: Context) -> None:
        self._servicer = servicer
        self._context = context

    async def start(self, password: str, means: pb.PairingMeans) -> tuple[str, PairingKeys]:
        side = ClientSide(password)
        request = pb.StartPairingRequest(means=means, pake_message=side.message)
        started = await self._servicer.StartPairing(request, self._context)
        return started.attempt_id, side.finish(started.pake_message)

    async def prove(self, attempt_id: str, keys: PairingKeys, **said: object) -> pb.ProvePairingResponse:
        request = pb.ProvePairingRequest(attempt_id=attempt_id, **said)  # type: ignore[arg-type]
        request.confirmation = keys.client_confirmation(
            attempt_id=attempt_id,
            device_name=request.device_name,
            kind=wire.device_kind_from_wire(request.kind),
            certificate_request=request.certificate_request,
            seen_fingerprint=request.seen_fingerprint,
        )
        return await self._servicer.ProvePairing(request, self._context)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def servicer(desk: Desk) -> PairingServicer:
    return PairingServicer(desk.desk, 50051)


async def opened(desk: Desk, expires_at: datetime | None = None) -> PairingOffer:
    return await desk.desk.open(frozenset(), "", expires_at)


async def claimed(
    desk: Desk, servicer: PairingServicer, context: Context, offer: PairingOffer, attempt_id: str, shown: str
) -> pb.ClaimPairingResponse:
    claiming = asyncio.create_task(servicer.ClaimPairing(pb.ClaimPairingRequest(attempt_id=attempt_id), context))
    await desk.desk.confirm(offer.pairing_id, shown, True)
    return await claiming


async def test_a_browser_gets_a_cookie_and_nothing_else(desk: Desk, servicer: PairingServicer) -> None:
    until = datetime.now(UTC) + timedelta(days=3)
    context, offer = Context(), await opened(desk, until)
    device = Device(servicer, context)
    attempt_id, keys = await device.start(offer.code, pb.PAIRING_MEANS_CODE)
    proved = await device.prove(attempt_id, keys, device_name="phone", kind=pb.DEVICE_KIND_BROWSER)
    expected = keys.daemon_confirmation(attempt_id=attempt_id, ca_certificate=proved.ca_certificate)
    assert proved.confirmation == expected
    answer = await claimed(desk, servicer, context, offer, attempt_id, keys.short_string)
    ((token, expires_at),) = context.tokens
    assert expires_at == until
    assert token not in str(answer)
    assert not answer.certificate
    assert wire.device_from_wire(answer.device).kind is DeviceKind.BROWSER


@pytest.mark.parametrize(
    ("host", "expected"),
    [("study.local", "study.local:50051"), ("192.168.7.1", "192.168.7.1:50051"), ("[fd00::1]", "[fd00::1]:50051"),
     ("fd00::1", "[fd00::1]:50051")],
)  # fmt: skip
async def test_a_program_gets_a_certificate_and_learns_where_grpc_is(
    desk: Desk, servicer: PairingServicer, host: str, expected: str
) -> None:
    context, offer = Context(host), await opened(desk)
    device = Device(servicer, context)
    attempt_id, keys = await device.start(offer.secret, pb.PAIRING_MEANS_SECRET)
    await device.prove(
        attempt_id,
        keys,
        device_name="laptop",
        kind=pb.DEVICE_KIND_PROGRAM,
        certificate_request=certificate_request(),
        seen_fingerprint=bytes.fromhex(offer.fingerprint.replace(":", "")),
    )
    answer = await claimed(desk, servicer, context, offer, attempt_id, keys.short_string)
    assert not context.tokens
    assert answer.grpc_address == expected
    certificate = x509.load_der_x509_certificate(answer.certificate)
    certificate.verify_directly_issued_by(x509.load_der_x509_certificate(desk.authority.certificate))


async def refusal(answer: object) -> EdgedError:
    with pytest.raises(EdgedError) as caught:
        await answer  # type: ignore[misc]
    return caught.value


async def test_codes_of_refusals(desk: Desk, servicer: PairingServicer) -> None:
    """As device.proto promises them."""
    context = Context()
    device = Device(servicer, context)
    assert (await refusal(device.start("123456", pb.PAIRING_MEANS_CODE))).code is Code.FAILED_PRECONDITION
    offer = await opened(desk)
    unknown = servicer.StartPairing(pb.StartPairingRequest(pake_message=bytes(33)), context)
    assert isinstance(await refusal(unknown), InvalidInput)
    for _ in range(5):
        attempt_id, keys = await device.start("wrong", pb.PAIRING_MEANS_CODE)
        proving = device.prove(attempt_id, keys, device_name="x", kind=pb.DEVICE_KIND_BROWSER)
        assert (await refusal(proving)).code is Code.UNAUTHENTICATED
    locked = await refusal(device.start(offer.code, pb.PAIRING_MEANS_CODE))
    assert (locked.code, locked.reason) == (Code.RESOURCE_EXHAUSTED, "PAIRING_LOCKED")
    attempt_id, keys = await device.start(offer.secret, pb.PAIRING_MEANS_SECRET)
    for kind in (pb.DEVICE_KIND_UNSPECIFIED, 99):
        odd = servicer.ProvePairing(pb.ProvePairingRequest(attempt_id=attempt_id, kind=kind), context)
        assert (await refusal(odd)).field == "kind"
    await device.prove(attempt_id, keys, device_name="x", kind=pb.DEVICE_KIND_BROWSER)
    claim = pb.ClaimPairingRequest(attempt_id=attempt_id)
    await desk.desk.confirm(offer.pairing_id, keys.short_string, False)
    assert (await refusal(servicer.ClaimPairing(claim, context))).code is Code.PERMISSION_DENIED
    attempt_id, keys = await device.start(offer.secret, pb.PAIRING_MEANS_SECRET)
    await device.prove(attempt_id, keys, device_name="x", kind=pb.DEVICE_KIND_BROWSER)
    desk.clock.pass_seconds(120)
    claim = pb.ClaimPairingRequest(attempt_id=attempt_id)
    assert (await refusal(servicer.ClaimPairing(claim, context))).code is Code.DEADLINE_EXCEEDED
    assert not context.tokens
