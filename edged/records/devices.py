"""Paired devices, what they may do, and how they come in."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime


class Scope(enum.StrEnum):
    """What a device may do."""

    CHAT = "chat"
    """Ask in writing, see which models there are."""
    VOICE = "voice"
    """Talk."""
    CAMERA = "camera"
    """See through the daemon's camera."""
    HISTORY = "history"
    """Look at and change the conversations of the device or its person."""
    HISTORY_ALL = "history-all"
    """The same with everybody's."""
    ADMIN = "admin"
    """Manage devices, voices, and the daemon's own microphone and camera."""


class DeviceKind(enum.StrEnum):
    """How a device shows who it is."""

    PROGRAM = "program"
    """By a certificate."""
    BROWSER = "browser"
    """By a cookie."""
    API_KEY = "api-key"
    """By a key that the operator made, to the HTTP API alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A paired phone, desktop or program."""

    id: str
    name: str
    kind: DeviceKind
    person: str
    """Whose it is: devices of one person share their conversations; "" for nobody's."""
    scopes: frozenset[Scope]
    created_at: datetime
    last_seen_at: datetime | None = None
    expires_at: datetime | None = None

    @property
    def owner(self) -> str:
        """To whom its conversations belong, as the store writes it."""
        return f"person:{self.person}" if self.person else f"device:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What a program needs for the HTTP API on the LAN."""

    device: Device
    key: str = field(repr=False)
    addresses: tuple[str, ...]
    """HOST:PORT of the web port, the most likely one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """Something that happened to devices."""

    time: datetime
    action: str
    device_id: str = ""
    device_name: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingOffer:
    """What the operator shows to one device, for two minutes."""

    pairing_id: str
    code: str
    """Six digits, to be typed."""
    link: str
    """To be scanned."""
    secret: str
    fingerprint: str
    """SHA-256 of the web port's certificate, in hexadecimal with colons."""
    addresses: tuple[str, ...]
    """HOST:PORT of the web port, the most likely one first."""
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingCandidate:
    """A device that knows the code, and waits for the operator."""

    short_string: str
    """Both screens show it."""
    device_name: str
    kind: DeviceKind
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingEnd:
    """Of a pairing: who was let in, or why nobody was."""

    device: Device | None
    reason: str
