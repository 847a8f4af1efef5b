"""A pairing desk with a clock of the test's, a registry in memory, and devices that come to it."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from edged.errors import EdgedError
from edged.records import Device, DeviceKind, Scope
from edged.trust.authority import Authority
from edged.trust.pairing import PairingDesk, PairingMeans
from edged.trust.pake import ClientSide, PairingKeys

ADDRESS = "192.168.7.2"


class Handle:
    def __init__(self) -> None:
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class FakeClock:
    """Time passes when the test says so."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._number = itertools.count()
        self._due: list[tuple[float, int, Handle, Callable[[], None]]] = []

    def time(self) -> float:
        return self._now

    def call_later(self, delay: float, callback: Callable[[], None]) -> Handle:
        handle = Handle()
        heapq.heappush(self._due, (self._now + delay, next(self._number), handle, callback))
        return handle

    def pass_seconds(self, seconds: float) -> None:
        until = self._now + seconds
        while self._due and self._due[0][0] <= until:
            self._now, _, handle, callback = heapq.heappop(self._due)
            if not handle.is_cancelled:
                callback()
        self._now = until


@dataclass
class Registry:
    devices: dict[str, Device] = field(default_factory=dict)
    credentials: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    noted: list[tuple[str, str, str]] = field(default_factory=list)
    refusal: EdgedError | None = None

    async def add(
        self,
        *,
        device_id: str,
        name: str,
        kind: DeviceKind,
        person: str,
        scopes: frozenset[Scope],
        expires_at: datetime | None,
        credential: bytes,
        address: str,
    ) -> Device:
        if self.refusal:
            raise self.refusal
        self.devices[device_id] = Device(
            id=device_id,
            name=name,
            kind=kind,
            person=person,
            scopes=scopes,
            created_at=datetime.now(UTC),
            expires_at=expires_at,
        )
        self.credentials[device_id] = credential
        return self.devices[device_id]

    async def note(self, action: str, *, device: Device | None = None, name: str = "", address: str = "") -> None:
        self.notes.append(action)
        self.noted.append((action, name, address))


class Desk:
    """The desk and all that it works with."""

    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock()
        self.registry = Registry()
        self.authority = Authority.open(directory / "trust", "desk")
        self.fingerprint = self.authority.server_identity([]).fingerprint
        self.desk = PairingDesk(
            registry=self.registry,
            issuer=self.authority,
            fingerprint=lambda: self.fingerprint,
            addresses=lambda: ("192.168.7.1:8443", "[fd00::1]:8443"),
            clock=self.clock,
        )


@dataclass
class Guest:
    """A device; what it says can be set."""

    desk: PairingDesk
    password: str
    means: PairingMeans = PairingMeans.CODE
    address: str = ADDRESS
    name: str = "Anna's phone"
    kind: DeviceKind = DeviceKind.BROWSER
    certificate_request: bytes = b""
    seen_fingerprint: bytes = b""
    attempt_id: str = ""
    keys: PairingKeys | None = None

    async def start(self) -> None:
        side = ClientSide(self.password)
        self.attempt_id, message = await self.desk.start(self.means, side.message, self.address)
        self.keys = side.finish(message)

    def confirmation(self) -> bytes:
        assert self.keys
        return self.keys.client_confirmation(
            attempt_id=self.attempt_id,
            device_name=self.name,
            kind=self.kind,
            certificate_request=self.certificate_request,
            seen_fingerprint=self.seen_fingerprint,
        )

    async def prove(self, confirmation: bytes | None = None) -> tuple[bytes, bytes]:
        return await self.desk.prove(
            self.attempt_id,
            device_name=self.name,
            kind=self.kind,
            certificate_request=self.certificate_request,
            seen_fingerprint=self.seen_fingerprint,
            confirmation=self.confirmation() if confirmation is None else confirmation,
        )

    async def come(self) -> str:
        """Start and prove; the string that it shows."""
        await self.start()
        await self.prove()
        assert self.keys
        return self.keys.short_string


def certificate_request(curve: ec.EllipticCurve | None = None) -> bytes:
    key = ec.generate_private_key(curve or ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "whatever")])
    request = x509.CertificateSigningRequestBuilder(subject).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.DER)
