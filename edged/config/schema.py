"""All that can be configured, the ranges of its keys, and what they mean together."""

from __future__ import annotations

import hashlib
import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path

from edged.config.camera_source import CameraSource, parse_camera
from edged.config.sections import (
    AssistantConfig,
    CameraConfig,
    ClientConfig,
    DaemonConfig,
    EngineConfig,
    HttpConfig,
    LanConfig,
    LoggingConfig,
    PrivacyConfig,
    RetentionConfig,
    SamplingConfig,
    StoreConfig,
    ToolsConfig,
    VoiceConfig,
    WyomingConfig,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Directories, resolved from the environment."""

    state: Path
    """Database, installed engines, lock."""
    config: Path
    """edged.toml, edged.d/ and the database key: outside state and its backups."""
    runtime: Path
    """Sockets."""
    engines: tuple[Path, ...]
    """Where engines are looked for, first match wins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervisor:
    """What systemd asks of a service (sd_notify(3)); all empty when nobody supervises."""

    notify_socket: str = ""
    """Path of the datagram socket for READY=1 and WATCHDOG=1; a leading "@" means an abstract one."""
    watchdog_seconds: float = 0.0
    """The service is killed after so long without a sign of life; 0 means no watchdog."""
    credentials: str = ""
    """Directory of what LoadCredential= hands over, edged.key or edged.passphrase among it; empty if nothing."""
    journal: bool = False
    """Standard error goes to the journal, which keeps its own time and level of each line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that can be configured."""

    paths: Paths
    supervisor: Supervisor = field(default_factory=Supervisor)
    daemon: DaemonConfig = field(default_factory=DaemonConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    assistant: AssistantConfig = field(default_factory=AssistantConfig)
    voice: VoiceConfig = field(default_factory=VoiceConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    wyoming: WyomingConfig = field(default_factory=WyomingConfig)
    lan: LanConfig = field(default_factory=LanConfig)
    http: HttpConfig = field(default_factory=HttpConfig)
    tools: ToolsConfig = field(default_factory=ToolsConfig)
    client: ClientConfig = field(default_factory=ClientConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)

    @property
    def socket_path(self) -> Path:
        """The unix socket; one per state directory, short enough for sockaddr_un (108 bytes)."""
        if self.daemon.socket:
            return absolute(self.daemon.socket)
        digest = hashlib.sha256(os.fsencode(self.paths.state.resolve())).hexdigest()[:16]
        return self.paths.runtime / f"{digest}.sock"

    @property
    def database(self) -> Path:
        """Everything that is stored."""
        return self.paths.state / DATABASE_NAME

    @property
    def key_directory(self) -> Path:
        """Where the file with the database key lies."""
        return absolute(self.store.key_directory) if self.store.key_directory else self.paths.config

    @property
    def camera_source(self) -> CameraSource | None:
        """What camera.source names; None where there is no camera."""
        return parse_camera(self.camera.source) if self.camera.source else None

    @property
    def exposures(self) -> tuple[str, ...]:
        """What the operator switched off that protects people, in words; empty by default."""
        found = []
        if not self.privacy.sandbox:
            found.append("privacy.sandbox = false: nothing keeps the daemon from connections")
        if self.logging.content:
            found.append("logging.content = true: what people say is written to the log")
        return tuple(found)

    @property
    def tcp_address(self) -> tuple[str, int] | None:
        """Loopback IP address and port that daemon.tcp asks for."""
        return parse_loopback(self.daemon.tcp) if self.daemon.tcp else None

    @property
    def http_address(self) -> tuple[str, int] | None:
        """IP address and port that http.listen asks for: of loopback, except in a container."""
        parse = parse_address if self.http.container else parse_loopback
        return parse(self.http.listen) if self.http.listen else None

    @property
    def wyoming_addresses(self) -> dict[str, tuple[str, int]]:
        """Loopback IP address and port by the key of the configuration that asks for it."""
        asked = {"wyoming.listen": self.wyoming.listen, "wyoming.satellite": self.wyoming.satellite}
        return {key: parse_loopback(address) for key, address in asked.items() if address}


ENVIRONMENT = ("EDGED_CONFIG", "EDGED_STATE_DIR", "EDGED_ENGINES_DIR")
DATABASE_NAME = "edged.db"
SOCKET_PATH_BYTES = 107
"""sockaddr_un holds 108 bytes, the last of them zero."""
_NOT_LOOPBACK = "must name a loopback address such as 127.0.0.1 or [::1]"
MAX_DEVICES = 64
CHOICES: dict[str, tuple[str, ...]] = {
    "engine.device": ("auto", "cpu", "cuda", "tensorrt"),
    "logging.level": ("debug", "info", "warning", "error"),
    "voice.language": ("en", "zh", "auto"),
    "store.key": ("auto", "keyring", "file", "passphrase", "credential"),
}
RANGES: dict[str, tuple[float, float]] = {
    "daemon.drain_seconds": (0, 300),
    "daemon.linger_seconds": (0, 86_400),
    "daemon.max_message_bytes": (64 * 1024, 1024**3),
    "engine.max_seq_len": (64, 1_048_576),
    "engine.threads": (0, 1024),
    "engine.prefill_chunk": (16, 8192),
    "engine.kv_cache_mb": (0, 1_048_576),
    "engine.max_active": (1, 64),
    "engine.max_queued": (0, 1024),
    "engine.max_loaded": (1, 16),
    "sampling.temperature": (0, 2),
    "sampling.top_k": (0, 1_000_000),
    "sampling.top_p": (0, 1),
    "sampling.min_p": (0, 1),
    "sampling.repetition_penalty": (0.01, 10),
    "sampling.max_tokens": (1, 1_048_576),
    "voice.volume": (0, 100),
    "voice.wake_threshold": (0, 1),
    "voice.silence_seconds": (0.2, 5),
    "voice.follow_up_seconds": (0, 120),
    "voice.max_recording_seconds": (1, 7200),
    "camera.max_fps": (1, 30),
    "camera.warm_up_frames": (0, 100),
    "lan.grpc_port": (1, 65_535),
    "lan.web_port": (1, 65_535),
    "store.max_text_bytes": (1024, 256 * 1024 * 1024),
    "retention.days": (0, 36_500),
    "retention.device_days": (0, 36_500),
    "retention.media_days": (0, 36_500),
    "retention.max_mb": (0, 1_048_576),
    "retention.device_max_mb": (0, 1_048_576),
    "retention.media_max_mb": (0, 1_048_576),
}


def parse_devices(text: str) -> tuple[int, ...]:
    """Numbers of GPUs, e.g. (0, 1) of "0,1". Raises ValueError."""
    names = [name.strip() for name in text.split(",")] if text else []
    if not all(name.isascii() and name.isdigit() and len(name) <= 2 and int(name) < MAX_DEVICES for name in names):
        raise ValueError(f"must be numbers of GPUs from 0 to {MAX_DEVICES - 1} with commas between, e.g. 0,1")
    return tuple(int(name) for name in names)


def parse_address(text: str) -> tuple[str, int]:
    """IP address and port of "HOST:PORT", where HOST is localhost, an IPv4 or a bracketed IPv6 address.

    Raises ValueError. Names other than localhost are refused: to look one up is to ask the network.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be HOST:PORT with a port from 0 to 65535")
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(_NOT_LOOPBACK) from None
    return host, int(port)


def parse_loopback(text: str) -> tuple[str, int]:
    """The same, of loopback alone. Raises ValueError."""
    host, port = parse_address(text)
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(_NOT_LOOPBACK)
    return host, port


def parse_ip(text: str) -> str:
    """An IP address. Raises ValueError: to look a name up is to ask the network."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("must be an IP address of this machine such as 192.168.1.7") from None
    return text


def absolute(path: str) -> Path:
    """The path with ~ resolved, independent of the working directory."""
    return Path(path).expanduser().absolute()
