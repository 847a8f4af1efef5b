"""One pairing that the operator has opened: the attempts of devices, and what becomes of them. Knows no clock."""

from __future__ import annotations

import asyncio
import enum
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime

from edged.errors import EdgedError, NotFound, PairingClosed, PairingLocked, PermissionDenied, QueueFull
from edged.records import Device, PairingCandidate, PairingEnd, PairingOffer, Scope
from edged.trust.pake import PairingKeys

MAX_WRONG_CODES = 5
MAX_ATTEMPTS = 8
"""Under way at once, by each means."""
RETRY_SECONDS = 10.0


class PairingMeans(enum.Enum):
    """Which of the two a device was given."""

    CODE = "code"
    """Six digits: can be guessed, so few may try."""
    SECRET = "secret"  # noqa: S105  # the name of a means
    """128 bits, in the link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What a device gets that was let in."""

    device: Device
    certificate: bytes = b""
    """A program's, in DER."""
    token: str = field(default="", repr=False)
    """A browser's."""


@dataclass(slots=True, kw_only=True)
class Attempt:
    """Of one device."""

    id: str
    means: PairingMeans
    address: str
    keys: PairingKeys | None = None
    """None until the arithmetic is done."""
    candidate: PairingCandidate | None = None
    """None until the device has proved that it knows the code."""
    certificate_request: bytes = b""
    is_refused: bool = False
    granted: Granted | None = None
    decided: asyncio.Event = field(default_factory=asyncio.Event)


class Offer:
    """Open until `finish`."""

    def __init__(
        self, shown: PairingOffer, *, scopes: frozenset[Scope], person: str, device_expires_at: datetime | None
    ) -> None:
        self.shown = shown
        self.scopes = scopes
        self.person = person
        self.device_expires_at = device_expires_at
        self.end: PairingEnd | None = None
        self.wrong_codes = 0
        self.is_lock_noted = False
        """Whether the audit log says that the code is locked."""
        self._attempts: dict[str, Attempt] = {}
        self._candidates: list[PairingCandidate] = []
        self._changed = asyncio.Event()
        self._error_of_rest: Callable[[], EdgedError] = no_pairing

    def password(self, means: PairingMeans) -> str:
        """What the device must know."""
        return self.shown.code if means is PairingMeans.CODE else self.shown.secret

    @property
    def is_locked(self) -> bool:
        """Whether the code is worth nothing any more."""
        return self.wrong_codes >= MAX_WRONG_CODES

    def require_room(self, means: PairingMeans) -> None:
        """Raises PairingLocked or QueueFull where another attempt may not begin now."""
        if means is PairingMeans.CODE and self.is_locked:
            raise PairingLocked("too many wrong codes: scan the link instead, or run `edged pair` again")
        same = [attempt for attempt in self._attempts.values() if attempt.means is means and not attempt.is_refused]
        unproved = sum(attempt.candidate is None for attempt in same)
        is_full = len(same) >= MAX_ATTEMPTS
        if is_full or (means is PairingMeans.CODE and self.wrong_codes + unproved >= MAX_WRONG_CODES):
            raise QueueFull("too many devices pair at once: try again in a moment", retry_seconds=RETRY_SECONDS)

    def begin(self, means: PairingMeans, address: str) -> Attempt:
        """Counts as a wrong code until it is proved."""
        attempt = Attempt(id=secrets.token_urlsafe(16), means=means, address=address)
        self._attempts[attempt.id] = attempt
        return attempt

    def drop(self, attempt: Attempt) -> None:
        """It failed, or its device went away before it proved anything."""
        if attempt.candidate is None and attempt.id in self._attempts:
            del self._attempts[attempt.id]
            self.wrong_codes += attempt.means is PairingMeans.CODE

    def unproved(self, attempt_id: str) -> tuple[Attempt, PairingKeys]:
        """One that waits for its proof. Raises NotFound."""
        attempt = self._attempts.get(attempt_id)
        if attempt is None or attempt.keys is None or attempt.candidate:
            raise _no_attempt()
        return attempt, attempt.keys

    def show(self, attempt: Attempt, candidate: PairingCandidate, certificate_request: bytes) -> None:
        """It is proved: the operator is asked about it. Raises QueueFull where another one shows the same string."""
        if any(other.short_string == candidate.short_string for other in self._candidates):
            raise QueueFull("another device shows the same string: begin again", retry_seconds=0.0)
        attempt.candidate, attempt.certificate_request = candidate, certificate_request
        self._candidates.append(candidate)
        self._notify()

    def waiting(self, short_string: str) -> tuple[Attempt, PairingCandidate]:
        """The device that shows it and waits for the operator. Raises NotFound."""
        for attempt in self._attempts.values():
            if attempt.candidate and attempt.candidate.short_string == short_string and not attempt.decided.is_set():
                return attempt, attempt.candidate
        raise NotFound("no device shows this string: compare all eight digits", resource=("device", short_string[:9]))

    def refuse(self, attempt: Attempt) -> None:
        """The operator says that it is not the one; others may be."""
        attempt.is_refused = True
        attempt.decided.set()

    def grant(self, attempt: Attempt, granted: Granted) -> None:
        """It is the one; nobody else is."""
        attempt.granted = granted
        self.finish(PairingEnd(device=granted.device, reason=""), lambda: PermissionDenied("another device was let in"))

    def finish(self, end: PairingEnd, error_of_rest: Callable[[], EdgedError]) -> None:
        """The first end counts. error_of_rest: for devices that still wait."""
        if self.end:
            return
        self.end, self._error_of_rest = end, error_of_rest
        for attempt in self._attempts.values():
            attempt.keys = None
            attempt.decided.set()
        self._notify()

    async def decision(self, attempt_id: str) -> Granted:
        """Waits until the operator has said what becomes of a device; can be asked again.

        Raises NotFound, PermissionDenied, PairingExpired, PairingClosed.
        """
        attempt = self._attempts.get(attempt_id)
        if attempt is None or attempt.candidate is None:
            raise _no_attempt()
        await attempt.decided.wait()
        if attempt.is_refused:
            raise PermissionDenied("the daemon's operator refused this device")
        if attempt.granted is None:
            raise self._error_of_rest()
        return attempt.granted

    async def events(self) -> AsyncIterator[PairingCandidate | PairingEnd]:
        """All candidates from the first, then the end."""
        seen = 0
        while True:
            changed = self._changed
            while seen < len(self._candidates):
                yield self._candidates[seen]
                seen += 1
            if self.end:
                yield self.end
                return
            await changed.wait()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def no_pairing() -> PairingClosed:
    """To whoever wants to pair while none is open."""
    return PairingClosed("no pairing is open: run `edged pair` on the daemon's machine")


def _no_attempt() -> NotFound:
    return NotFound("this attempt to pair is over: begin again", resource=("attempt", ""))
