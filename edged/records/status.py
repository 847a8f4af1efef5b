"""The daemon's own state: engines, store, privacy, microphone, camera."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime


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
    thinks: bool = False
    """It can think before it answers; others answer at once, however they are asked."""
    built_at_seconds: int = 0
    """Unix time; 0 where it is not known."""


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
    retention: str = ""
    """What is deleted by itself, in a sentence."""
    oldest_message_at: datetime | None = None
    """None where there is no message."""
    attachments: int = 0
    """Pictures and recordings; one that was sent twice is kept once."""
    attachment_bytes: int = 0
    voiceprints: int = 0
    """Of people whose voices are known."""
    devices: int = 0
    """That are paired."""
    api_keys: int = 0
    """Of programs on the LAN."""
    incognito_conversations: int = 0
    """That are in memory now, and never on the disk; not among `conversations`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforcement:
    """One privacy control: what it stops, and whether it is in force now."""

    name: str
    active: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A kind of call by which Python code reached for the network."""

    call: str
    """Of the socket module: "connect", "sendto", "getaddrinfo" ..."""
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyStatus:
    """What is enforced, and what was refused."""

    enforcements: tuple[Enforcement, ...]
    refused_connections: int
    """By the audit hook; what the kernel refuses is counted by nobody."""
    content_logging: bool
    refusals: tuple[Refusal, ...] = ()
    """The same by the kind of call; the most frequent first."""


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
class ToolStatus:
    """One of the daemon's own tools."""

    name: str
    """Its key in the section [tools] of the configuration."""
    is_on: bool


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
    tools: tuple[ToolStatus, ...] = ()
    """What the model may do by itself, and what it could be allowed."""
