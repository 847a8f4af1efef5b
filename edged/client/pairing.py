"""Pairing with a daemon elsewhere: this program proves that it knows the code, and gets a certificate (extra client).

async for step in pair("192.168.1.20", code="123456", device_name="Desk"):
    match step:
        case Comparing(short_string=shown): print(shown)
        case Pairing(): PairedDaemons(folder).add(step)
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from edged import wire
from edged.client.address import parse_address
from edged.client.certificate_request import KeyRequest, names_of, new_key
from edged.client.channel import CERTIFIED_NAME, Credentials, pem_of
from edged.client.daemons import Pairing
from edged.client.web_port import WebPort
from edged.errors import InvalidInput, Unauthenticated
from edged.records import DeviceKind
from edged.trust.pake import ClientSide, PairingKeys, agree
from edged.v1 import device_pb2

OPERATOR_SECONDS = 180.0
"""How long the daemon's operator is waited for; the daemon itself gives them two minutes."""
MAX_DEVICE_NAME = 60
"""Characters."""
_SERVICE = "/edged.v1.PairingService/"
_CODE = re.compile(r"[0-9]{6}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{16,128}")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparing:
    """The daemon's operator is asked whether this is what the device shows."""

    short_string: str
    """Four digits, a hyphen, four digits."""
    daemon: str
    """The name of the daemon's machine."""
    ca_certificate: bytes
    """Of the daemon, in PEM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Invitation:
    """What the operator gave to the device."""

    address: str
    means: device_pb2.PairingMeans
    secret: str = field(repr=False)
    fingerprint: bytes = b""
    """SHA-256 of the certificate that the daemon must show; empty where only a code was given."""


async def pair(
    address: str = "", *, code: str = "", link: str = "", device_name: str
) -> AsyncGenerator[Comparing | Pairing, None]:
    """Yield what to show, and when the operator has said yes what to keep.

    address: HOST or HOST:PORT of the web port, with the six digits of the code; or else the link alone.
    device_name: what the daemon calls this program, one line of at most 60 characters.

    Raises InvalidInput; Unavailable when no daemon answers; Unauthenticated when somebody is between the two;
    RemoteError for what the daemon refuses: a wrong code, no open pairing, an operator who says no.
    """
    invitation = _from_link(link) if link else _from_code(address, code)
    _check_device_name(device_name)
    key = new_key()
    async with WebPort(invitation.address) as port:
        if invitation.fingerprint not in (b"", port.fingerprint):
            raise _somebody_between(port.address, "shows another certificate than the code tells")
        attempt_id, keys = await _start(port, invitation)
        ca_certificate = await _prove(port, attempt_id, keys, key, device_name)
        name = _daemon_name(port)
        yield Comparing(short_string=keys.short_string, daemon=name, ca_certificate=pem_of(ca_certificate))
        request = device_pb2.ClaimPairingRequest(attempt_id=attempt_id)
        claimed = await port.call(
            _SERVICE + "ClaimPairing", request, device_pb2.ClaimPairingResponse, seconds=OPERATOR_SECONDS
        )
    parse_address(claimed.grpc_address)
    device = wire.device_from_wire(claimed.device)
    yield Pairing(
        name=name,
        grpc_address=claimed.grpc_address,
        web_address=port.address,
        device_id=device.id,
        scopes=device.scopes,
        issued_at=datetime.now(UTC),
        expires_at=key.check(claimed.certificate, ca_certificate),
        credentials=Credentials(
            ca_certificate=pem_of(ca_certificate), certificate=pem_of(claimed.certificate), key=key.pem
        ),
    )


async def _start(port: WebPort, invitation: _Invitation) -> tuple[str, PairingKeys]:
    side = await asyncio.to_thread(ClientSide, invitation.secret)
    request = device_pb2.StartPairingRequest(means=invitation.means, pake_message=side.message)
    started = await port.call(_SERVICE + "StartPairing", request, device_pb2.StartPairingResponse)
    return started.attempt_id, await asyncio.to_thread(side.finish, started.pake_message)


async def _prove(port: WebPort, attempt_id: str, keys: PairingKeys, key: KeyRequest, device_name: str) -> bytes:
    """The daemon's CA certificate, DER, which it has proved to be its own."""
    said = keys.client_confirmation(
        attempt_id=attempt_id,
        device_name=device_name,
        kind=DeviceKind.PROGRAM,
        certificate_request=key.request,
        seen_fingerprint=port.fingerprint,
    )
    request = device_pb2.ProvePairingRequest(
        attempt_id=attempt_id,
        device_name=device_name,
        kind=wire.device_kind_to_wire(DeviceKind.PROGRAM),
        certificate_request=key.request,
        seen_fingerprint=port.fingerprint,
        confirmation=said,
    )
    proved = await port.call(_SERVICE + "ProvePairing", request, device_pb2.ProvePairingResponse)
    expected = keys.daemon_confirmation(attempt_id=attempt_id, ca_certificate=proved.ca_certificate)
    if not agree(proved.confirmation, expected):
        raise _somebody_between(port.address, "does not know the code itself")
    return proved.ca_certificate


def _from_link(link: str) -> _Invitation:
    """Errors do not quote the link: it holds the secret."""
    no_link = InvalidInput("this is no link of `edged pair`: copy all of it, from https:// to the end", field="link")
    try:
        parts = urlsplit(link.strip())
        fragment = parse_qs(parts.fragment)
        secret, fingerprint = (fragment.get(name, [""])[0] for name in ("pair", "fp"))
        seen = bytes.fromhex(fingerprint)
    except ValueError:
        raise no_link from None
    if parts.scheme != "https" or "@" in parts.netloc or not _SECRET.fullmatch(secret) or len(seen) != 32:
        raise no_link
    return _Invitation(
        address=parts.netloc,
        means=device_pb2.PAIRING_MEANS_SECRET,
        secret=secret,
        fingerprint=seen,
    )


def _from_code(address: str, code: str) -> _Invitation:
    digits = code.replace(" ", "").replace("-", "")
    if not _CODE.fullmatch(digits):
        raise InvalidInput("the code of `edged pair` has six digits", field="code")
    return _Invitation(address=address, means=device_pb2.PAIRING_MEANS_CODE, secret=digits)


def _check_device_name(name: str) -> None:
    if not name.strip() or len(name) > MAX_DEVICE_NAME or not name.isprintable():
        raise InvalidInput(f"a device's name is one line of at most {MAX_DEVICE_NAME} characters", field="device_name")


def _daemon_name(port: WebPort) -> str:
    """Of its machine, as far as its certificate tells; else the host that was asked. Fit for a folder."""
    told = (name for name in names_of(port.certificate) if name not in (CERTIFIED_NAME, "localhost"))
    return _NOT_IN_NAMES.sub("-", next(told, port.host).partition(".local")[0])[:40].strip("-_") or CERTIFIED_NAME


def _somebody_between(address: str, what: str) -> Unauthenticated:
    return Unauthenticated(
        f"what answers at {address} {what}: somebody may be between the two; nothing was paired, try again in a "
        "network that you trust"
    )
