"""What can be looked at: conversations, engines, and the daemon's own state.

Standard library only, like `events`: these cross every border, so each layer fills in its part and
`wire` carries them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from edged.events import Message, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation without its messages."""

    id: str
    title: str
    created_at: datetime
    """Timezone-aware UTC, as all times here."""
    updated_at: datetime
    message_count: int
    owner: str = ""
    """Whose it is: "" for the operator's, "device:ID", or "person:NAME"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """A conversation with its messages, oldest first."""

    conversation: Conversation
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchHit:
    """One message that matched a search."""

    conversation: Conversation
    message_id: str
    role: Role
    snippet: str
    """Words around the match, the match itself between U+0002 and U+0003."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledSpeaker:
    """A person whose voice is known."""

    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """An installed engine."""

    name: str
    model_type: str
    parameters: int
    context_length: int
    precision: str
    disk_bytes: int
    license: str
    is_default: bool = False
    is_loaded: bool = False
    is_demo: bool = False
    """Under 0.5 billion parameters: it shows that everything works, not more."""
    reads: tuple[str, ...] = ("text",)
    """What a message may hold: "text", "images", "audio"."""


class DaemonState(enum.StrEnum):
    """Life of the daemon; health is SERVING only in the middle one."""

    LOADING = "loading"
    SERVING = "serving"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """What the device thread is doing."""

    model: str
    device: str
    """Execution provider and device really in use, e.g. "onnxruntime CPU, 2 threads"."""
    context_length: int
    active_requests: int
    queued_requests: int
    max_queued_requests: int
    cached_conversations: int
    kv_cache_bytes: int
    kv_cache_limit_bytes: int
    load_seconds: float
    expert_load: tuple[tuple[float, ...], ...] = ()
    """Of a mixture of experts: share of each layer's choices that each expert got since the engine was loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatus:
    """Where conversations lie and what protects them."""

    database: str
    encrypted: bool
    key_source: str
    """"keyring", or the path of the key file."""
    database_bytes: int
    conversations: int
    messages: int
    protection: str
    """What the encryption protects and what it does not, in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforcement:
    """One privacy control: what it stops, and whether it is in force now."""

    name: str
    active: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyStatus:
    """What is enforced, and what was refused."""

    enforcements: tuple[Enforcement, ...]
    refused_connections: int
    content_logging: bool


class MicrophoneState(enum.StrEnum):
    """Of this machine's own microphone; only OPEN hears anything."""

    CLOSED = "closed"
    """Nobody wants it."""
    OPEN = "open"
    MUTED = "muted"
    LOST = "lost"
    """It is wanted but cannot be opened, or was unplugged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceStatus:
    """Ears and mouth of this machine."""

    microphone: MicrophoneState
    obstacle: str
    """What keeps the microphone from being heard, and what to do; empty if nothing does."""
    overruns: int
    """How often sound was lost because it was not read in time."""
    underruns: int
    """How often the speaker ran out of sound too early."""
    reconnects: int
    """How often a device came back."""
    volume_percent: int


class CameraState(enum.StrEnum):
    """Of the daemon's own camera; only OPEN sees anything."""

    OFF = "off"
    """Switched off by hand: it stays closed whoever wants it."""
    CLOSED = "closed"
    """Nobody wants it."""
    OPEN = "open"
    """It sees, or is being opened."""
    LOST = "lost"
    """It is wanted but cannot be opened, or was unplugged; tried again until it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraStatus:
    """The eye of this machine."""

    state: CameraState
    source: str
    """What is opened, without a password; empty for who may not know."""
    obstacle: str = ""
    """What keeps it from being seen through, and what to do; empty if nothing does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraFrame:
    """One picture that a camera took."""

    jpeg: bytes
    taken_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonStatus:
    """The whole report of `edged status`."""

    version: str
    state: DaemonState
    started_at: datetime
    listening_on: tuple[str, ...]
    engine: EngineStatus
    store: StoreStatus
    privacy: PrivacyStatus
    voice: VoiceStatus | None = None
    """None where the daemon has no ears of its own."""
    camera: CameraStatus | None = None
    """None where no camera is configured."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Whose conversations somebody sees, and to whom those belong that they begin."""

    owner: str
    sees_all: bool


OPERATOR = Reader(owner="", sees_all=True)
"""Whoever can open this user's socket."""


Corners = tuple[tuple[float, float], ...]
"""Four points in a picture, clockwise: x from its left and y from its top, each from 0 to 1 of the upright picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextLine:
    """A line of text in a picture."""

    text: str
    confidence: float
    """0 to 1."""
    corners: Corners
    """The first is where the text begins, the second where it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureText:
    """All text in a picture, in reading order."""

    width: int
    """Of the upright picture, in pixels; so is height."""
    height: int
    lines: tuple[TextLine, ...]
    rows: tuple[tuple[str, ...], ...]
    """What stands beside each other, such as a dish and its price. All cells after each other are the lines."""
    text: str
    """A row a line, tabs between cells."""
    markdown: str
    """Rows of several cells as tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisualCode:
    """A QR code or barcode in a picture."""

    kind: str
    """"QR", or that of a barcode as OpenCV names it, e.g. "EAN_13"."""
    text: str
    corners: Corners


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourShare:
    """How much of a picture has a colour."""

    name: str
    share: float
    """0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenObject:
    """A thing in a picture."""

    name: str
    """An English word, such as "person"."""
    confidence: float
    """0 to 1."""
    corners: Corners


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureDescription:
    """What can be said of a picture without a model that sees."""

    text: str
    """All of it in words, as a model is told; cut where there is much."""
    read: PictureText
    codes: tuple[VisualCode, ...]
    colours: tuple[ColourShare, ...]
    """The most common ones, most first."""
    objects: tuple[SeenObject, ...] | None = None
    """The surest first; None where nothing is installed that knows any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundText:
    """A place in a picture where words were found."""

    text: str
    """As it stands there."""
    confidence: float
    """Of its line, 0 to 1."""
    corners: Corners
