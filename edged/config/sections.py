"""Every key with its default and its unit."""

from __future__ import annotations

from dataclasses import dataclass


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
    incognito: bool = False
    """What is said aloud is never written to disk, nor its answers; a conversation is forgotten an hour later."""
    debug_recording: str = ""
    """Folder for what the microphone hears, as WAV files. For debugging only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraConfig:
    """[camera]: the daemon's eye (extra vision), open only while somebody looks through it; none unless it is named."""

    source: str = ""
    """Its number, its path, http:// or rtsp://ADDRESS:PORT/PATH on this machine or the LAN, or gst:PIPELINE."""
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
    """Names and addresses beside its own, commas between: for its certificate, and the first that pairing shows."""
    announce: bool = True
    """Say on the LAN that a daemon is here (mDNS, _edged._tcp), so that clients find it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """[http]: the API that programs written for OpenAI's speak (extra web), off unless it is asked for."""

    listen: str = ""
    """HOST:PORT on loopback, e.g. "127.0.0.1:8000"; `edged serve --http` names it for once."""
    alias: str = "autoglm-phone-9b"
    """A model name that clients may have built in."""
    alias_engine: str = ""
    """The engine that it means; empty for the default one."""
    container: bool = False
    """Let listen name any address, as inside a container whose port the host publishes on its own loopback alone."""
    hosts: str = ""
    """Names by which other containers ask this one, with commas between, e.g. "edged"; takes http.container."""
    lan: bool = False
    """Serve it at the web port too, to who shows a key of `edged devices key`; takes lan.enabled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolsConfig:
    """[tools]: what the model may do in an answer by itself; none of it reaches the network."""

    clock: bool = False
    """Ask what day and time it is."""
    timers: bool = False
    """Set, see and cancel timers."""
    conversations: bool = False
    """Search the conversations of whoever asks (scope history)."""
    camera: bool = False
    """Look through the daemon's camera (scope camera)."""
    ocr: bool = False
    """Read the text in the last picture of the conversation."""
    device: bool = False
    """Ask how this machine is doing: its engine, memory and disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """[client]: which daemon the commands talk to."""

    daemon: str = ""
    """Name of one elsewhere that this machine is paired with (`edged join`); empty takes this machine's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """[store]: where conversations are kept."""

    key: str = "auto"
    """Where a new database's key lies: "auto" (keyring or else file), "keyring", "file", "passphrase", "credential"."""
    key_directory: str = ""
    """Where the key file lies; empty takes the configuration directory. A service names one that it may write."""
    passphrase_file: str = ""
    """Holds the passphrase (/dev/fd/3, say); empty asks the terminal or takes the credential edged.passphrase."""
    max_text_bytes: int = 1024 * 1024
    """Longest text of one message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionConfig:
    """[retention]: what is deleted by itself, at the start of the daemon and every hour; nothing unless it is set."""

    days: int = 0
    """Conversations that nobody used for so many days; 0 keeps them."""
    device_days: int = 0
    """The same of those that paired devices began, where it is sooner."""
    media_days: int = 0
    """The same of those that hold pictures or recordings, where it is sooner."""
    max_mb: int = 0
    """Those used least recently, once all of them take more than so many MiB; 0 for any number."""
    device_max_mb: int = 0
    """The same of those that paired devices began, of which only what was said and sent counts."""
    media_max_mb: int = 0
    """The same of those that hold pictures or recordings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyConfig:
    """[privacy]: the egress guard."""

    sandbox: bool = True
    """Landlock, seccomp and the audit hook; switch off only to debug."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingConfig:
    """[logging]."""

    level: str = "info"
    """debug, info, warning or error."""
    content: bool = False
    """Also log what people and the model say. For debugging only."""


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
    "tools": ToolsConfig,
    "client": ClientConfig,
    "store": StoreConfig,
    "retention": RetentionConfig,
    "privacy": PrivacyConfig,
    "logging": LoggingConfig,
}
