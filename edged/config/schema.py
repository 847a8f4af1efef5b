"""Every key with its default, its unit and its range."""

from __future__ import annotations

import hashlib
import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path

from edged.config.camera_source import CameraSource, parse_camera


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonConfig:
    """[daemon]: where clients reach it."""

    socket: str = ""
    """Path of the unix socket; empty derives one from the state directory."""
    tcp: str = ""
    """HOST:PORT on loopback, e.g. "127.0.0.1:50051"; empty listens on the unix socket only."""
    drain_seconds: float = 10.0
    """How long answers under way may take to finish after SIGTERM."""
    linger_seconds: float = 0.0
    """How long a daemon that chat or ask started waits for another request once its starter has gone."""
    max_message_bytes: int = 32 * 1024 * 1024
    """Largest request accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """[engine]: which model runs, and how much of the machine it may take."""

    default: str = "smollm2-135m"
    """Name of an installed engine (`edged models list`)."""
    max_seq_len: int = 4096
    """Context in tokens; the model's own limit applies when it is lower."""
    device: str = "auto"
    """What computes: "cpu", "cuda", "tensorrt", or "auto" for the best that can (`edged doctor`)."""
    devices: str = ""
    """GPUs by number, e.g. "0,1": the stages of an engine go to them in turn; empty takes them in their order."""
    threads: int = 0
    """CPU threads; 0 takes the cores that this process may use."""
    prefill_chunk: int = 512
    """Prompt tokens computed between two looks at the queue and at cancellations."""
    kv_cache_mb: int = 1024
    """Keys and values of recent conversations kept for the next turn, in MiB."""
    max_active: int = 2
    """Answers generated at the same time, a token each in turn."""
    max_queued: int = 8
    """Requests that may wait; one more is refused."""
    max_loaded: int = 1
    """Engines kept in memory at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingConfig:
    """[sampling]: used where a request names nothing."""

    temperature: float = 0.2
    """0 always takes the likeliest token; up to 2."""
    top_k: int = 0
    """Choose among that many of the likeliest tokens; 0 for all."""
    top_p: float = 0.9
    """Choose among the likeliest tokens whose probabilities add up to this."""
    min_p: float = 0.0
    """Drop tokens less likely than this share of the likeliest one."""
    repetition_penalty: float = 1.0
    """Above 1 discourages tokens already seen."""
    max_tokens: int = 1024
    """Longest answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistantConfig:
    """[assistant]: who answers."""

    system_prompt: str = "You are a helpful AI assistant."
    """Told to the model in conversations that have no system prompt of their own; empty leaves it to its template."""
    tell_time: bool = True
    """Also tell it the date, the time and the time zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceConfig:
    """[voice]: ears and mouth."""

    listen: bool = False
    """Open this machine's microphone as the daemon starts; otherwise `edged listen` opens it while it runs."""
    microphone: str = ""
    """A part of the microphone's name, or its number (`edged doctor`); empty takes the system's default."""
    speaker: str = ""
    """The same of the speaker."""
    volume: int = 80
    """Of what is said aloud, in percent."""
    language: str = "en"
    """What is spoken: "en", "zh" (extra zh), or "auto" to let a multilingual recognizer find out."""
    recognizer: str = ""
    """Folder of a Whisper model for CTranslate2; empty takes the one that the extra of the language brings."""
    voice: str = ""
    """A Piper voice (path of its .onnx), or "espeak"; empty takes the packaged voice of the language, else espeak."""
    wake_words: str = "okay_nabu"
    """Names with commas between (okay_nabu, hey_jarvis, hey_mycroft, alexa), or paths of microWakeWord models."""
    wake_threshold: float = 0.0
    """Mean probability that counts as the wake phrase; 0 takes what each model's author found."""
    silence_seconds: float = 0.6
    """Silence that ends an utterance; less when it sounds finished, more when it does not."""
    follow_up_seconds: float = 8.0
    """After an answer one may go on without the wake phrase for so long; 0 asks for it every time."""
    barge_in: bool = True
    """Whoever speaks while the assistant does interrupts it."""
    echo_cancellation: bool = True
    """Take what the speaker plays out of what the microphone hears."""
    noise_suppression: bool = False
    """Also take out steady noise; costs about 2 % of a core all the time."""
    identify_speakers: bool = False
    """Say who spoke, of the people whose voices are known (`edged speakers enrol`)."""
    max_recording_seconds: int = 600
    """Longest recording that is written down for a model that cannot hear."""
    emotion_model: str = ""
    """Engine that hears, asked after each answer how the question was said (engine.max_loaded = 2); empty asks none."""
    debug_recording: str = ""
    """Folder for what the microphone hears, as WAV files. For debugging only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraConfig:
    """[camera]: the daemon's eye (extra vision), open only while somebody looks through it; none unless it is named."""

    source: str = ""
    """Its number, its path, http://ADDRESS:PORT/PATH on this machine or the LAN, or gst:PIPELINE; empty for none."""
    max_fps: int = 10
    """Most pictures a second taken from it, for all who look together."""
    warm_up_frames: int = 5
    """Pictures dropped after it was opened; then it gets a second more until its exposure has settled."""
    led: str = ""
    """A file that gets "1" before the camera opens and "0" once it is closed, e.g. /sys/class/leds/NAME/brightness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WyomingConfig:
    """[wyoming]: Home Assistant's voice protocol (extra wyoming), off unless an address is named."""

    listen: str = ""
    """HOST:PORT on loopback where speech to text, text to speech and wake words are served, e.g. "127.0.0.1:10300"."""
    satellite: str = ""
    """HOST:PORT on loopback where this machine's microphone and speaker are lent out, e.g. "127.0.0.1:10700"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanConfig:
    """[lan]: phones and desktops on the same network (extra web), which pair once and are encrypted ever after."""

    enabled: bool = False
    """Let paired devices in; `edged serve --lan` does for once."""
    host: str = ""
    """IP address to listen on; empty takes all that this machine has."""
    grpc_port: int = 50051
    """For programs, which show a certificate."""
    web_port: int = 8443
    """For browsers and for pairing."""
    name: str = ""
    """What other devices call this daemon; empty takes the machine's, and says "edged" by mDNS."""
    hosts: str = ""
    """Further names and addresses under which it is reached, with commas between, for its certificate."""
    announce: bool = True
    """Say on the LAN that a daemon is here (mDNS, _edged._tcp), so that clients find it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """[http]: the API that programs written for OpenAI's speak (extra web), off unless an address is named."""

    listen: str = ""
    """HOST:PORT on loopback, e.g. "127.0.0.1:8000"; `edged serve --http` names it for once."""
    alias: str = "autoglm-phone-9b"
    """A model name that clients may have built in."""
    alias_engine: str = ""
    """The engine that it means; empty for the default one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """[client]: which daemon the commands talk to."""

    daemon: str = ""
    """Name of one elsewhere that this machine is paired with (`edged join`); empty takes this machine's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """[store]: where conversations are kept."""

    key: str = "auto"
    """Where the database key lies: "auto" (keyring where there is one, else a file), "keyring" or "file"."""
    key_directory: str = ""
    """Where the key file lies; empty takes the configuration directory. A service names one that it may write."""
    max_text_bytes: int = 1024 * 1024
    """Longest text of one message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyConfig:
    """[privacy]: the egress guard."""

    sandbox: bool = True
    """Landlock and the audit hook; switch off only to debug."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingConfig:
    """[logging]."""

    level: str = "info"
    """debug, info, warning or error."""
    content: bool = False
    """Also log what people and the model say. For debugging only."""


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
    client: ClientConfig = field(default_factory=ClientConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
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
    def key_directory(self) -> Path:
        """Where the file with the database key lies."""
        return absolute(self.store.key_directory) if self.store.key_directory else self.paths.config

    @property
    def camera_source(self) -> CameraSource | None:
        """What camera.source names; None where there is no camera."""
        return parse_camera(self.camera.source) if self.camera.source else None

    @property
    def tcp_address(self) -> tuple[str, int] | None:
        """Loopback IP address and port that daemon.tcp asks for."""
        return parse_loopback(self.daemon.tcp) if self.daemon.tcp else None

    @property
    def http_address(self) -> tuple[str, int] | None:
        """Loopback IP address and port that http.listen asks for."""
        return parse_loopback(self.http.listen) if self.http.listen else None

    @property
    def wyoming_addresses(self) -> dict[str, tuple[str, int]]:
        """Loopback IP address and port by the key of the configuration that asks for it."""
        asked = {"wyoming.listen": self.wyoming.listen, "wyoming.satellite": self.wyoming.satellite}
        return {key: parse_loopback(address) for key, address in asked.items() if address}


SECTIONS: dict[str, type] = {
    "daemon": DaemonConfig,
    "engine": EngineConfig,
    "sampling": SamplingConfig,
    "assistant": AssistantConfig,
    "voice": VoiceConfig,
    "camera": CameraConfig,
    "wyoming": WyomingConfig,
    "lan": LanConfig,
    "http": HttpConfig,
    "client": ClientConfig,
    "store": StoreConfig,
    "privacy": PrivacyConfig,
    "logging": LoggingConfig,
}
ENVIRONMENT = ("EDGED_CONFIG", "EDGED_STATE_DIR", "EDGED_ENGINES_DIR")
SOCKET_PATH_BYTES = 107
"""sockaddr_un holds 108 bytes, the last of them zero."""
MAX_DEVICES = 64
CHOICES: dict[str, tuple[str, ...]] = {
    "engine.device": ("auto", "cpu", "cuda", "tensorrt"),
    "logging.level": ("debug", "info", "warning", "error"),
    "voice.language": ("en", "zh", "auto"),
    "store.key": ("auto", "keyring", "file"),
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
}


def parse_devices(text: str) -> tuple[int, ...]:
    """Numbers of GPUs, e.g. (0, 1) of "0,1". Raises ValueError."""
    names = [name.strip() for name in text.split(",")] if text else []
    if not all(name.isascii() and name.isdigit() and len(name) <= 2 and int(name) < MAX_DEVICES for name in names):
        raise ValueError(f"must be numbers of GPUs from 0 to {MAX_DEVICES - 1} with commas between, e.g. 0,1")
    return tuple(int(name) for name in names)


def parse_loopback(text: str) -> tuple[str, int]:
    """IP address and port of "HOST:PORT", where HOST is localhost, an IPv4 or a bracketed IPv6 loopback address.

    Raises ValueError. Names other than localhost are refused: to look one up is to ask the network.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be HOST:PORT with a port from 0 to 65535")
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ValueError("must name a loopback address such as 127.0.0.1 or [::1]")
    return host, int(port)


def parse_ip(text: str) -> str:
    """The same, of an IP address. Raises ValueError: to look a name up is to ask the network."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("must be an IP address of this machine such as 192.168.1.7") from None
    return text


def absolute(path: str) -> Path:
    """The path with ~ resolved, independent of the working directory."""
    return Path(path).expanduser().absolute()
