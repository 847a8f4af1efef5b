"""Pairing: the operator opens it, devices prove that they know the code, the operator compares, one is let in.

Knows no transport. Whatever devices send is bounded in number, size and time.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from edged.errors import InvalidInput, NotFound, PairingClosed, PairingExpired, Unauthenticated
from edged.records import Device, DeviceKind, PairingCandidate, PairingEnd, PairingOffer, Scope
from edged.trust.offer import Attempt, Granted, Offer, PairingMeans, no_pairing
from edged.trust.pake import MESSAGE_BYTES, DaemonSide, PairingKeys, agree
from edged.trust.start_limit import StartLimit

OFFER_SECONDS = 120.0
"""How long one device may come."""
PROOF_SECONDS = 15.0
"""How long a device that has begun may take to prove itself; programs need a fraction of one."""
DEFAULT_SCOPES = frozenset({Scope.CHAT, Scope.VOICE, Scope.HISTORY})
MAX_NAME_CHARACTERS = 60
"""Of devices and persons."""


class Registry(Protocol):
    """Where devices are kept, and what happened to them."""

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
        """Let a device in. credential: SHA-256 of its certificate in DER, or of its token in ASCII."""
        ...

    async def note(self, action: str, *, device: Device | None = None, name: str = "", address: str = "") -> None:
        """Write into the audit log."""
        ...


class Issuer(Protocol):
    """Makes certificates."""

    @property
    def certificate(self) -> bytes:
        """Its own, in DER."""
        ...

    def check_request(self, request: bytes) -> None:
        """Raises InvalidInput for what it would not take."""
        ...

    def client_certificate(self, request: bytes, *, device_id: str, expires_at: datetime | None) -> bytes:
        """For a device, in DER. Raises InvalidInput."""
        ...


class Timer(Protocol):
    """Of something that will happen."""

    def cancel(self) -> None:
        """It will not."""
        ...


class Clock(Protocol):
    """As event loops have it."""

    def time(self) -> float:
        """Seconds, never going back."""
        ...

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call it after that many seconds."""
        ...


class PairingDesk:
    """Of one daemon: at most one pairing is open."""

    def __init__(
        self,
        *,
        registry: Registry,
        issuer: Issuer,
        fingerprint: Callable[[], str],
        addresses: Callable[[], Sequence[str]],
        clock: Clock,
    ) -> None:
        """fingerprint: of the web port's certificate, SHA-256 in hexadecimal with colons.

        addresses: HOST:PORT of the web port, the most likely one first, at least one. clock: the event loop.
        """
        self._registry = registry
        self._issuer = issuer
        self._fingerprint = fingerprint
        self._addresses = addresses
        self._clock = clock
        self._limit = StartLimit(clock.time)
        self._offer: Offer | None = None
        self._timer: Timer | None = None
        self._arithmetic = asyncio.Lock()
        self._deciding = asyncio.Lock()

    async def open(self, scopes: frozenset[Scope], person: str, expires_at: datetime | None) -> PairingOffer:
        """Let one device in that comes within two minutes; takes the place of an earlier pairing.

        scopes: none takes DEFAULT_SCOPES. person: whose the device is. expires_at: of the device.
        Raises InvalidInput.
        """
        if person:
            _require_name(person, "person")
        if expires_at is not None and expires_at <= datetime.now(UTC):
            raise InvalidInput("expires_at is over already", field="expires_at")
        shown = self._shown()
        offer = Offer(shown, scopes=scopes or DEFAULT_SCOPES, person=person, device_expires_at=expires_at)
        async with self._deciding:
            if self._offer:
                self._offer.finish(PairingEnd(device=None, reason="another pairing took its place"), _replaced)
            if self._timer:
                self._timer.cancel()
            self._offer = offer
            self._timer = self._clock.call_later(OFFER_SECONDS, lambda: self._run_out(offer))
        await self._registry.note("pairing opened")
        return shown

    async def watch(self, pairing_id: str) -> AsyncIterator[PairingCandidate | PairingEnd]:
        """What becomes of it, from its beginning. Raises NotFound."""
        async for event in self._named(pairing_id).events():
            yield event

    def close(self, pairing_id: str) -> None:
        """Let nobody in any more. One that was just said yes to comes in all the same. Raises NotFound."""
        offer = self._named(pairing_id)
        if not self._deciding.locked():
            offer.finish(PairingEnd(device=None, reason="the operator closed it"), no_pairing)

    async def confirm(self, pairing_id: str, short_string: str, is_the_one: bool) -> Device | None:
        """The operator's word on the device that shows this string. Raises NotFound while none does."""
        # Carried out also if who said it does not wait: half let in, a device is listed that has no certificate.
        return await asyncio.shield(self._decide(pairing_id, short_string, is_the_one))

    async def _decide(self, pairing_id: str, short_string: str, is_the_one: bool) -> Device | None:
        async with self._deciding:
            offer = self._named(pairing_id)
            attempt, candidate = offer.waiting(short_string)
            if not is_the_one:
                offer.refuse(attempt)
                await self._registry.note("refused", name=candidate.device_name, address=attempt.address)
                return None
            granted = await self._let_in(offer, attempt, candidate)
            offer.grant(attempt, granted)
            return granted.device

    async def start(self, means: PairingMeans, pake_message: bytes, address: str) -> tuple[str, bytes]:
        """Begin an attempt: its id, and the daemon's message of SPAKE2.

        address: IP address of the device.
        Raises PairingClosed, PairingLocked, QueueFull, InvalidInput.
        """
        offer = self._open_offer()
        if len(pake_message) != MESSAGE_BYTES:
            raise InvalidInput(f"pake_message has {MESSAGE_BYTES} bytes", field="pake_message")
        await self._note_lock(offer, address)
        offer.require_room(means)
        self._limit.take(address)
        attempt = offer.begin(means, address)
        try:
            async with self._arithmetic:  # a thread of pure Python: two would not be faster
                message, attempt.keys = await asyncio.to_thread(_answer, offer.password(means), pake_message)
        except BaseException:
            offer.drop(attempt)
            raise
        if self._open_offer() is not offer:
            raise _replaced()
        self._clock.call_later(PROOF_SECONDS, lambda: offer.drop(attempt))
        return attempt.id, message

    async def prove(
        self,
        attempt_id: str,
        *,
        device_name: str,
        kind: DeviceKind,
        certificate_request: bytes,
        seen_fingerprint: bytes,
        confirmation: bytes,
    ) -> tuple[bytes, bytes]:
        """The daemon's confirmation and the CA's certificate in DER; the operator is asked about the device.

        One try an attempt. Raises PairingClosed, NotFound, InvalidInput, Unauthenticated, QueueFull.
        """
        if kind is DeviceKind.API_KEY:
            raise InvalidInput("nobody pairs for a key: `edged devices key` makes one", field="kind")
        offer = self._open_offer()
        attempt, keys = offer.unproved(attempt_id)
        expected = keys.client_confirmation(
            attempt_id=attempt_id,
            device_name=device_name,
            kind=kind,
            certificate_request=certificate_request,
            seen_fingerprint=seen_fingerprint,
        )
        if not agree(confirmation, expected):
            await self._fail(offer, attempt, f"wrong {attempt.means.value}")
            raise Unauthenticated(f"the {attempt.means.value} is wrong: look at it again")
        if not self._is_our_certificate(kind, seen_fingerprint):
            await self._fail(offer, attempt, "somebody between")
            raise Unauthenticated("the certificate you were shown is not this daemon's: somebody is between the two")
        candidate = PairingCandidate(
            short_string=keys.short_string, device_name=device_name, kind=kind, address=attempt.address
        )
        try:
            _require_name(device_name, "device_name")
            self._check_request(kind, certificate_request)
            offer.show(attempt, candidate, certificate_request)
        except BaseException:
            offer.drop(attempt)
            raise
        await self._registry.note("asks to pair", name=device_name, address=attempt.address)
        ca_certificate = self._issuer.certificate
        return keys.daemon_confirmation(attempt_id=attempt_id, ca_certificate=ca_certificate), ca_certificate

    async def claim(self, attempt_id: str) -> Granted:
        """Waits for the operator's decision; can be asked again until the next pairing is opened.

        Raises NotFound, PermissionDenied, PairingExpired, PairingClosed.
        """
        if self._offer is None:
            raise no_pairing()
        return await self._offer.decision(attempt_id)

    def _shown(self) -> PairingOffer:
        fingerprint, addresses = self._fingerprint(), tuple(self._addresses())
        secret = secrets.token_urlsafe(16)
        return PairingOffer(
            pairing_id=secrets.token_hex(6),
            code=f"{secrets.randbelow(10**6):06d}",
            link=f"https://{addresses[0]}/#pair={secret}&fp={fingerprint.replace(':', '')}",
            secret=secret,
            fingerprint=fingerprint,
            addresses=addresses,
            expires_at=datetime.now(UTC) + timedelta(seconds=OFFER_SECONDS),
        )

    async def _let_in(self, offer: Offer, attempt: Attempt, candidate: PairingCandidate) -> Granted:
        """Raises what the registry does."""
        device_id = secrets.token_hex(6)
        certificate, token = b"", ""
        if candidate.kind is DeviceKind.PROGRAM:
            certificate = self._issuer.client_certificate(
                attempt.certificate_request, device_id=device_id, expires_at=offer.device_expires_at
            )
        else:
            token = secrets.token_urlsafe(32)
        device = await self._registry.add(
            device_id=device_id,
            name=candidate.device_name,
            kind=candidate.kind,
            person=offer.person,
            scopes=offer.scopes,
            expires_at=offer.device_expires_at,
            credential=hashlib.sha256(certificate or token.encode("ascii")).digest(),
            address=attempt.address,
        )
        return Granted(device=device, certificate=certificate, token=token)

    async def _fail(self, offer: Offer, attempt: Attempt, action: str) -> None:
        offer.drop(attempt)
        await self._registry.note(action, address=attempt.address)
        await self._note_lock(offer, attempt.address)

    async def _note_lock(self, offer: Offer, address: str) -> None:
        """Once an offer: whoever goes on trying does not fill the log."""
        if offer.is_locked and not offer.is_lock_noted:
            offer.is_lock_noted = True
            await self._registry.note("locked out", address=address)

    def _is_our_certificate(self, kind: DeviceKind, seen: bytes) -> bool:
        """Browsers cannot see it, and their people compare it."""
        if kind is DeviceKind.BROWSER and not seen:
            return True
        return agree(seen, bytes.fromhex(self._fingerprint().replace(":", "")))

    def _check_request(self, kind: DeviceKind, request: bytes) -> None:
        if kind is DeviceKind.PROGRAM:
            self._issuer.check_request(request)
        elif request:
            raise InvalidInput("browsers get no certificate: certificate_request is empty", field="certificate_request")

    def _run_out(self, offer: Offer) -> None:
        if self._deciding.locked():  # the operator said yes in time: the disk may take longer
            self._timer = self._clock.call_later(1.0, lambda: self._run_out(offer))
            return
        offer.finish(PairingEnd(device=None, reason="two minutes are over"), _late)

    def _open_offer(self) -> Offer:
        if self._offer is None or self._offer.end:
            raise no_pairing()
        return self._offer

    def _named(self, pairing_id: str) -> Offer:
        """An empty id names the last one that was opened."""
        if self._offer is None or pairing_id not in ("", self._offer.shown.pairing_id):
            raise NotFound("there is no such pairing: open another one", resource=("pairing", pairing_id))
        return self._offer


def _answer(password: str, message: bytes) -> tuple[bytes, PairingKeys]:
    side = DaemonSide(password)
    return side.message, side.finish(message)


def _require_name(name: str, field: str) -> None:
    """Raises InvalidInput: names are shown to people who decide by them."""
    if not name.strip() or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        raise InvalidInput(f"{field} is one line of at most {MAX_NAME_CHARACTERS} characters", field=field)


def _late() -> PairingExpired:
    return PairingExpired("the daemon's operator said nothing in time: begin again with a new code")


def _replaced() -> PairingClosed:
    return PairingClosed("another pairing was opened: begin again with its code")
